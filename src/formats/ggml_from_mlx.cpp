#include "assay/formats/ggml_from_mlx.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "assay/formats/bit_pack.h"
#include "assay/formats/float_types.h"
#include "assay/formats/ggml_blocks.h"

namespace assay::ggml {
namespace {

constexpr size_t kBlock = 32;  // values of every block type here

// Scales or biases, whatever their type.
class Scales {
 public:
  Scales(DType type, std::span<const std::byte> bytes)
      : type_(type), bytes_(bytes) {}
  size_t size() const { return bytes_.size() / info(type_).bytes; }
  float operator[](size_t i) const {
    if (type_ == DType::f32) {
      float value = 0;
      std::memcpy(&value, bytes_.data() + 4 * i, sizeof(value));
      return value;
    }
    uint16_t code = 0;
    std::memcpy(&code, bytes_.data() + 2 * i, sizeof(code));
    return type_ == DType::f16 ? half_to_float(code) : bfloat_to_float(code);
  }

 private:
  DType type_;
  std::span<const std::byte> bytes_;
};

bool fits_half(float value) {
  return std::isfinite(value) && half_to_float(float_to_half(value)) == value;
}

struct Types {
  int bits;
  float zero_point;
  DType symmetric;
  std::optional<DType> with_minimum;
};

std::optional<Types> types_of(int bits) {
  switch (bits) {
    case 4:
      return Types{4, 8, DType::q4_0, DType::q4_1};
    case 5:
      return Types{5, 16, DType::q5_0, DType::q5_1};
    case 8:
      return Types{8, 128, DType::q8_0, std::nullopt};
    default:
      return std::nullopt;
  }
}

template <typename Block>
void put(const Block& block, std::byte*& out) {
  std::memcpy(out, &block, sizeof(Block));
  out += sizeof(Block);
}

Bytes<16> pack_mlx_nibbles(const std::array<uint8_t, kBlock>& q) {
  Bytes<16> nibbles;
  for (size_t j = 0; j < 16; ++j) {
    nibbles[j] = static_cast<uint8_t>((q[j] & 15) | (q[j + 16] & 15) << 4);
  }
  return nibbles;
}

std::array<uint16_t, 2> fifth_bits(const std::array<uint8_t, kBlock>& q) {
  std::array<uint16_t, 2> high{};
  for (size_t j = 0; j < kBlock; ++j) {
    auto bit = static_cast<uint16_t>((q[j] >> 4 & 1) << (j % 16));
    high[j / 16] = static_cast<uint16_t>(high[j / 16] | bit);
  }
  return high;
}

void put_block(DType type,
               uint16_t scale,
               uint16_t bias,
               const std::array<uint8_t, kBlock>& q,
               std::byte*& out) {
  switch (type) {
    case DType::q4_0:
      return put(Q4_0{scale, pack_mlx_nibbles(q)}, out);
    case DType::q4_1:
      return put(Q4_1{scale, bias, pack_mlx_nibbles(q)}, out);
    case DType::q5_0:
      return put(Q5_0{scale, fifth_bits(q), pack_mlx_nibbles(q)}, out);
    case DType::q5_1:
      return put(Q5_1{scale, bias, fifth_bits(q), pack_mlx_nibbles(q)}, out);
    default: {
      Q8_0 block{scale, {}};
      for (size_t j = 0; j < kBlock; ++j) {
        block.quants[j] = static_cast<int8_t>(q[j] - 128);
      }
      return put(block, out);
    }
  }
}

template <int Bits>
void write_affine(DType type,
                  size_t blocks_per_group,
                  std::span<const uint32_t> packed,
                  const Scales& scales,
                  const Scales& biases,
                  std::byte* out) {
  const auto* in = reinterpret_cast<const std::byte*>(packed.data());
  std::array<uint8_t, kBlock> q;
  for (size_t group = 0; group < scales.size(); ++group) {
    const uint16_t scale = float_to_half(scales[group]);
    const uint16_t bias = float_to_half(biases[group]);
    for (size_t i = 0; i < blocks_per_group; ++i) {
      unpack_bits<Bits>(in, kBlock, q.data());
      in += kBlock * Bits / 8;
      put_block(type, scale, bias, q, out);
    }
  }
}

void write_mxfp4(std::span<const uint32_t> packed,
                 std::span<const std::byte> scales,
                 std::byte* out) {
  const auto* in = reinterpret_cast<const std::byte*>(packed.data());
  std::array<uint8_t, kBlock> q;
  for (std::byte scale : scales) {
    unpack_bits<4>(in, kBlock, q.data());
    in += kBlock / 2;
    put(MXFP4{std::to_integer<uint8_t>(scale), pack_mlx_nibbles(q)}, out);
  }
}

void require(bool agrees) {
  if (!agrees) {
    throw std::invalid_argument("ggml::from_mlx: sizes or types disagree");
  }
}

}  // namespace

std::optional<DType> block_type_of(const Quantization& quantization,
                                   DType scale_type,
                                   std::span<const std::byte> scales,
                                   std::span<const std::byte> biases) {
  if (quantization.mode == "mxfp4") {
    for (std::byte scale : scales) {
      if (scale == std::byte{0xff}) {  // NaN in MLX, a power of two to ggml
        return std::nullopt;
      }
    }
    return DType::mxfp4;
  }
  auto types = types_of(quantization.bits);
  if (quantization.mode != "affine" || !types) {
    return std::nullopt;
  }
  const Scales scale(scale_type, scales);
  const Scales bias(scale_type, biases);
  bool symmetric = true;
  for (size_t i = 0; i < scale.size(); ++i) {
    if (!fits_half(scale[i])) {
      return std::nullopt;
    }
    symmetric = symmetric && bias[i] == -types->zero_point * scale[i];
    if (!symmetric && !fits_half(bias[i])) {
      return std::nullopt;
    }
  }
  if (symmetric) {
    return types->symmetric;
  }
  // A bias before the first that is not symmetric may not fit either.
  for (size_t i = 0; i < bias.size(); ++i) {
    if (!fits_half(bias[i])) {
      return std::nullopt;
    }
  }
  return types->with_minimum;
}

void from_mlx(DType block_type,
              const Quantization& quantization,
              DType scale_type,
              std::span<const uint32_t> packed,
              std::span<const std::byte> scales,
              std::span<const std::byte> biases,
              std::span<std::byte> blocks) {
  const size_t count = packed.size() * 32 / kBlock / quantization.bits;
  require(blocks.size() == count * info(block_type).bytes);
  if (block_type == DType::mxfp4) {
    require(scales.size() == count && biases.empty());
    write_mxfp4(packed, scales, blocks.data());
    return;
  }
  const Scales scale(scale_type, scales);
  const Scales bias(scale_type, biases);
  const auto repeat = static_cast<size_t>(quantization.group_size) / kBlock;
  require(scale.size() * repeat == count && bias.size() == scale.size());
  if (quantization.bits == 4) {
    write_affine<4>(block_type, repeat, packed, scale, bias, blocks.data());
  } else if (quantization.bits == 5) {
    write_affine<5>(block_type, repeat, packed, scale, bias, blocks.data());
  } else {
    require(quantization.bits == 8);
    write_affine<8>(block_type, repeat, packed, scale, bias, blocks.data());
  }
}

}  // namespace assay::ggml
