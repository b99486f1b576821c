// Blocks out of values, as ggml's reference quantizers make them: the same
// operations in the same order as gguf-py's `quantize`, in float32.

#include <cmath>
#include <string>

#include "assay/core/finding.h"
#include "assay/formats/float_types.h"
#include "assay/formats/ggml.h"
#include "assay/formats/ggml_blocks.h"
#include "assay/formats/group_scan.h"

namespace assay::ggml {
namespace {

[[noreturn]] void refuse(DType dtype, size_t element, float actual) {
  fail("quantize.not-representable",
       "element " + std::to_string(element),
       "finite, within the range of " + std::string(name(dtype)),
       std::to_string(actual));
}

bool finite_half(uint16_t half) {
  return (half & 0x7c00u) != 0x7c00u;
}

float inverse(float scale) {
  return scale == 0 ? 0.0f : 1.0f / scale;
}

/** The value of largest magnitude, with its sign; the first of equals, and +0
 * where all are zeros. */
float extreme_of(std::span<const float> values) {
  const Range range = range_of(values);
  if (-range.low > range.high) {
    return range.low;
  }
  if (range.high > -range.low || range.high == 0) {
    return range.high == 0 ? 0.0f : range.high;
  }
  // Both signs reach as far.
  for (const float value : values) {
    if (std::fabs(value) == range.high) {
      return value;
    }
  }
  return range.high;
}

/** (value - offset) * factor + shift, cut to an integer of at most `largest`.
 * Where a subnormal scale makes the factor infinite the result is 0. */
Bytes<32> cut(std::span<const float> values,
              float offset,
              float factor,
              float shift,
              int largest) {
  Bytes<32> quants;
  for (size_t j = 0; j < 32; ++j) {
    const float scaled = (values[j] - offset) * factor + shift;
    const int whole = static_cast<int>(std::fabs(scaled) < 256 ? scaled : 0.0f);
    quants[j] = static_cast<uint8_t>(whole < largest ? whole : largest);
  }
  return quants;
}

Bytes<16> pack_nibbles(const Bytes<32>& quants) {
  Bytes<16> nibbles;
  for (size_t j = 0; j < 16; ++j) {
    nibbles[j] =
        static_cast<uint8_t>((quants[j] & 0x0f) | (quants[j + 16] << 4));
  }
  return nibbles;
}

std::array<uint16_t, 2> pack_high(const Bytes<32>& quants) {
  std::array<uint16_t, 2> high{};
  for (size_t j = 0; j < 32; ++j) {
    const int bit = (quants[j] >> 4) << (j % 16);
    high[j / 16] = static_cast<uint16_t>(high[j / 16] | bit);
  }
  return high;
}

void encode(std::span<const float> values, Q4_0& block) {
  const float scale = extreme_of(values) / -8.0f;
  block.scale = float_to_half(scale);
  block.nibbles = pack_nibbles(cut(values, 0, inverse(scale), 8.5f, 15));
}

void encode(std::span<const float> values, Q5_0& block) {
  const float scale = extreme_of(values) / -16.0f;
  const auto quants = cut(values, 0, inverse(scale), 16.5f, 31);
  block.scale = float_to_half(scale);
  block.high = pack_high(quants);
  block.nibbles = pack_nibbles(quants);
}

void encode(std::span<const float> values, Q4_1& block) {
  const auto [low, high] = range_of(values);
  const float scale = (high - low) / 15.0f;
  block.scale = float_to_half(scale);
  block.minimum = float_to_half(low);
  block.nibbles = pack_nibbles(cut(values, low, inverse(scale), 0.5f, 15));
}

void encode(std::span<const float> values, Q5_1& block) {
  const auto [low, high] = range_of(values);
  const float scale = (high - low) / 31.0f;
  const auto quants = cut(values, low, inverse(scale), 0.5f, 31);
  block.scale = float_to_half(scale);
  block.minimum = float_to_half(low);
  block.high = pack_high(quants);
  block.nibbles = pack_nibbles(quants);
}

/** Nearest integer, half away from zero; 0 beyond a byte's range, which only a
 * subnormal scale leads to. */
int round_away(float value) {
  const float magnitude = std::fabs(value) < 128 ? std::fabs(value) : 0.0f;
  const int whole = static_cast<int>(magnitude);
  const float rest = magnitude - static_cast<float>(whole);
  const int rounded = whole + static_cast<int>(2 * rest);
  return value < 0 ? -rounded : rounded;
}

void encode(std::span<const float> values, Q8_0& block) {
  const float scale = magnitude_of(range_of(values)) / 127.0f;
  const float factor = inverse(scale);
  std::array<int, 32> quants;
  for (size_t j = 0; j < 32; ++j) {
    quants[j] = round_away(values[j] * factor);
  }
  block.scale = float_to_half(scale);
  for (size_t j = 0; j < 32; ++j) {
    block.quants[j] = static_cast<int8_t>(quants[j]);
  }
}

template <typename Block>
bool block_fits(const Block& block) {
  if constexpr (requires { block.minimum; }) {
    return finite_half(block.scale) && finite_half(block.minimum);
  } else {
    return finite_half(block.scale);
  }
}

[[noreturn]] void refuse_not_finite(DType dtype,
                                    std::span<const float> values,
                                    size_t first) {
  size_t at = first;
  while (std::isfinite(values[at])) {
    ++at;
  }
  refuse(dtype, at, values[at]);
}

template <typename Block>
void encode_all(DType dtype,
                std::span<const float> values,
                std::span<std::byte> bytes) {
  for (size_t at = 0; at < values.size(); at += Block::kElements) {
    const auto group = values.subspan(at, Block::kElements);
    if (!all_finite(group)) {
      refuse_not_finite(dtype, values, at);
    }
    Block block;
    encode(group, block);
    if (!block_fits(block)) {
      refuse(dtype, at, extreme_of(group));
    }
    std::memcpy(bytes.data() + at / Block::kElements * sizeof(Block),
                &block,
                sizeof(Block));
  }
}

template <typename Convert>
void convert_all(DType dtype,
                 std::span<const float> values,
                 std::span<std::byte> bytes,
                 uint16_t infinity,
                 const Convert& convert) {
  for (size_t i = 0; i < values.size(); ++i) {
    const uint16_t stored = convert(values[i]);
    if ((stored & 0x7fff) == infinity && std::isfinite(values[i])) {
      refuse(dtype, i, values[i]);
    }
    std::memcpy(bytes.data() + i * sizeof(stored), &stored, sizeof(stored));
  }
}

}  // namespace

bool can_quantize(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::f16:
    case DType::bf16:
    case DType::q4_0:
    case DType::q4_1:
    case DType::q5_0:
    case DType::q5_1:
    case DType::q8_0:
      return true;
    default:
      return false;
  }
}

void quantize_blocks(DType dtype,
                     std::span<const float> values,
                     std::span<std::byte> bytes) {
  switch (dtype) {
    case DType::f16:
      return convert_all(dtype, values, bytes, 0x7c00, float_to_half);
    case DType::bf16:
      return convert_all(dtype, values, bytes, 0x7f80, float_to_bfloat);
    case DType::q4_0:
      return encode_all<Q4_0>(dtype, values, bytes);
    case DType::q4_1:
      return encode_all<Q4_1>(dtype, values, bytes);
    case DType::q5_0:
      return encode_all<Q5_0>(dtype, values, bytes);
    case DType::q5_1:
      return encode_all<Q5_1>(dtype, values, bytes);
    case DType::q8_0:
      return encode_all<Q8_0>(dtype, values, bytes);
    default:
      if (!bytes.empty()) {
        std::memcpy(bytes.data(), values.data(), bytes.size());
      }
  }
}

}  // namespace assay::ggml
