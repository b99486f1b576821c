#pragma once

// How far a result's logits are from its source's on one short text. Loads one
// model at a time.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "assay/convert/convert.h"
#include "assay/formats/model_files.h"

namespace assay::conversion {

/** Float32 logits of a model, and the tokens they belong to. */
struct Sample {
  std::vector<int32_t> ids;
  std::string text;  ///< empty: pseudo-random ids
  int vocab = 0;
  std::vector<float> logits;  ///< [ids.size(), vocab]
};

/** Tokens of a built-in text by the model's own tokenizer, or pseudo-random
 * ones where there is none that serves; no logits yet. */
Sample choose_tokens(const ModelFiles& model, const Json& config);

/** Loads the model, computes, and lets it go. */
void compute_logits(const std::filesystem::path& model, Sample& sample);

/** Throws Error shape.mismatch if they are of different sizes. */
Drift compare(const Sample& source, const Sample& result);

}  // namespace assay::conversion
