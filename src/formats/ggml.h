#pragma once

// ggml's block types: values out of blocks, blocks out of values, and the
// blocks that MLX can hold without change. Reference: ggml-quants.c and
// gguf-py's quants.py; golden values come from the latter.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "assay/core/dtype.h"

namespace assay::ggml {

/** float32 values of stored elements: any ggml block type and any plain
 * integer or float type of eight bits or more, and F4 (low nibble first).
 * Data need not be aligned. Block types are exact to gguf-py's `dequantize`
 * (to ggml's C where gguf-py has no such type); 64-bit values and int32 are
 * rounded to the nearest float32; a boolean is 0 or 1.
 * Throws Error tensor.dtype-unsupported for F6 and complex types, and
 * std::invalid_argument when `bytes` and `values` disagree in size. */
void dequantize(DType dtype,
                std::span<const std::byte> bytes,
                std::span<float> values);

/** True for the types that `quantize` writes. */
bool can_quantize(DType dtype);

/** Blocks of `values` as ggml's reference quantizers make them: F32, F16, BF16
 * (nearest even), Q8_0, Q4_0, Q4_1, Q5_0, Q5_1. Throws Error
 * quantize.not-representable where a finite value, or the scale of a block,
 * does not fit the type or is not finite, tensor.dtype-unsupported for other
 * types, std::invalid_argument when the sizes disagree. Plain types keep
 * infinities and NaNs. */
void quantize(DType dtype,
              std::span<const float> values,
              std::span<std::byte> bytes);

/** How a block type stands in MLX without loss: quantization by `mode`
 * ("affine", "mxfp4", "nvfp4"), `bits` and `group_size`. `scale_type` is that
 * of scales and biases: F16, or F32 for the K types, whose products of scales
 * do not fit float16; U8 (and no biases) for mxfp4 (E8M0) and nvfp4 (E4M3). */
struct MlxForm {
  std::string_view mode;
  int bits;
  int group_size;
  DType scale_type;
  bool symmetric = false;  ///< each bias is -2^(bits - 1) times its scale
  bool operator==(const MlxForm&) const = default;
};

/** The exact form of a block type, where there is one: Q4_0, Q4_1 (affine 4
 * bit, group 32), Q5_0, Q5_1 (5 bit), Q8_0 (8 bit), MXFP4, NVFP4; Q4_K and
 * Q5_K with float32 scales. (The scale for a whole tensor that llama.cpp
 * stores beside NVFP4 blocks is a tensor of its own and no part of them.) */
std::optional<MlxForm> mlx_form(DType dtype);

/** The same for the blocks of one tensor. A bias is -8, -16 or -128 times the
 * scale of a Q4_0, Q5_0 or Q8_0 block, which float16 may not hold: then the
 * form has float32 scales. Nothing when a block has no exact form (a scale
 * that is not finite). Cost: one pass over the blocks' scales. */
std::optional<MlxForm> mlx_form(DType dtype, std::span<const std::byte> bytes);

/** Rewrites whole rows of blocks in that form. `packed` is MLX's uint32
 * stream: bits * group_size / 32 words a group, values in order, the first in
 * the lowest bits, across words where bits does not divide 32. `scales` and
 * `biases` hold one element a group; for the affine forms their size tells
 * the type: 2 bytes a group are float16, 4 are float32.
 *
 * scale * q + bias in float32 then equals what `dequantize` gives, except
 * that -0 may become 0. False where a scale or bias does not fit (see
 * mlx_form(dtype, bytes)); the output is then not to be used. Throws
 * std::invalid_argument when sizes disagree or there is no form. */
[[nodiscard]] bool to_mlx(DType dtype,
                          std::span<const std::byte> bytes,
                          std::span<uint32_t> packed,
                          std::span<std::byte> scales,
                          std::span<std::byte> biases);

}  // namespace assay::ggml
