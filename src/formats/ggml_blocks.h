#pragma once

// Memory layout of ggml's blocks (ggml-common.h), little-endian, and the loop
// over them. Internal to this room. A scale is a binary16 unless said.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "assay/core/dtype.h"

namespace assay::ggml {

static_assert(std::endian::native == std::endian::little,
              "blocks are read as they lie in memory");

template <size_t N>
using Bytes = std::array<uint8_t, N>;

// The names are the format's own.
// NOLINTBEGIN(readability-identifier-naming)

struct Q1_0 {
  static constexpr size_t kElements = 128;
  uint16_t scale;
  Bytes<16> bits;  ///< +scale where set, -scale elsewhere
};
struct Q2_0 {
  static constexpr size_t kElements = 64;
  uint16_t scale;
  Bytes<16> quants;  ///< four a byte, minus 1
};
struct Q4_0 {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  Bytes<16> nibbles;  ///< low: elements 0-15, high: 16-31
};
struct Q4_1 {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  uint16_t minimum;
  Bytes<16> nibbles;
};
struct Q5_0 {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  std::array<uint16_t, 2> high;  ///< fifth bit of element i in bit i
  Bytes<16> nibbles;
};
struct Q5_1 {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  uint16_t minimum;
  std::array<uint16_t, 2> high;
  Bytes<16> nibbles;
};
struct Q8_0 {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  std::array<int8_t, 32> quants;
};
struct Q8_1 {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  uint16_t sum;  ///< scale times the sum of quants; redundant
  std::array<int8_t, 32> quants;
};
struct IQ4_NL {
  static constexpr size_t kElements = 32;
  uint16_t scale;
  Bytes<16> nibbles;  ///< indices of kIq4Values
};
struct MXFP4 {
  static constexpr size_t kElements = 32;
  uint8_t scale;  ///< E8M0
  Bytes<16> nibbles;
};
struct NVFP4 {
  static constexpr size_t kElements = 64;
  Bytes<4> scales;    ///< E4M3 without sign, one for 16 elements
  Bytes<32> nibbles;  ///< eight bytes a scale: low 0-7, high 8-15
};

struct Q2_K {
  static constexpr size_t kElements = 256;
  Bytes<16> scales;  ///< low nibble scale, high nibble minimum
  Bytes<64> quants;
  uint16_t scale;
  uint16_t minimum;
};
struct Q3_K {
  static constexpr size_t kElements = 256;
  Bytes<32> high;
  Bytes<64> quants;
  Bytes<12> scales;  ///< sixteen of 6 bits
  uint16_t scale;
};
struct Q4_K {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  uint16_t minimum;
  Bytes<12> scales;  ///< eight scales and eight minimums of 6 bits
  Bytes<128> nibbles;
};
struct Q5_K {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  uint16_t minimum;
  Bytes<12> scales;
  Bytes<32> high;
  Bytes<128> nibbles;
};
struct Q6_K {
  static constexpr size_t kElements = 256;
  Bytes<128> low;
  Bytes<64> high;
  std::array<int8_t, 16> scales;
  uint16_t scale;
};
struct Q8_K {
  static constexpr size_t kElements = 256;
  float scale;
  std::array<int8_t, 256> quants;
  std::array<int16_t, 16> sums;  ///< of quants in sixteens; redundant
};
struct TQ1_0 {
  static constexpr size_t kElements = 256;
  Bytes<48> fives;  ///< five base-3 digits a byte
  Bytes<4> fours;   ///< four
  uint16_t scale;
};
struct TQ2_0 {
  static constexpr size_t kElements = 256;
  Bytes<64> quants;
  uint16_t scale;
};

struct IQ1_S {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  Bytes<32> index;
  std::array<uint16_t, 8> high;
};
struct IQ1_M {
  static constexpr size_t kElements = 256;
  Bytes<32> index;
  Bytes<16> high;
  std::array<uint16_t, 4> scales;  ///< upper nibbles: the block's scale
};
struct IQ2_XXS {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  std::array<uint16_t, 32> quants;
};
struct IQ2_XS {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  std::array<uint16_t, 32> quants;
  Bytes<8> scales;
};
struct IQ2_S {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  Bytes<32> index;
  Bytes<32> signs;
  Bytes<8> high;
  Bytes<8> scales;
};
struct IQ3_XXS {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  Bytes<64> index;
  std::array<uint16_t, 16> scales_signs;
};
struct IQ3_S {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  Bytes<64> index;
  Bytes<8> high;
  Bytes<32> signs;
  Bytes<4> scales;
};
struct IQ4_XS {
  static constexpr size_t kElements = 256;
  uint16_t scale;
  uint16_t scales_high;
  Bytes<4> scales_low;
  Bytes<128> nibbles;
};

// NOLINTEND(readability-identifier-naming)

static_assert(sizeof(Q1_0) == 18 && sizeof(Q2_0) == 18 && sizeof(Q4_0) == 18 &&
              sizeof(Q4_1) == 20 && sizeof(Q5_0) == 22 && sizeof(Q5_1) == 24 &&
              sizeof(Q8_0) == 34 && sizeof(Q8_1) == 36);
static_assert(sizeof(IQ4_NL) == 18 && sizeof(MXFP4) == 17 &&
              sizeof(NVFP4) == 36 && sizeof(TQ1_0) == 54 &&
              sizeof(TQ2_0) == 66);
static_assert(sizeof(Q2_K) == 84 && sizeof(Q3_K) == 110 &&
              sizeof(Q4_K) == 144 && sizeof(Q5_K) == 176 &&
              sizeof(Q6_K) == 210 && sizeof(Q8_K) == 292);
static_assert(sizeof(IQ1_S) == 50 && sizeof(IQ1_M) == 56 &&
              sizeof(IQ2_XXS) == 66 && sizeof(IQ2_XS) == 74 &&
              sizeof(IQ2_S) == 82 && sizeof(IQ3_XXS) == 98 &&
              sizeof(IQ3_S) == 110 && sizeof(IQ4_XS) == 136);

/** The sixteen low nibbles, then the sixteen high ones. */
inline Bytes<32> unpack_nibbles(const Bytes<16>& nibbles) {
  Bytes<32> quants;
  for (size_t j = 0; j < 16; ++j) {
    quants[j] = nibbles[j] & 0x0f;
    quants[j + 16] = nibbles[j] >> 4;
  }
  return quants;
}

/** The same with a fifth bit for each element. */
inline Bytes<32> unpack_fives(const Bytes<16>& nibbles,
                              const std::array<uint16_t, 2>& high) {
  Bytes<32> quants;
  for (size_t j = 0; j < 16; ++j) {
    const int low = (high[0] >> j) & 1;
    const int upper = (high[1] >> j) & 1;
    quants[j] = static_cast<uint8_t>((nibbles[j] & 0x0f) | (low << 4));
    quants[j + 16] = static_cast<uint8_t>((nibbles[j] >> 4) | (upper << 4));
  }
  return quants;
}

/** Calls `decode(block, values)` for every block; each block is first copied
 * out of the bytes, which have no alignment. */
template <typename Block, typename Decode>
void for_each_block(std::span<const std::byte> bytes,
                    std::span<float> values,
                    const Decode& decode) {
  const std::byte* source = bytes.data();
  float* out = values.data();
  for (size_t i = 0; i < bytes.size() / sizeof(Block); ++i) {
    Block block;
    std::memcpy(&block, source, sizeof(Block));
    decode(block, out);
    source += sizeof(Block);
    out += Block::kElements;
  }
}

/** Scales (first) and minimums (second) of Q4_K and Q5_K, out of 12 bytes. */
struct ScalesAndMinimums {
  Bytes<8> scales;
  Bytes<8> minimums;
};
ScalesAndMinimums unpack_scales(const Bytes<12>& packed);

// One a family of types; `bytes` and `values` agree in size. False: the type
// belongs to another family.
bool dequantize_legacy(DType dtype,
                       std::span<const std::byte> bytes,
                       std::span<float> values);
bool dequantize_k(DType dtype,
                  std::span<const std::byte> bytes,
                  std::span<float> values);
bool dequantize_iq(DType dtype,
                   std::span<const std::byte> bytes,
                   std::span<float> values);

/** Blocks of a type that can be written; sizes agree. */
void quantize_blocks(DType dtype,
                     std::span<const float> values,
                     std::span<std::byte> bytes);

/** Values of IQ4_NL and IQ4_XS by nibble. */
inline constexpr std::array<int8_t, 16> kIq4Values = {
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

/** E2M1 doubled, so that they are integers; code 8 is +0 here. */
inline constexpr std::array<int8_t, 16> kE2m1Doubled = {
    0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace assay::ggml
