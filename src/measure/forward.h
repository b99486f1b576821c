#pragma once

// A sequence through a model in bounded memory: hidden states in pieces with
// caches, logits in pieces of rows, and the losses under them. For measure and
// for the trials of quantize.

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include <mlx/array.h>

#include "assay/nn/language_model.h"

namespace assay::measurement {

/** Positions that are run at once: attention over a piece takes memory with the
 * square of its length. */
constexpr int kPrefillStep = 512;

/** Hidden states [length, width] of a sequence from an empty context,
 * evaluated; `step` positions at a time. */
mlx::core::array hidden_states(const nn::LanguageModel& model,
                               std::span<const int32_t> ids,
                               int step = kPrefillStep);

/** float32 logits [rows, vocab] of hidden states, evaluated. */
mlx::core::array logits_of(const nn::LanguageModel& model,
                           const mlx::core::array& hidden);

/** Negative log-likelihoods of targets [rows] (int32) under logits
 * [rows, vocab]. */
std::vector<float> losses(const mlx::core::array& logits,
                          const mlx::core::array& targets);

/** Rows [first, first + count) of a sequence. */
struct Rows {
  int first = 0;
  int count = 0;
};

/** `length` rows in pieces whose logits take some tens of megabytes, of no more
 * than `most` rows. */
std::vector<Rows> row_pieces(int length,
                             int64_t vocab,
                             int most = std::numeric_limits<int>::max());

/** Part of a text that is run at once, and the first of its tokens that counts
 * as predicted. */
struct Window {
  size_t start = 0;
  size_t length = 0;
  size_t first_predicted = 1;  ///< from `start`
};

/** Throws Error measure.too-short for fewer than two tokens, measure.option
 * for a window below 2 or a stride that leaves tokens out. */
std::vector<Window> windows(size_t tokens, int window, int stride);

}  // namespace assay::measurement
