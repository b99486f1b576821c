// Blocks rewritten as MLX's quantized weights without changing a value. ggml's
// zero points are subtracted from the integers, MLX's biases are added to the
// products: Q4_0's scale * (q - 8) becomes scale * q + (-8 * scale).

#include <cmath>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "assay/formats/bit_pack.h"
#include "assay/formats/float_types.h"
#include "assay/formats/ggml.h"
#include "assay/formats/ggml_blocks.h"

namespace assay::ggml {
namespace {

struct ScaleBias {
  float scale;
  float bias;
};

// groups(): scale and bias of each group of 32; quants(): its integers.

template <typename Block>
std::array<ScaleBias, 1> symmetric(const Block& block, float zero_point) {
  const float scale = half_to_float(block.scale);
  return {{{scale, -zero_point * scale}}};
}

template <typename Block>
std::array<ScaleBias, 1> with_minimum(const Block& block) {
  return {{{half_to_float(block.scale), half_to_float(block.minimum)}}};
}

template <typename Block>
std::array<ScaleBias, 8> with_packed_scales(const Block& block) {
  const float scale = half_to_float(block.scale);
  const float minimum = half_to_float(block.minimum);
  const auto packed = unpack_scales(block.scales);
  std::array<ScaleBias, 8> result;
  for (size_t j = 0; j < 8; ++j) {
    result[j].scale = scale * static_cast<float>(packed.scales[j]);
    result[j].bias = -(minimum * static_cast<float>(packed.minimums[j]));
  }
  return result;
}

auto groups(const Q4_0& block) {
  return symmetric(block, 8);
}
auto groups(const Q5_0& block) {
  return symmetric(block, 16);
}
auto groups(const Q8_0& block) {
  return symmetric(block, 128);
}
auto groups(const Q4_1& block) {
  return with_minimum(block);
}
auto groups(const Q5_1& block) {
  return with_minimum(block);
}
auto groups(const Q4_K& block) {
  return with_packed_scales(block);
}
auto groups(const Q5_K& block) {
  return with_packed_scales(block);
}

Bytes<32> quants(const Q5_0& block) {
  return unpack_fives(block.nibbles, block.high);
}
Bytes<32> quants(const Q5_1& block) {
  return unpack_fives(block.nibbles, block.high);
}

Bytes<32> quants(const Q8_0& block) {
  Bytes<32> result;
  for (size_t j = 0; j < 32; ++j) {
    result[j] = static_cast<uint8_t>(block.quants[j] + 128);
  }
  return result;
}

/** Eight bytes below 16 as four: the two of a pair share one. */
uint64_t join_pairs(uint64_t values) {
  values = (values | values >> 4) & 0x00ff00ff00ff00ff;
  values = (values | values >> 8) & 0x0000ffff0000ffff;
  return (values | values >> 16) & 0x00000000ffffffff;
}

/** ggml's low nibbles are the first 16 values, its high ones the other 16; to
 * MLX the two of a byte are neighbours. */
void repack_nibbles(const std::byte* nibbles, std::byte* out) {
  constexpr uint64_t kLow = 0x0f0f0f0f0f0f0f0f;
  std::array<uint64_t, 2> from{};
  std::memcpy(from.data(), nibbles, sizeof(from));
  const std::array<uint64_t, 2> to{
      join_pairs(from[0] & kLow) | join_pairs(from[1] & kLow) << 32,
      join_pairs(from[0] >> 4 & kLow) | join_pairs(from[1] >> 4 & kLow) << 32};
  std::memcpy(out, to.data(), sizeof(to));
}

/** A pair of groups shares 32 bytes: low nibbles the first, high the second. */
Bytes<256> split_nibbles(const Bytes<128>& nibbles) {
  Bytes<256> result;
  for (size_t pair = 0; pair < 4; ++pair) {
    for (size_t j = 0; j < 32; ++j) {
      const uint8_t byte = nibbles[pair * 32 + j];
      result[pair * 64 + j] = byte & 0x0f;
      result[pair * 64 + 32 + j] = byte >> 4;
    }
  }
  return result;
}

Bytes<256> quants(const Q4_K& block) {
  return split_nibbles(block.nibbles);
}

Bytes<256> quants(const Q5_K& block) {
  Bytes<256> result = split_nibbles(block.nibbles);
  for (size_t group = 0; group < 8; ++group) {
    for (size_t j = 0; j < 32; ++j) {
      const int high = ((block.high[j] >> group) & 1) << 4;
      auto& quant = result[group * 32 + j];
      quant = static_cast<uint8_t>(quant | high);
    }
  }
  return result;
}

bool is_half(float value) {
  return std::isfinite(value) && half_to_float(float_to_half(value)) == value;
}

bool fits(const ScaleBias& group, bool half) {
  if (half) {
    return is_half(group.scale) && is_half(group.bias);
  }
  return std::isfinite(group.scale) && std::isfinite(group.bias);
}

// The same in the bits of float16, where a block has one group. A zero point
// is a power of two, so that the bias has the scale's digits and another
// exponent.
struct HalfGroup {
  uint16_t scale;
  uint16_t bias;
  bool fits;
};

constexpr uint16_t kHalfExponent = 0x7c00;
constexpr uint16_t kHalfSign = 0x8000;

bool is_finite_half(uint16_t bits) {
  return (bits & kHalfExponent) != kHalfExponent;
}

template <typename Block>
HalfGroup with_half_minimum(const Block& block) {
  return {block.scale,
          block.minimum,
          is_finite_half(block.scale) && is_finite_half(block.minimum)};
}

uint16_t subnormal_bias(uint16_t scale, int power) {
  return float_to_half(-std::ldexp(half_to_float(scale), power));
}

/** The zero point is 2 to `power`. */
inline HalfGroup half_symmetric(uint16_t scale, int power) {
  const int exponent = (scale & kHalfExponent) >> 10;
  if (exponent == 0) {
    return {scale, subnormal_bias(scale, power), true};
  }
  return {scale,
          static_cast<uint16_t>((scale + (power << 10)) ^ kHalfSign),
          exponent + power <= 30};
}

HalfGroup half_group(const Q4_0& block) {
  return half_symmetric(block.scale, 3);
}
HalfGroup half_group(const Q5_0& block) {
  return half_symmetric(block.scale, 4);
}
HalfGroup half_group(const Q8_0& block) {
  return half_symmetric(block.scale, 7);
}
HalfGroup half_group(const Q4_1& block) {
  return with_half_minimum(block);
}
HalfGroup half_group(const Q5_1& block) {
  return with_half_minimum(block);
}

template <typename Block>
concept OneHalfGroup = requires(const Block& block) { half_group(block); };

struct Output {
  std::byte* packed;
  std::byte* scales;
  std::byte* biases;
  bool half;
};

void write_scale(float value, bool half, std::byte*& out) {
  if (half) {
    const uint16_t stored = float_to_half(value);
    std::memcpy(out, &stored, sizeof(stored));
    out += sizeof(stored);
  } else {
    std::memcpy(out, &value, sizeof(value));
    out += sizeof(value);
  }
}

template <typename Block, typename Visit>
bool all_blocks(std::span<const std::byte> bytes, const Visit& visit) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(Block)) {
    Block block;
    std::memcpy(&block, bytes.data() + at, sizeof(Block));
    if (!visit(block, bytes.data() + at)) {
      return false;
    }
  }
  return true;
}

