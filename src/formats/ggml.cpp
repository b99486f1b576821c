#include "assay/formats/ggml.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include "assay/core/finding.h"
#include "assay/formats/float_types.h"
#include "assay/formats/ggml_blocks.h"

namespace assay::ggml {
namespace {

void check_sizes(DType dtype, size_t bytes, size_t values) {
  if (byte_size(dtype, values) != bytes) {
    throw std::invalid_argument("ggml: " + std::to_string(bytes) +
                                " bytes for " + std::to_string(values) +
                                " values of " + std::string(name(dtype)));
  }
}

/** One stored element each, unaligned, through `convert`. */
template <typename Stored, typename Convert>
bool convert_all(std::span<const std::byte> bytes,
                 std::span<float> values,
                 const Convert& convert) {
  const std::byte* source = bytes.data();
  for (float& value : values) {
    Stored stored;
    std::memcpy(&stored, source, sizeof(Stored));
    value = convert(stored);
    source += sizeof(Stored);
  }
  return true;
}

template <typename Number>
bool numbers(std::span<const std::byte> bytes, std::span<float> values) {
  return convert_all<Number>(
      bytes, values, [](Number number) { return static_cast<float>(number); });
}

bool dequantize_f4(std::span<const std::byte> bytes, std::span<float> values) {
  for (size_t i = 0; i < values.size(); ++i) {
    const auto pair = std::to_integer<uint8_t>(bytes[i / 2]);
    values[i] = e2m1_to_float(pair >> (i % 2 * 4) & 0x0f);
  }
  return true;
}

bool dequantize_plain(DType dtype,
                      std::span<const std::byte> bytes,
                      std::span<float> values) {
  switch (dtype) {
    case DType::boolean:
      return convert_all<uint8_t>(bytes, values, [](uint8_t truth) {
        return truth != 0 ? 1.0f : 0.0f;
      });
    case DType::u8:
      return numbers<uint8_t>(bytes, values);
    case DType::i8:
      return numbers<int8_t>(bytes, values);
    case DType::u16:
      return numbers<uint16_t>(bytes, values);
    case DType::i16:
      return numbers<int16_t>(bytes, values);
    case DType::u32:
      return numbers<uint32_t>(bytes, values);
    case DType::i32:
      return numbers<int32_t>(bytes, values);
    case DType::u64:
      return numbers<uint64_t>(bytes, values);
    case DType::i64:
      return numbers<int64_t>(bytes, values);
    case DType::f16:
      return convert_all<uint16_t>(bytes, values, half_to_float);
    case DType::bf16:
      return convert_all<uint16_t>(bytes, values, bfloat_to_float);
    case DType::f32:
      if (!bytes.empty()) {
        std::memcpy(values.data(), bytes.data(), bytes.size());
      }
      return true;
    case DType::f64:
      return numbers<double>(bytes, values);
    case DType::f8_e4m3:
      return convert_all<uint8_t>(bytes, values, e4m3_to_float);
    case DType::f8_e5m2:
      return convert_all<uint8_t>(bytes, values, e5m2_to_float);
    case DType::f8_e8m0:
      return convert_all<uint8_t>(bytes, values, e8m0_to_float);
    case DType::f4:
      return dequantize_f4(bytes, values);
    default:
      return false;
  }
}

}  // namespace

void dequantize(DType dtype,
                std::span<const std::byte> bytes,
                std::span<float> values) {
  check_sizes(dtype, bytes.size(), values.size());
  if (dequantize_plain(dtype, bytes, values) ||
      dequantize_legacy(dtype, bytes, values) ||
      dequantize_k(dtype, bytes, values) ||
      dequantize_iq(dtype, bytes, values)) {
    return;
  }
  fail("tensor.dtype-unsupported",
       "dequantize",
       "an element type whose values are real numbers of known layout",
       std::string(name(dtype)));
}

void quantize(DType dtype,
              std::span<const float> values,
              std::span<std::byte> bytes) {
  if (!can_quantize(dtype)) {
    fail("tensor.dtype-unsupported",
         "quantize",
         "a type that can be written: F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, "
         "Q5_1",
         std::string(name(dtype)));
  }
  check_sizes(dtype, bytes.size(), values.size());
  quantize_blocks(dtype, values, bytes);
}

}  // namespace assay::ggml
