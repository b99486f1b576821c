// Dequantization of ggml's K types: blocks of 256 elements whose groups have
// quantized scales and minimums of their own. The order of operations is
// gguf-py's; the inner loops are counted, so they vectorize.

#include "assay/formats/float_types.h"
#include "assay/formats/ggml_blocks.h"

namespace assay::ggml {

// Six bits each. The lower four groups are whole in bytes 0-3 (scales) and
// 4-7 (minimums), whose upper two bits complete the nibbles of bytes 8-11.
ScalesAndMinimums unpack_scales(const Bytes<12>& packed) {
  ScalesAndMinimums result;
  for (size_t j = 0; j < 4; ++j) {
    result.scales[j] = packed[j] & 0x3f;
    result.minimums[j] = packed[j + 4] & 0x3f;
    result.scales[j + 4] = static_cast<uint8_t>((packed[j + 8] & 0x0f) |
                                                ((packed[j] >> 2) & 0x30));
    result.minimums[j + 4] = static_cast<uint8_t>(
        (packed[j + 8] >> 4) | ((packed[j + 4] >> 2) & 0x30));
  }
  return result;
}

namespace {

void decode(const Q2_K& block, float* out) {
  const float scale = half_to_float(block.scale);
  const float minimum = half_to_float(block.minimum);
  for (size_t group = 0; group < 16; ++group) {
    // A run of 32 bytes holds 128 elements: bits 0-1 the first 32 of them.
    const size_t first = group / 8 * 32 + group % 2 * 16;
    const size_t shift = group % 8 / 2 * 2;
    const float d = scale * static_cast<float>(block.scales[group] & 0x0f);
    const float m = minimum * static_cast<float>(block.scales[group] >> 4);
    for (size_t j = 0; j < 16; ++j) {
      const int quant = (block.quants[first + j] >> shift) & 3;
      out[j] = d * static_cast<float>(quant) - m;
    }
    out += 16;
  }
}

std::array<int, 16> unpack_scales_3(const Bytes<12>& packed) {
  std::array<int, 16> scales;
  for (size_t j = 0; j < 16; ++j) {
    const int low = (packed[j % 8] >> (j / 8 * 4)) & 0x0f;
    const int high = (packed[8 + j % 4] >> (j / 4 * 2)) & 3;
    scales[j] = (low | (high << 4)) - 32;
  }
  return scales;
}

void decode(const Q3_K& block, float* out) {
  const float scale = half_to_float(block.scale);
  const auto scales = unpack_scales_3(block.scales);
  for (size_t group = 0; group < 16; ++group) {
    const size_t half = group % 2 * 16;
    const size_t first = group / 8 * 32 + half;
    const size_t shift = group % 8 / 2 * 2;
    const size_t high_bit = group / 2;
    const float d = scale * static_cast<float>(scales[group]);
    for (size_t j = 0; j < 16; ++j) {
      // The high bit is stored inverted: where it is clear, 4 is taken off.
      const int high = ((block.high[half + j] >> high_bit) & 1) << 2;
      const int quant = ((block.quants[first + j] >> shift) & 3) + high - 4;
      out[j] = d * static_cast<float>(quant);
    }
    out += 16;
  }
}

void decode(const Q4_K& block, float* out) {
  const float scale = half_to_float(block.scale);
  const float minimum = half_to_float(block.minimum);
  const auto groups = unpack_scales(block.scales);
  for (size_t group = 0; group < 8; ++group) {
    const float d = scale * static_cast<float>(groups.scales[group]);
    const float m = minimum * static_cast<float>(groups.minimums[group]);
    const size_t first = group / 2 * 32;
    const size_t shift = group % 2 * 4;
    for (size_t j = 0; j < 32; ++j) {
      const int quant = (block.nibbles[first + j] >> shift) & 0x0f;
      out[j] = d * static_cast<float>(quant) - m;
    }
    out += 32;
  }
}

void decode(const Q5_K& block, float* out) {
  const float scale = half_to_float(block.scale);
  const float minimum = half_to_float(block.minimum);
  const auto groups = unpack_scales(block.scales);
  for (size_t group = 0; group < 8; ++group) {
    const float d = scale * static_cast<float>(groups.scales[group]);
    const float m = minimum * static_cast<float>(groups.minimums[group]);
    const size_t first = group / 2 * 32;
    const size_t shift = group % 2 * 4;
    for (size_t j = 0; j < 32; ++j) {
      const int low = (block.nibbles[first + j] >> shift) & 0x0f;
      const int high = (block.high[j] >> group) & 1;
      out[j] = d * static_cast<float>(low | (high << 4)) - m;
    }
    out += 32;
  }
}

void decode(const Q6_K& block, float* out) {
  const float scale = half_to_float(block.scale);
  for (size_t group = 0; group < 16; ++group) {
    // 128 elements: 64 bytes of low nibbles (bytes 0-63 low, then the same
    // bytes high), 32 bytes of upper pairs.
    const size_t half = group / 8;
    const size_t low_first = half * 64 + group % 4 * 16;
    const size_t low_shift = group % 8 / 4 * 4;
    const size_t high_first = half * 32 + group % 2 * 16;
    const size_t high_shift = group % 8 / 2 * 2;
    const float d = scale * static_cast<float>(block.scales[group]);
    for (size_t j = 0; j < 16; ++j) {
      const int low = (block.low[low_first + j] >> low_shift) & 0x0f;
      const int high = (block.high[high_first + j] >> high_shift) & 3;
      out[j] = d * static_cast<float>((low | (high << 4)) - 32);
    }
    out += 16;
  }
}

void decode(const Q8_K& block, float* out) {
  for (size_t j = 0; j < Q8_K::kElements; ++j) {
    out[j] = block.scale * static_cast<float>(block.quants[j]);
  }
}

template <typename Block>
bool run_k(std::span<const std::byte> bytes, std::span<float> values) {
  for_each_block<Block>(bytes, values, [](const Block& block, float* out) {
    decode(block, out);
  });
  return true;
}

}  // namespace

bool dequantize_k(DType dtype,
                  std::span<const std::byte> bytes,
                  std::span<float> values) {
  switch (dtype) {
    case DType::q2_k:
      return run_k<Q2_K>(bytes, values);
    case DType::q3_k:
      return run_k<Q3_K>(bytes, values);
    case DType::q4_k:
      return run_k<Q4_K>(bytes, values);
    case DType::q5_k:
      return run_k<Q5_K>(bytes, values);
    case DType::q6_k:
      return run_k<Q6_K>(bytes, values);
    case DType::q8_k:
      return run_k<Q8_K>(bytes, values);
    default:
      return false;
  }
}

}  // namespace assay::ggml
