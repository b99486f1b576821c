#pragma once

// Products of many rows of activations as 16-bit integers with weights of 4 or
// 8 bits: faster than float32's where a pair of them is one instruction.

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/kernels/matrix.h"

namespace assay::kernels {

struct IntegerTileKernels {
  /** False where there are none for the weight. */
  bool (*has)(const Matrix& w);
  /** w.columns activations, `stride` apart; an int16 each, a step and a sum
   * each group. */
  void (*pack)(const Matrix& w,
               const float* x,
               ptrdiff_t stride,
               const IntegerRow& to);
  /** out[i][n] for each row of activations and weight rows n in [begin, end),
   * which are widened once and stay in the cache. */
  void (*multiply)(const Matrix& w,
                   std::span<const IntegerRow> x,
                   std::span<float* const> out,
                   size_t begin,
                   size_t end);
};

enum class InstructionSet : uint8_t { avx2, avx512_vnni };

/** Null where they were not compiled. */
const IntegerTileKernels* integer_tile(InstructionSet set);

}  // namespace assay::kernels
