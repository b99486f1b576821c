#pragma once

// MLX's quantized weights as ggml blocks without changing a value: the way
// back of ggml::to_mlx.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "assay/core/dtype.h"
#include "assay/core/quantization.h"

namespace assay::ggml {

/** The block type that holds a weight of these scales and biases (of type
 * `scale_type`; biases empty unless affine) exactly: Q4_0, Q5_0 or Q8_0 where
 * each bias is -8, -16 or -128 times its scale, otherwise Q4_1 or Q5_1; MXFP4.
 * Groups of 64 and 128 repeat their scale. Nothing where there is no such
 * type: other bits, scales that float16 does not hold, an 8-bit bias of
 * another kind. Only the values of scales and biases are read. */
std::optional<DType> block_type_of(const Quantization& quantization,
                                   DType scale_type,
                                   std::span<const std::byte> scales,
                                   std::span<const std::byte> biases);

/** Whole rows as blocks of that type. Throws std::invalid_argument when sizes
 * disagree or the type is none that block_type_of gives. */
void from_mlx(DType block_type,
              const Quantization& quantization,
              DType scale_type,
              std::span<const uint32_t> packed,
              std::span<const std::byte> scales,
              std::span<const std::byte> biases,
              std::span<std::byte> blocks);

}  // namespace assay::ggml
