#pragma once

// The small floating-point types of model files: to float32 (exact) and from
// it (nearest, ties to even). IEEE 754 binary16, bfloat16, and the OCP 8-bit
// and microscaling (MX) types. Written so that loops over them vectorize.

#include <bit>
#include <cstdint>
#include <limits>

namespace assay {

/** IEEE 754 binary16 to float32; a NaN keeps its payload. */
constexpr float half_to_float(uint16_t half) {
  // Exponent and mantissa moved in place, then scaled by 2^112: the difference
  // of the two biases. Subnormals come right by the same multiplication.
  const uint32_t magnitude = (half & 0x7fffu) << 13;
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
  const uint32_t special =
      (half & 0x7c00u) == 0x7c00u ? magnitude | 0x7f800000u : 0u;
  const uint32_t sign = (half & 0x8000u) << 16;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(scaled) | special | sign);
}

/** float32 to binary16, nearest even; too large becomes infinity, a NaN stays
 * a quiet NaN. */
constexpr uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t sign = (bits >> 16) & 0x8000u;
  // Below 2^-14 the unit of the result is 2^-24, that of floats in [0.5, 1):
  // adding 0.5 rounds there.
  const uint32_t small =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) -
      0x3f000000u;
  const uint32_t normal =
      (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  const uint32_t nan = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  uint32_t half = magnitude < 0x38800000u ? small : normal;
  half = magnitude >= 0x47800000u ? 0x7c00u : half;
  half = magnitude > 0x7f800000u ? nan : half;
  return static_cast<uint16_t>(half | sign);
}

constexpr float bfloat_to_float(uint16_t bfloat) {
  return std::bit_cast<float>(static_cast<uint32_t>(bfloat) << 16);
}

/** float32 to bfloat16, nearest even; a NaN becomes quiet and stays one. */
constexpr uint16_t float_to_bfloat(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return static_cast<uint16_t>(nan ? (bits >> 16) | 0x40u : rounded);
}

/** OCP E4M3 ("fn"): no infinities, 0x7f and 0xff are NaN, largest 448. */
constexpr float e4m3_to_float(uint8_t code) {
  if ((code & 0x7f) == 0x7f) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  // The bits of a binary16 whose exponent bias is 15 instead of 7.
  const float value =
      half_to_float(static_cast<uint16_t>((code & 0x7f) << 7)) * 0x1p8f;
  return (code & 0x80) != 0 ? -value : value;
}

/** float32 to OCP E4M3, nearest even; beyond 448 the result is 448. */
constexpr uint8_t float_to_e4m3(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = bits & 0x7fffffffu;
  const uint32_t sign = (bits >> 24) & 0x80u;
  // Below 2^-6 the unit is 2^-9, that of floats in [2^14, 2^15).
  const uint32_t small =
      std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0x1p14f) -
      0x46800000u;
  const uint32_t normal =
      (magnitude - 0x3c000000u + 0x7ffffu + ((magnitude >> 20) & 1u)) >> 20;
  uint32_t code = magnitude < 0x3c800000u ? small : normal;
  code = magnitude >= 0x43e00000u ? 0x7eu : code;
  code = magnitude > 0x7f800000u ? 0x7fu : code;
  return static_cast<uint8_t>(code | sign);
}

/** OCP E5M2: the upper byte of a binary16. */
constexpr float e5m2_to_float(uint8_t code) {
  return half_to_float(static_cast<uint16_t>(code << 8));
}

/** OCP E8M0: a power of two, 2^(code - 127); 0xff is NaN. */
constexpr float e8m0_to_float(uint8_t code) {
  if (code == 0xff) {
    return std::numeric_limits<float>::quiet_NaN();
  }
  return std::bit_cast<float>(code == 0 ? 0x00400000u
                                        : static_cast<uint32_t>(code) << 23);
}

/** OCP E2M1 (4 bits, the sign is bit 3): 0 0.5 1 1.5 2 3 4 6. */
constexpr float e2m1_to_float(uint8_t code) {
  constexpr float kMagnitudes[8] = {
      0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f};
  const float value = kMagnitudes[code & 7];
  return (code & 8) != 0 ? -value : value;
}

}  // namespace assay