void write_half(uint16_t bits, std::byte*& out) {
  std::memcpy(out, &bits, sizeof(bits));
  out += sizeof(bits);
}

template <typename Block>
bool write_groups(const Block& block, Output& out) {
  if constexpr (OneHalfGroup<Block>) {
    if (out.half) {
      const auto group = half_group(block);
      write_half(group.scale, out.scales);
      write_half(group.bias, out.biases);
      return group.fits;
    }
  }
  for (const auto& group : groups(block)) {
    if (!fits(group, out.half)) {
      return false;
    }
    write_scale(group.scale, out.half, out.scales);
    write_scale(group.bias, out.half, out.biases);
  }
  return true;
}

/** `stored` is where the block was copied from: two halves of a copy that was
 * just made cannot be read as one without waiting for it. */
template <int Bits, typename Block>
void write_quants(const Block& block,
                  const std::byte* stored,
                  std::byte*& out) {
  if constexpr (std::is_same_v<Block, Q4_0> || std::is_same_v<Block, Q4_1>) {
    repack_nibbles(stored + offsetof(Block, nibbles), out);
    out += block.nibbles.size();
  } else {
    const auto values = quants(block);
    pack_bits<Bits>(values.data(), values.size(), out);
    out += values.size() * Bits / 8;
  }
}

