#include "assay/formats/affine.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>

#include "assay/formats/affine_group.h"
#include "assay/formats/bit_pack.h"

namespace assay {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw std::invalid_argument("quantized weights: " + what);
}

void require_sizes(bool agree) {
  if (!agree) {
    refuse("the sizes of values, packed, scales or biases disagree");
  }
}

bool divides_groups(std::string_view mode, int group_size, int bits) {
  if (mode == "affine") {
    return (group_size == 32 || group_size == 64 || group_size == 128) &&
           bits >= 2 && bits <= 8 && bits != 7;
  }
  if (mode == "mxfp4") {
    return group_size == 32 && bits == 4;
  }
  if (mode == "mxfp8") {
    return group_size == 32 && bits == 8;
  }
  return mode == "nvfp4" && group_size == 16 && bits == 4;
}

/** Nearest even of a number in [0, 255]. */
uint8_t round_to_byte(float value) {
  return static_cast<uint8_t>(std::bit_cast<uint32_t>(value + kRoundToInteger));
}

StoredScale scale_type(DType type) {
  if (type != DType::f32 && type != DType::f16 && type != DType::bf16) {
    refuse("scales of type " + std::string(name(type)));
  }
  return {type};
}

template <int Bits>
bool quantize_groups(std::span<const float> values,
                     size_t group_size,
                     StoredScale type,
                     std::byte* packed,
                     std::byte* scales,
                     std::byte* biases) {
  constexpr float kLargest = (1 << Bits) - 1;
  std::array<uint8_t, kLargestGroup> quants;
  for (size_t at = 0; at < values.size(); at += group_size) {
    const auto group = values.subspan(at, group_size);
    const auto [scale, bias] = fit_affine(range_of(group), kLargest);
    if (!all_finite(group) || !std::isfinite(type.round(scale)) ||
        !std::isfinite(type.round(bias))) {
      return false;
    }
    for (size_t j = 0; j < group_size; ++j) {
      const float steps = (group[j] - bias) / scale;
      const float positive = steps > 0 ? steps : 0.0f;
      quants[j] = round_to_byte(positive < kLargest ? positive : kLargest);
    }
    pack_bits<Bits>(quants.data(), group_size, packed);
    type.store(scale, scales);
    type.store(bias, biases);
    packed += group_size * Bits / 8;
    scales += type.bytes();
    biases += type.bytes();
  }
  return true;
}

template <int Bits>
void dequantize_groups(const std::byte* packed,
                       const std::byte* scales,
                       const std::byte* biases,
                       size_t group_size,
                       StoredScale type,
                       std::span<float> values) {
  std::array<uint8_t, kLargestGroup> quants;
  for (size_t at = 0; at < values.size(); at += group_size) {
    unpack_bits<Bits>(packed, group_size, quants.data());
    const float scale = type.load(scales);
    const float bias = type.load(biases);
    float* out = values.data() + at;
    for (size_t j = 0; j < group_size; ++j) {
      out[j] = static_cast<float>(quants[j]) * scale + bias;
    }
    packed += group_size * Bits / 8;
    scales += type.bytes();
    biases += type.bytes();
  }
}

/** Calls `function` with the number of bits as a compile-time constant. */
template <typename Function>
auto with_bits(int bits, const Function& function) {
  switch (bits) {
    case 2:
      return function.template operator()<2>();
    case 3:
      return function.template operator()<3>();
    case 4:
      return function.template operator()<4>();
    case 5:
      return function.template operator()<5>();
    case 6:
      return function.template operator()<6>();
    default:
      return function.template operator()<8>();
  }
}

// The floating-point modes.

struct FpMode {
  size_t group;
  int bits;
  bool e4m3_scales;  ///< otherwise E8M0
};

