#pragma once

// MLX's affine quantization on the vectors of this processor, for conversion:
// the same bits as formats/affine.h and mlx.core.quantize give, straight from
// values as files store them, and what the rounding cost in the same pass.

#include <cstddef>
#include <cstdint>
#include <span>

#include "assay/core/dtype.h"

namespace assay::kernels {

/** Values to quantize and where they go, laid out as formats/affine.h says.
 * The pieces agree in size, and the values are whole groups. */
struct AffineRows {
  std::span<const std::byte> values;  ///< aligned to their type
  DType type = DType::f32;            ///< of the values: F32, F16 or BF16
  int group_size = 64;                ///< 32, 64 or 128
  int bits = 4;                       ///< 2, 3, 4, 5, 6 or 8
  DType scale_type = DType::f32;      ///< F32, F16 or BF16
  std::span<uint32_t> packed;
  std::span<std::byte> scales, biases;
};

/** What values became, beside what they were. */
struct RoundingError {
  double error_squares = 0;
  double value_squares = 0;
  float largest = 0;  ///< difference
};

/** False where a value is not finite, or a scale or bias does not fit its
 * type; the output is then not to be used. Adds to `error`. Throws
 * std::invalid_argument for sizes that disagree. */
[[nodiscard]] bool quantize_affine(const AffineRows& rows,
                                   RoundingError& error);

}  // namespace assay::kernels
