#pragma once

// Rules for what sentence-transformers writes beside an encoder: what its
// modules hand to each other, and settings that it refuses.

#include <filesystem>
#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"

namespace assay::rules {

/** One entry of modules.json. */
struct EmbeddingModule {
  std::string kind;  ///< "Pooling": the end of the class's path
  bool own = true;   ///< a class of sentence-transformers
  std::string path;  ///< "" or "1_Pooling"
  std::filesystem::path folder;
};

/** Modules hand values on by name: each must read one that a module before it
 * makes, and what it makes must be read or be a result. */
std::vector<Finding> embedding_features(
    const std::vector<EmbeddingModule>& modules);

/** Values of config_sentence_transformers.json, and of the encoders' own
 * settings, on which loading or the first text stops. */
std::vector<Finding> embedding_settings(
    const std::filesystem::path& folder,
    const std::vector<EmbeddingModule>& modules);

}  // namespace assay::rules
