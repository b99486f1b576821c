#pragma once

// MLX's quantized weights on the CPU without MLX, for the streaming converter:
// the same bits as mlx.core.quantize (0.32.4) on its CPU back end, row by row.
// Source of the formulas: mlx/backend/cpu/quantized.cpp and mlx/ops.cpp; that
// an E8M0 scale is the power of two at or above was found by measuring.
//
// Layouts: `packed` is a stream of bits, the first value lowest, in uint32
// words of little-endian order; group_size values share an element of `scales`
// (and `biases`). Rows follow each other: a row is a whole number of groups.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "assay/core/dtype.h"

namespace assay {

/** Lengths that `values` values have when quantized. */
struct QuantizedSizes {
  size_t words;   ///< uint32 of `packed`
  size_t groups;  ///< elements of `scales`, and of `biases`
};

/** Throws std::invalid_argument unless the mode ("affine", "mxfp4", "mxfp8",
 * "nvfp4") has such groups and bits (affine: 32, 64, 128 and 2, 3, 4, 5, 6, 8;
 * mxfp4: 32, 4; mxfp8: 32, 8; nvfp4: 16, 4) and they divide the values. */
QuantizedSizes quantized_sizes(std::string_view mode,
                               int group_size,
                               int bits,
                               size_t values);

/** mode "affine": value = scale * q + bias. `type` is the type of the weight
 * (F32, F16 or BF16), which the scales and biases get: `values` are its
 * elements as float32, and they are used as they are; only scale and bias are
 * rounded to the type, after the integers were chosen. Infinite results are
 * possible only where the values come near the end of the type's range: false
 * then, or where a value is not finite, and the output is not to be used.
 * Throws std::invalid_argument on sizes that disagree. */
[[nodiscard]] bool quantize_affine(std::span<const float> values,
                                   int group_size,
                                   int bits,
                                   DType type,
                                   std::span<uint32_t> packed,
                                   std::span<std::byte> scales,
                                   std::span<std::byte> biases);

/** scale * q + bias in float32, scales and biases as `type` holds them. */
void dequantize_affine(std::span<const uint32_t> packed,
                       std::span<const std::byte> scales,
                       std::span<const std::byte> biases,
                       int group_size,
                       int bits,
                       DType type,
                       std::span<float> values);

/** Modes "mxfp4" (E2M1 elements, E8M0 scales), "mxfp8" (E4M3, E8M0) and
 * "nvfp4" (E2M1, E4M3; no scale for the whole tensor). MLX's CPU back end
 * computes in the weight's `type` (F32, F16, BF16), and so does this. One
 * difference: groups whose largest magnitude is below 2^-127, for which MLX's
 * scale wraps around to a large one, get the smallest scale. False where a
 * value is not finite. */
[[nodiscard]] bool quantize_fp(std::string_view mode,
                               std::span<const float> values,
                               DType type,
                               std::span<uint32_t> packed,
                               std::span<uint8_t> scales);

/** Element times scale, in float32. E4M3 scales and elements are read as MLX
 * reads them: 0x7f is 480. */
void dequantize_fp(std::string_view mode,
                   std::span<const uint32_t> packed,
                   std::span<const uint8_t> scales,
                   std::span<float> values);

}  // namespace assay
