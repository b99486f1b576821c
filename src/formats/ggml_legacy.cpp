// Dequantization of ggml's types with one small block: Q1_0 to Q8_1, IQ4_NL,
// MXFP4, NVFP4, and of the ternary TQ1_0 and TQ2_0. The operations and their
// order are those of gguf-py; the inner loops are counted, so they vectorize.

#include "assay/formats/float_types.h"
#include "assay/formats/ggml_blocks.h"

namespace assay::ggml {
namespace {

template <typename Quants>
void scaled(const Quants& quants, int offset, float scale, float* out) {
  for (size_t j = 0; j < quants.size(); ++j) {
    out[j] = static_cast<float>(quants[j] - offset) * scale;
  }
}

void affine(const Bytes<32>& quants, float scale, float minimum, float* out) {
  for (size_t j = 0; j < quants.size(); ++j) {
    out[j] = static_cast<float>(quants[j]) * scale + minimum;
  }
}

void decode(const Q1_0& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t j = 0; j < Q1_0::kElements; ++j) {
    out[j] = ((block.bits[j / 8] >> (j % 8)) & 1) != 0 ? scale : -scale;
  }
}

void decode(const Q2_0& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t j = 0; j < Q2_0::kElements; ++j) {
    const int quant = (block.quants[j / 4] >> (j % 4 * 2)) & 3;
    out[j] = static_cast<float>(quant - 1) * scale;
  }
}

void decode(const Q4_0& block, float* out) {
  scaled(unpack_nibbles(block.nibbles), 8, half_to_float(block.scale), out);
}

void decode(const Q4_1& block, float* out) {
  affine(unpack_nibbles(block.nibbles),
         half_to_float(block.scale),
         half_to_float(block.minimum),
         out);
}

void decode(const Q5_0& block, float* out) {
  scaled(unpack_fives(block.nibbles, block.high),
         16,
         half_to_float(block.scale),
         out);
}

void decode(const Q5_1& block, float* out) {
  affine(unpack_fives(block.nibbles, block.high),
         half_to_float(block.scale),
         half_to_float(block.minimum),
         out);
}

void decode(const Q8_0& block, float* out) {
  scaled(block.quants, 0, half_to_float(block.scale), out);
}

void decode(const Q8_1& block, float* out) {
  scaled(block.quants, 0, half_to_float(block.scale), out);
}

template <size_t N>
std::array<int8_t, N> look_up(const Bytes<N>& nibbles,
                              const std::array<int8_t, 16>& table) {
  std::array<int8_t, N> values;
  for (size_t j = 0; j < N; ++j) {
    values[j] = table[nibbles[j]];
  }
  return values;
}

void decode(const IQ4_NL& block, float* out) {
  scaled(look_up(unpack_nibbles(block.nibbles), kIq4Values),
         0,
         half_to_float(block.scale),
         out);
}

/** Half of 2^(code - 127): the values that it multiplies are doubled. Code 255
 * is not a NaN to ggml but goes on as a power of two. */
float half_of_e8m0(uint8_t code) {
  return std::bit_cast<float>(code < 2 ? 0x00200000u << code
                                       : (code - 1u) << 23);
}

void decode(const MXFP4& block, float* out) {
  scaled(look_up(unpack_nibbles(block.nibbles), kE2m1Doubled),
         0,
         half_of_e8m0(block.scale),
         out);
}

/** Half of an E4M3 scale. ggml ignores the sign bit, takes 0x7f for zero (and
 * 0xff, by the way its test is written, for 480). */
float half_of_e4m3(uint8_t code) {
  if (code == 0x7f) {
    return 0.0f;
  }
  const auto half = static_cast<uint16_t>((code & 0x7f) << 7);
  return half_to_float(half) * 0x1p7f;
}

void decode(const NVFP4& block, float* out) {
  for (size_t group = 0; group < 4; ++group) {
    const float scale = half_of_e4m3(block.scales[group]);
    for (size_t j = 0; j < 8; ++j) {
      const uint8_t pair = block.nibbles[group * 8 + j];
      out[group * 16 + j] = kE2m1Doubled[pair & 0x0f] * scale;
      out[group * 16 + j + 8] = kE2m1Doubled[pair >> 4] * scale;
    }
  }
}

// A byte of base-3 digits is a fraction of 256: times 3^n (modulo 256) brings
// digit n to the front, times 3 above 256 reads it.
template <size_t N>
void decode_ternary(const uint8_t* bytes, int digits, float scale, float* out) {
  uint8_t power = 1;
  for (int digit = 0; digit < digits; ++digit) {
    for (size_t j = 0; j < N; ++j) {
      const auto shifted = static_cast<uint8_t>(bytes[j] * power);
      out[j] = static_cast<float>((shifted * 3 >> 8) - 1) * scale;
    }
    out += N;
    power = static_cast<uint8_t>(power * 3);
  }
}

void decode(const TQ1_0& block, float* out) {
  const float scale = half_to_float(block.scale);
  decode_ternary<32>(block.fives.data(), 5, scale, out);
  decode_ternary<16>(block.fives.data() + 32, 5, scale, out + 160);
  decode_ternary<4>(block.fours.data(), 4, scale, out + 240);
}

void decode(const TQ2_0& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t half = 0; half < 2; ++half) {
    for (int shift = 0; shift < 8; shift += 2) {
      for (size_t j = 0; j < 32; ++j) {
        const int quant = (block.quants[half * 32 + j] >> shift) & 3;
        out[j] = static_cast<float>(quant - 1) * scale;
      }
      out += 32;
    }
  }
}

template <typename Block>
bool run_legacy(std::span<const std::byte> bytes, std::span<float> values) {
  for_each_block<Block>(bytes, values, [](const Block& block, float* out) {
    decode(block, out);
  });
  return true;
}

}  // namespace

bool dequantize_legacy(DType dtype,
                       std::span<const std::byte> bytes,
                       std::span<float> values) {
  switch (dtype) {
    case DType::q1_0:
      return run_legacy<Q1_0>(bytes, values);
    case DType::q2_0:
      return run_legacy<Q2_0>(bytes, values);
    case DType::q4_0:
      return run_legacy<Q4_0>(bytes, values);
    case DType::q4_1:
      return run_legacy<Q4_1>(bytes, values);
    case DType::q5_0:
      return run_legacy<Q5_0>(bytes, values);
    case DType::q5_1:
      return run_legacy<Q5_1>(bytes, values);
    case DType::q8_0:
      return run_legacy<Q8_0>(bytes, values);
    case DType::q8_1:
      return run_legacy<Q8_1>(bytes, values);
    case DType::iq4_nl:
      return run_legacy<IQ4_NL>(bytes, values);
    case DType::mxfp4:
      return run_legacy<MXFP4>(bytes, values);
    case DType::nvfp4:
      return run_legacy<NVFP4>(bytes, values);
    case DType::tq1_0:
      return run_legacy<TQ1_0>(bytes, values);
    case DType::tq2_0:
      return run_legacy<TQ2_0>(bytes, values);
    default:
      return false;
  }
}

}  // namespace assay::ggml
