#pragma once

// The tokens that a model is measured on: the user's text or ids, or else the
// text that is built in.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/arch/loaded_model.h"

namespace assay {

/** About 8 KB of prose, dialogue, code, tables and other languages, written
 * for this purpose: in no model's training data, as far as one can know. */
std::string_view evaluation_text();

struct TokenSample {
  std::vector<int32_t> ids;
  /** What they are tokens of; empty for ids that were given or made up. */
  std::string text;
  /** "built-in text", "text", "ids", "pseudo-random ids". */
  std::string source;
};

struct SampleOptions {
  std::optional<std::string> text;  ///< instead of the built-in one
  std::vector<int32_t> ids;         ///< instead of any text
  size_t max_tokens = 0;            ///< 0: all
};

/** By the model's own tokenizer, with the special tokens that it adds. A model
 * without a tokenizer gets pseudo-random ids (the same each time), unless a
 * text was asked for. Throws Error tokenizer.*, measure.token-id for an id
 * beyond the vocabulary, measure.too-short for fewer than two tokens. */
TokenSample sample_tokens(const ModelFiles& files,
                          const arch::Tree& tree,
                          const SampleOptions& options = {});
TokenSample sample_tokens(const arch::LoadedModel& model,
                          const SampleOptions& options = {});

/** `count` ids below `vocab`, the same for the same seed. */
std::vector<int32_t> random_ids(size_t count, int64_t vocab, uint64_t seed = 0);

/** Rows of the token embedding: ids must be below. */
int64_t vocabulary_size(const arch::Tree& tree);

}  // namespace assay
