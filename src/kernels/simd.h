#pragma once

// The kernels of one instruction set, as a table of functions. Compiled once
// for each set by Highway; the best that the processor has is chosen at run
// time.

#include <cstddef>
#include <limits>
#include <span>

#include "assay/kernels/attend.h"
#include "assay/kernels/integer_tile.h"
#include "assay/kernels/matrix.h"
#include "assay/kernels/quantize.h"

namespace assay::kernels {

/** Products of activations as integers of one width. */
struct IntegerKernels {
  /** False where there are none for the weight. */
  bool (*has)(const Matrix& w);
  /** Bytes that an IntegerRow's values take. */
  size_t (*value_bytes)(const Matrix& w);
  /** Floats that each of its group-wise parts takes. */
  size_t (*padded_groups)(const Matrix& w);
  void (*pack)(const Matrix& w,
               const float* x,
               ptrdiff_t stride,
               const IntegerRow& to);
  /** As Kernels::multiply_one. */
  void (*multiply)(const Matrix& w,
                   const IntegerRow& x,
                   float* out,
                   size_t begin,
                   size_t end);
};

/** The largest of some values, and the sum of exp(value - largest), which is no
 * number where one of them is none, and 0 where the largest is infinite. */
struct ExpSum {
  float largest = -std::numeric_limits<float>::infinity();
  float sum = 0;
};

struct Kernels {
  const char* name;  ///< of the instruction set
  size_t lanes;      ///< floats in a vector

  /** Floats that a packed row takes; at least the columns. */
  size_t (*padded_columns)(const Matrix& w);
  /** Floats that the sums of a packed row take; 0: the format needs none. */
  size_t (*padded_sums)(const Matrix& w);
  /** Brings w.columns activations, `stride` apart, into the kernel's order; and
   * their sums, unless null. */
  void (*pack)(const Matrix& w,
               const float* x,
               ptrdiff_t stride,
               float* values,
               float* sums);
  /** out[n] for weight rows n in [begin, end) and one row of activations:
   * every weight is read once and multiplied as it is decoded. */
  void (*multiply_one)(const Matrix& w,
                       const PackedRow& x,
                       size_t begin,
                       size_t end);
  /** The same for many rows of activations: the weight's rows are decoded to
   * float32 once and stay in the cache. */
  void (*multiply_many)(const Matrix& w,
                        std::span<const PackedRow> x,
                        size_t begin,
                        size_t end);
  IntegerKernels halves;  ///< activations in 16 bits
  IntegerKernels bytes;   ///< in 8 bits
  /** Fills in what becomes of each query of the task. */
  void (*attend)(const AttentionTask& task);
  /** Weight row `row` as float32, in the order of its columns. */
  void (*decode)(const Matrix& w, size_t row, float* out);
  ExpSum (*exp_sum)(const float* x, size_t count);
  /** gate * sigmoid(gate) * up; `out` may be one of them. */
  void (*silu_gate)(const float* gate,
                    const float* up,
                    size_t count,
                    float* out);
  /** See quantize.h, which checks the sizes. */
  bool (*quantize_affine)(const AffineRows& rows, RoundingError& error);
  /** For many rows of activations as integers; null: none. */
  const IntegerTileKernels* integer_tile = nullptr;
};

/** The sets that this processor can run, the best first. */
std::span<const Kernels* const> available_kernels();

/** The kernels in use: the best, unless another set was chosen. */
const Kernels& kernels();

/** Chooses one of available_kernels(), for the whole process: tests and
 * benchmarks hold each set to the same answers. */
void use_kernels(const Kernels& kernels);

}  // namespace assay::kernels
