#pragma once

// Several models in one call: which of the folders below a path are models,
// and all of them checked by a few threads. What computes with MLX runs on
// the caller's thread, one model at a time.

#include <filesystem>
#include <functional>
#include <span>
#include <vector>

#include "assay/check/check.h"

namespace assay {

struct ScanLimits {
  size_t depth = 8;          ///< levels of folders below the path
  size_t models = 10'000;    ///< found in one path
  size_t entries = 200'000;  ///< files and folders looked at
};

struct ModelList {
  std::vector<std::filesystem::path> models;  ///< in the order of their names
  /** scan.loop (a link back to a folder above it), scan.limit,
   * file.unreadable (a folder that cannot be listed). */
  std::vector<Finding> findings;
};

/** The models at and below a path. A path that is itself a model, a file, or
 * holds none is returned as it is. Files of weights that are models each by
 * itself (several GGUFs, checkpoints without a config) count one by one. Of a
 * cache as huggingface_hub lays it out (models--ORG--NAME/snapshots/REVISION)
 * the snapshot that refs/main names is taken, else each. Folders are followed
 * through links, but each is looked at once, and never from below itself. */
ModelList find_models(const std::filesystem::path& path,
                      const ScanLimits& limits = {});

/** Checks every model, headers and values by up to `threads` threads (0: one
 * a core, at most 8). `each` sees the reports in the order of the models, on
 * the caller's thread, as soon as they can be told. */
std::vector<CheckReport> check_all(
    std::span<const std::filesystem::path> models,
    const CheckOptions& options,
    const std::function<void(const CheckReport&)>& each = {},
    size_t threads = 0);

/** "7 models: 5 sound, 2 findings". */
std::string summary_of(std::span<const CheckReport> reports);

}  // namespace assay
