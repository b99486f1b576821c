// Dequantization of ggml's IQ types: groups of 8 (or 4) elements are points of
// a grid, with signs and scales beside them. The order of operations is
// gguf-py's.

#include <bit>

#include "assay/formats/float_types.h"
#include "assay/formats/ggml_blocks.h"
#include "assay/formats/ggml_iq_tables.h"

namespace assay::ggml {
namespace {

/** Eight signs out of seven bits: the eighth makes their number even. */
unsigned even_signs(unsigned seven) {
  return seven | (static_cast<unsigned>(std::popcount(seven)) & 1u) << 7;
}

/** scale * point, negative where the bit of `signs` is set. */
template <size_t Width>
void write_signed(const std::array<int8_t, Width>& point,
                  unsigned signs,
                  float scale,
                  float* out) {
  for (size_t j = 0; j < Width; ++j) {
    const float value = scale * static_cast<float>(point[j]);
    out[j] = ((signs >> j) & 1u) != 0 ? -value : value;
  }
}

/** IQ1: scale * (point + delta). */
void write_shifted(const std::array<int8_t, 8>& point,
                   bool negative,
                   float scale,
                   float* out) {
  const float delta = negative ? -0.125f : 0.125f;
  for (size_t j = 0; j < 8; ++j) {
    out[j] = scale * (static_cast<float>(point[j]) + delta);
  }
}

unsigned nibble(const uint8_t* bytes, size_t index) {
  return static_cast<unsigned>(bytes[index / 2] >> (index % 2 * 4)) & 0x0fu;
}

float iq2_scale(float scale, unsigned quant) {
  return scale * (0.5f + static_cast<float>(quant)) * 0.25f;
}

void decode(const IQ1_S& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t group = 0; group < 8; ++group) {
    const unsigned high = block.high[group];
    const float d = scale * static_cast<float>(2 * ((high >> 12) & 7u) + 1);
    for (size_t part = 0; part < 4; ++part) {
      const size_t point =
          block.index[group * 4 + part] | ((high >> (part * 3)) & 7u) << 8;
      write_shifted(kGridIq1[point], (high & 0x8000u) != 0, d, out);
      out += 8;
    }
  }
}

void decode(const IQ1_M& block, float* out) {
  unsigned packed = 0;
  for (size_t j = 0; j < 4; ++j) {
    packed |= static_cast<unsigned>(block.scales[j] >> 12) << (j * 4);
  }
  const float scale = half_to_float(static_cast<uint16_t>(packed));
  for (size_t part = 0; part < 32; ++part) {
    const size_t group = part / 2;
    const unsigned quant =
        static_cast<unsigned>(block.scales[group / 4] >> (group % 4 * 3)) & 7u;
    const unsigned high = nibble(block.high.data(), part);
    const size_t point = block.index[part] | (high & 7u) << 8;
    write_shifted(kGridIq1[point],
                  (high & 8u) != 0,
                  scale * static_cast<float>(2 * quant + 1),
                  out);
    out += 8;
  }
}

void decode(const IQ2_XXS& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t group = 0; group < 8; ++group) {
    // Four grid indices of 8 bits, then four signs of 7 bits and the scale.
    const uint16_t* quants = block.quants.data() + group * 4;
    const unsigned index = quants[0] | static_cast<unsigned>(quants[1]) << 16;
    const unsigned rest = quants[2] | static_cast<unsigned>(quants[3]) << 16;
    const float d = iq2_scale(scale, rest >> 28);
    for (size_t part = 0; part < 4; ++part) {
      write_signed(kGridIq2Xxs[(index >> (part * 8)) & 0xffu],
                   even_signs((rest >> (part * 7)) & 0x7fu),
                   d,
                   out);
      out += 8;
    }
  }
}

void decode(const IQ2_XS& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t part = 0; part < 32; ++part) {
    const unsigned quant = block.quants[part];
    write_signed(kGridIq2Xs[quant & 0x1ffu],
                 even_signs(quant >> 9),
                 iq2_scale(scale, nibble(block.scales.data(), part / 2)),
                 out);
    out += 8;
  }
}

void decode(const IQ2_S& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t part = 0; part < 32; ++part) {
    const unsigned high = (block.high[part / 4] >> (part % 4 * 2)) & 3u;
    write_signed(kGridIq2S[block.index[part] | high << 8],
                 block.signs[part],
                 iq2_scale(scale, nibble(block.scales.data(), part / 2)),
                 out);
    out += 8;
  }
}

void decode(const IQ3_XXS& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t group = 0; group < 8; ++group) {
    const uint16_t* words = block.scales_signs.data() + group * 2;
    const unsigned rest = words[0] | static_cast<unsigned>(words[1]) << 16;
    const float d = scale * (0.5f + static_cast<float>(rest >> 28)) * 0.5f;
    for (size_t part = 0; part < 8; ++part) {
      const unsigned signs = even_signs((rest >> (part / 2 * 7)) & 0x7fu);
      write_signed(kGridIq3Xxs[block.index[group * 8 + part]],
                   signs >> (part % 2 * 4),
                   d,
                   out);
      out += 4;
    }
  }
}

void decode(const IQ3_S& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t part = 0; part < 64; ++part) {
    const size_t group = part / 8;
    const unsigned quant = nibble(block.scales.data(), group);
    const unsigned high = (block.high[group] >> (part % 8)) & 1u;
    write_signed(kGridIq3S[block.index[part] | high << 8],
                 nibble(block.signs.data(), part),
                 scale * static_cast<float>(1 + 2 * quant),
                 out);
    out += 4;
  }
}

void decode(const IQ4_XS& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t group = 0; group < 8; ++group) {
    const unsigned low = nibble(block.scales_low.data(), group);
    const unsigned high = (block.scales_high >> (group * 2)) & 3u;
    const int quant = static_cast<int>(low | high << 4) - 32;
    const float d = scale * static_cast<float>(quant);
    for (size_t j = 0; j < 16; ++j) {
      const uint8_t pair = block.nibbles[group * 16 + j];
      out[j] = d * kIq4Values[pair & 0x0f];
      out[j + 16] = d * kIq4Values[pair >> 4];
    }
    out += 32;
  }
}

template <typename Block>
bool run_iq(std::span<const std::byte> bytes, std::span<float> values) {
  for_each_block<Block>(bytes, values, [](const Block& block, float* out) {
    decode(block, out);
  });
  return true;
}

}  // namespace

bool dequantize_iq(DType dtype,
                   std::span<const std::byte> bytes,
                   std::span<float> values) {
  switch (dtype) {
    case DType::iq1_s:
      return run_iq<IQ1_S>(bytes, values);
    case DType::iq1_m:
      return run_iq<IQ1_M>(bytes, values);
    case DType::iq2_xxs:
      return run_iq<IQ2_XXS>(bytes, values);
    case DType::iq2_xs:
      return run_iq<IQ2_XS>(bytes, values);
    case DType::iq2_s:
      return run_iq<IQ2_S>(bytes, values);
    case DType::iq3_xxs:
      return run_iq<IQ3_XXS>(bytes, values);
    case DType::iq3_s:
      return run_iq<IQ3_S>(bytes, values);
    case DType::iq4_xs:
      return run_iq<IQ4_XS>(bytes, values);
    default:
      return false;
  }
}

}  // namespace assay::ggml