FpMode fp_mode(std::string_view mode) {
  if (mode == "mxfp4") {
    return {32, 4, false};
  }
  if (mode == "mxfp8") {
    return {32, 8, false};
  }
  if (mode == "nvfp4") {
    return {16, 4, true};
  }
  refuse("unknown mode " + std::string(mode));
}

/** E4M3 without NaN. */
float e4m3_as_mlx(uint8_t code) {
  const auto half = static_cast<uint16_t>((code & 0x7f) << 7);
  const float value = half_to_float(half) * 0x1p8f;
  return (code & 0x80) != 0 ? -value : value;
}

/** Nearest E2M1; a tie goes to the smaller magnitude, what rounds to zero
 * loses its sign. */
uint8_t float_to_e2m1(float value) {
  const float magnitude = std::fabs(value);
  int code = 0;
  for (const float tie : {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f}) {
    code += magnitude > tie ? 1 : 0;
  }
  const int sign = value < -0.25f ? 8 : 0;
  return static_cast<uint8_t>(code | sign);
}

struct FpScale {
  uint8_t code;
  float divisor;
};

FpScale fit_fp(float largest, const FpMode& mode, StoredScale type) {
  const float scale = type.round(largest / (mode.bits == 4 ? 6.0f : 448.0f));
  if (mode.e4m3_scales) {
    const uint8_t code = float_to_e4m3(scale);
    return {code, e4m3_as_mlx(code)};
  }
  if (scale == 0) {
    return {127, 1.0f};
  }
  // The power of two at or above: nothing beyond the largest element.
  int exponent = 0;
  if (std::frexp(scale, &exponent) == 0.5f) {
    --exponent;
  }
  const int clamped = exponent < -127 ? -127 : exponent;
  const auto code = static_cast<uint8_t>(clamped + 127);
  return {code, e8m0_to_float(code)};
}

/** The elements of one group in the weight's type: value / divisor. */
std::array<float, 32> divide(std::span<const float> group,
                             float divisor,
                             StoredScale type) {
  std::array<float, 32> elements{};
  for (size_t j = 0; j < group.size(); ++j) {
    elements[j] = group[j] / divisor;
  }
  if (type.type == DType::f16) {
    for (float& element : elements) {
      element = half_to_float(float_to_half(element));
    }
  } else if (type.type == DType::bf16) {
    for (float& element : elements) {
      element = bfloat_to_float(float_to_bfloat(element));
    }
  }
  return elements;
}

/** Packs one group. A divisor of 0 (an E4M3 scale that underflows) gives
 * zeros. */
void quantize_fp_group(std::span<const float> group,
                       float divisor,
                       const FpMode& mode,
                       StoredScale type,
                       std::byte* packed) {
  const auto elements =
      divisor == 0 ? std::array<float, 32>{} : divide(group, divisor, type);
  std::array<uint8_t, 32> codes;
  if (mode.bits == 4) {
    for (size_t j = 0; j < 32; ++j) {
      codes[j] = float_to_e2m1(elements[j]);
    }
    pack_bits<4>(codes.data(), group.size(), packed);
  } else {
    for (size_t j = 0; j < 32; ++j) {
      codes[j] = float_to_e4m3(elements[j]);
    }
    pack_bits<8>(codes.data(), group.size(), packed);
  }
}

void dequantize_fp_group(const std::byte* packed,
                         float scale,
                         const FpMode& mode,
                         float* out) {
  std::array<uint8_t, 32> codes;
  if (mode.bits == 4) {
    unpack_bits<4>(packed, mode.group, codes.data());
    for (size_t j = 0; j < mode.group; ++j) {
      out[j] = e2m1_to_float(codes[j]) * scale;
    }
  } else {
    unpack_bits<8>(packed, mode.group, codes.data());
    for (size_t j = 0; j < mode.group; ++j) {
      out[j] = e4m3_as_mlx(codes[j]) * scale;
    }
  }
}

}  // namespace