template <typename Block, int Bits>
bool rewrite(std::span<const std::byte> bytes, Output out) {
  return all_blocks<Block>(bytes,
                           [&out](const Block& block, const std::byte* stored) {
                             if (!write_groups(block, out)) {
                               return false;
                             }
                             write_quants<Bits>(block, stored, out.packed);
                             return true;
                           });
}

template <typename Block>
bool all_fit(std::span<const std::byte> bytes, bool half) {
  return all_blocks<Block>(bytes, [half](const Block& block, const std::byte*) {
    if constexpr (OneHalfGroup<Block>) {
      if (half) {
        return half_group(block).fits;
      }
    }
    for (const auto& group : groups(block)) {
      if (!fits(group, half)) {
        return false;
      }
    }
    return true;
  });
}

// The 4-bit floats. Their scales are bytes; code 8 (-0), which ggml reads as
// +0, becomes 0.

/** E8M0 255 is 2^128 to ggml and NaN elsewhere: no exact form. */
bool fits(const MXFP4& block) {
  return block.scale != 0xff;
}

/** 0xff is 480 to ggml and NaN in E4M3; 0x7f is 0 to ggml. */
bool fits(const NVFP4& block) {
  for (const uint8_t scale : block.scales) {
    if (scale == 0xff) {
      return false;
    }
  }
  return true;
}

void write_scales(const MXFP4& block, std::byte*& out) {
  *out++ = std::byte{block.scale};
}

void write_scales(const NVFP4& block, std::byte*& out) {
  for (const uint8_t scale : block.scales) {
    const auto unsigned_scale = static_cast<uint8_t>(scale & 0x7f);
    *out++ = std::byte{unsigned_scale == 0x7f ? uint8_t{0} : unsigned_scale};
  }
}

Bytes<32> codes(const MXFP4& block) {
  return unpack_nibbles(block.nibbles);
}

Bytes<64> codes(const NVFP4& block) {
  Bytes<64> result;
  for (size_t j = 0; j < 32; ++j) {
    const size_t at = j / 8 * 16 + j % 8;
    result[at] = block.nibbles[j] & 0x0f;
    result[at + 8] = block.nibbles[j] >> 4;
  }
  return result;
}

template <typename Block>
bool rewrite_floats(std::span<const std::byte> bytes, Output out) {
  return all_blocks<Block>(bytes, [&out](const Block& block, const std::byte*) {
    if (!fits(block)) {
      return false;
    }
    write_scales(block, out.scales);
    auto values = codes(block);
    for (auto& code : values) {
      code = code == 8 ? uint8_t{0} : code;
    }
    pack_bits<4>(values.data(), values.size(), out.packed);
    out.packed += values.size() / 2;
    return true;
  });
}

template <typename Block>
bool all_floats_fit(std::span<const std::byte> bytes) {
  return all_blocks<Block>(
      bytes, [](const Block& block, const std::byte*) { return fits(block); });
}

bool rewrite_type(DType dtype, std::span<const std::byte> bytes, Output out) {
  switch (dtype) {
    case DType::q4_0:
      return rewrite<Q4_0, 4>(bytes, out);
    case DType::q4_1:
      return rewrite<Q4_1, 4>(bytes, out);
    case DType::q5_0:
      return rewrite<Q5_0, 5>(bytes, out);
    case DType::q5_1:
      return rewrite<Q5_1, 5>(bytes, out);
    case DType::q8_0:
      return rewrite<Q8_0, 8>(bytes, out);
    case DType::q4_k:
      return rewrite<Q4_K, 4>(bytes, out);
    case DType::q5_k:
      return rewrite<Q5_K, 5>(bytes, out);
    case DType::mxfp4:
      return rewrite_floats<MXFP4>(bytes, out);
    default:
      return rewrite_floats<NVFP4>(bytes, out);
  }
}

