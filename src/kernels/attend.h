#pragma once

// Attention of some queries to a stretch of keys and values as they lie in
// memory, without MLX: scores, online softmax (Milakov and Gimelshein 2018) and
// weighted sum, a tile of keys at a time, so that scores are never stored
// whole. What the kernels of each instruction set take.

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/kernels/matrix.h"

namespace assay::kernels {

/** Keys or values of one head: positions of `w.columns` numbers each, a
 * position's `row_stride` from the next (words where quantized), its numbers
 * `stride` from each other (1 where quantized). w.data, w.scales and w.biases
 * point to the first position. */
struct CachedRows {
  Matrix w;
  ptrdiff_t row_stride = 0;
  ptrdiff_t stride = 1;
  ptrdiff_t scale_stride = 0;
  ptrdiff_t bias_stride = 0;
};

/** One query, and what becomes of it. */
struct QueryRow {
  const float* q = nullptr;
  ptrdiff_t stride = 1;
  /// Positions that it may see, [first, last), unless `mask` forbids them.
  size_t first = 0;
  size_t last = 0;
  const bool* mask = nullptr;  ///< of all positions, `mask_stride` apart
  ptrdiff_t mask_stride = 0;
  /// Sums of the values, each times exp(score - largest); of these factors;
  /// and the largest score.
  float* values = nullptr;
  float sum = 0;
  float largest = 0;
};

struct AttentionTask {
  CachedRows keys, values;
  /// Positions to take: what is seen outside of them is another task's.
  size_t begin = 0;
  size_t end = 0;
  float scale = 1;
  float softcap = 0;  ///< scores become cap * tanh(score / cap); 0: not
  std::span<QueryRow> rows;
};

}  // namespace assay::kernels