QuantizedSizes quantized_sizes(std::string_view mode,
                               int group_size,
                               int bits,
                               size_t values) {
  if (!divides_groups(mode, group_size, bits)) {
    refuse(std::string(mode) + " has no groups of " +
           std::to_string(group_size) + " with " + std::to_string(bits) +
           " bits");
  }
  const auto group = static_cast<size_t>(group_size);
  // Groups of 16 are 2 words; every other group is a multiple of 32 values.
  if (values % group != 0) {
    refuse(std::to_string(values) + " values are not a multiple of " +
           std::to_string(group_size));
  }
  const auto group_bits = group * static_cast<size_t>(bits);
  return {values / group * (group_bits / 32), values / group};
}

bool quantize_affine(std::span<const float> values,
                     int group_size,
                     int bits,
                     DType type,
                     std::span<uint32_t> packed,
                     std::span<std::byte> scales,
                     std::span<std::byte> biases) {
  const auto sizes = quantized_sizes("affine", group_size, bits, values.size());
  const auto stored = scale_type(type);
  require_sizes(packed.size() == sizes.words &&
                scales.size() == sizes.groups * stored.bytes() &&
                biases.size() == scales.size());
  return with_bits(bits, [&]<int Bits>() {
    return quantize_groups<Bits>(values,
                                 static_cast<size_t>(group_size),
                                 stored,
                                 std::as_writable_bytes(packed).data(),
                                 scales.data(),
                                 biases.data());
  });
}

void dequantize_affine(std::span<const uint32_t> packed,
                       std::span<const std::byte> scales,
                       std::span<const std::byte> biases,
                       int group_size,
                       int bits,
                       DType type,
                       std::span<float> values) {
  const auto sizes = quantized_sizes("affine", group_size, bits, values.size());
  const auto stored = scale_type(type);
  require_sizes(packed.size() == sizes.words &&
                scales.size() == sizes.groups * stored.bytes() &&
                biases.size() == scales.size());
  with_bits(bits, [&]<int Bits>() {
    dequantize_groups<Bits>(std::as_bytes(packed).data(),
                            scales.data(),
                            biases.data(),
                            static_cast<size_t>(group_size),
                            stored,
                            values);
  });
}

bool quantize_fp(std::string_view mode,
                 std::span<const float> values,
                 DType type,
                 std::span<uint32_t> packed,
                 std::span<uint8_t> scales) {
  const auto form = fp_mode(mode);
  const auto sizes = quantized_sizes(
      mode, static_cast<int>(form.group), form.bits, values.size());
  const auto stored = scale_type(type);
  require_sizes(packed.size() == sizes.words && scales.size() == sizes.groups);
  std::byte* out = std::as_writable_bytes(packed).data();
  for (size_t i = 0; i < sizes.groups; ++i) {
    const auto group = values.subspan(i * form.group, form.group);
    if (!all_finite(group)) {
      return false;
    }
    const auto [code, divisor] =
        fit_fp(magnitude_of(range_of(group)), form, stored);
    scales[i] = code;
    quantize_fp_group(group, divisor, form, stored, out);
    out += form.group * static_cast<size_t>(form.bits) / 8;
  }
  return true;
}

void dequantize_fp(std::string_view mode,
                   std::span<const uint32_t> packed,
                   std::span<const uint8_t> scales,
                   std::span<float> values) {
  const auto form = fp_mode(mode);
  const auto sizes = quantized_sizes(
      mode, static_cast<int>(form.group), form.bits, values.size());
  require_sizes(packed.size() == sizes.words && scales.size() == sizes.groups);
  const std::byte* in = std::as_bytes(packed).data();
  float* out = values.data();
  for (const uint8_t code : scales) {
    const float scale =
        form.e4m3_scales ? e4m3_as_mlx(code) : std::ldexp(1.0f, code - 127);
    dequantize_fp_group(in, scale, form, out);
    in += form.group * static_cast<size_t>(form.bits) / 8;
    out += form.group;
  }
}

}  // namespace assay