bool type_fits(DType dtype, std::span<const std::byte> bytes, bool half) {
  switch (dtype) {
    case DType::q4_0:
      return all_fit<Q4_0>(bytes, half);
    case DType::q4_1:
      return all_fit<Q4_1>(bytes, half);
    case DType::q5_0:
      return all_fit<Q5_0>(bytes, half);
    case DType::q5_1:
      return all_fit<Q5_1>(bytes, half);
    case DType::q8_0:
      return all_fit<Q8_0>(bytes, half);
    case DType::q4_k:
      return all_fit<Q4_K>(bytes, half);
    case DType::q5_k:
      return all_fit<Q5_K>(bytes, half);
    case DType::mxfp4:
      return all_floats_fit<MXFP4>(bytes);
    default:
      return all_floats_fit<NVFP4>(bytes);
  }
}

void require(bool agrees, DType dtype, const char* what) {
  if (!agrees) {
    throw std::invalid_argument("ggml::to_mlx " + std::string(name(dtype)) +
                                ": wrong size of " + what);
  }
}

}  // namespace

std::optional<MlxForm> mlx_form(DType dtype) {
  switch (dtype) {
    case DType::q4_0:
      return MlxForm{"affine", 4, 32, DType::f16, true};
    case DType::q4_1:
      return MlxForm{"affine", 4, 32, DType::f16};
    case DType::q5_0:
      return MlxForm{"affine", 5, 32, DType::f16, true};
    case DType::q5_1:
      return MlxForm{"affine", 5, 32, DType::f16};
    case DType::q8_0:
      return MlxForm{"affine", 8, 32, DType::f16, true};
    case DType::q4_k:
      return MlxForm{"affine", 4, 32, DType::f32};
    case DType::q5_k:
      return MlxForm{"affine", 5, 32, DType::f32};
    case DType::mxfp4:
      return MlxForm{"mxfp4", 4, 32, DType::u8};
    case DType::nvfp4:
      return MlxForm{"nvfp4", 4, 16, DType::u8};
    default:
      return std::nullopt;
  }
}

std::optional<MlxForm> mlx_form(DType dtype, std::span<const std::byte> bytes) {
  auto form = mlx_form(dtype);
  if (!form) {
    return std::nullopt;
  }
  require(bytes.size() % info(dtype).bytes == 0, dtype, "the blocks");
  if (type_fits(dtype, bytes, form->scale_type == DType::f16)) {
    return form;
  }
  if (form->scale_type == DType::f16 && type_fits(dtype, bytes, false)) {
    form->scale_type = DType::f32;
    return form;
  }
  return std::nullopt;
}

bool to_mlx(DType dtype,
            std::span<const std::byte> bytes,
            std::span<uint32_t> packed,
            std::span<std::byte> scales,
            std::span<std::byte> biases) {
  const auto form = mlx_form(dtype);
  require(form.has_value(), dtype, "the blocks: the type has no form");
  const auto& block = info(dtype);
  require(bytes.size() % block.bytes == 0, dtype, "the blocks");
  const size_t values = bytes.size() / block.bytes * block.elements;
  const size_t count = values / static_cast<size_t>(form->group_size);
  const auto bits = static_cast<size_t>(form->bits);
  require(packed.size() == values / 32 * bits, dtype, "packed");
  if (form->scale_type == DType::u8) {
    require(scales.size() == count, dtype, "scales");
    require(biases.empty(), dtype, "biases");
  } else {
    require(scales.size() == count * 2 || scales.size() == count * 4,
            dtype,
            "scales");
    require(biases.size() == scales.size(), dtype, "biases");
  }
  return rewrite_type(dtype,
                      bytes,
                      {std::as_writable_bytes(packed).data(),
                       scales.data(),
                       biases.data(),
                       scales.size() == count * 2});
}

}  // namespace assay::ggml
