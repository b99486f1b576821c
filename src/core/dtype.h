#pragma once

// Element types as they are stored in files: the plain ones of safetensors,
// the block-quantized ones of ggml. What they mean is in formats/; this is
// only their names and sizes.

#include <cstdint>
#include <optional>
#include <string_view>

namespace assay {

enum class DType : uint8_t {
  // Plain element types.
  boolean,
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  u64,
  i64,
  f16,
  bf16,
  f32,
  f64,
  f8_e4m3,
  f8_e5m2,
  f8_e8m0,
  f6_e2m3,
  f6_e3m2,
  f4,
  c64,
  // Block types of ggml; a row is a whole number of blocks.
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q8_1,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  q8_k,
  iq2_xxs,
  iq2_xs,
  iq3_xxs,
  iq1_s,
  iq4_nl,
  iq3_s,
  iq2_s,
  iq4_xs,
  iq1_m,
  tq1_0,
  tq2_0,
  mxfp4,
  nvfp4,
  q1_0,
  q2_0,
};

/** Size of one block: `elements` values in `bytes` bytes. Plain types have
 * one element a block, except the sub-byte ones (f4: 2 in 1, f6: 4 in 3). */
struct DTypeInfo {
  DType dtype;
  std::string_view name;  ///< "F32", "BF16", "Q4_K": as the formats spell it
  uint32_t elements;
  uint32_t bytes;
};

const DTypeInfo& info(DType dtype);
std::string_view name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

/** True for ggml's block types. */
bool is_block_quantized(DType dtype);
/** True for plain floating-point types (F8, F6 and F4 too). */
bool is_floating(DType dtype);

/** Bytes of `elements` values; nothing when they are not a whole number of
 * blocks or the product does not fit 64 bits. */
std::optional<uint64_t> byte_size(DType dtype, uint64_t elements);

}  // namespace assay
