// Golden values: gguf-py 0.19 and mlx 0.32.4, by tools/golden.

#include "assay/formats/ggml.h"

#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "assay/core/finding.h"
#include "assay/formats/affine.h"
#include "assay/formats/float_types.h"
#include "assay/formats/ggml_iq_tables.h"

#include "golden_file.h"

using namespace assay;
using namespace assay::test;

namespace {

const Golden& types() {
  static const Golden golden = read_golden("ggml/ggml_types.safetensors");
  return golden;
}

std::vector<float> dequantized(DType dtype,
                               const std::vector<std::byte>& bytes) {
  const auto& block = info(dtype);
  std::vector<float> values(bytes.size() / block.bytes * block.elements);
  ggml::dequantize(dtype, bytes, values);
  return values;
}

template <typename T>
std::vector<float> dequantized(DType dtype, const std::vector<T>& stored) {
  return dequantized(dtype, bytes_of(stored));
}

std::vector<std::byte> quantized(DType dtype,
                                 const std::vector<float>& values) {
  std::vector<std::byte> bytes(*byte_size(dtype, values.size()));
  ggml::quantize(dtype, values, bytes);
  return bytes;
}

std::string error_id(DType dtype, const std::vector<float>& values) {
  try {
    quantized(dtype, values);
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "";
}

struct Packed {
  std::vector<uint32_t> words;
  std::vector<std::byte> scales;
  std::vector<std::byte> biases;
  bool exact;
};

Packed packed(DType dtype,
              const ggml::MlxForm& form,
              const std::vector<std::byte>& bytes) {
  const auto& block = info(dtype);
  const auto sizes =
      quantized_sizes(form.mode,
                      form.group_size,
                      form.bits,
                      bytes.size() / block.bytes * block.elements);
  const size_t scale_bytes = sizes.groups * info(form.scale_type).bytes;
  Packed result;
  result.words.resize(sizes.words);
  result.scales.resize(scale_bytes);
  result.biases.resize(form.mode == "affine" ? scale_bytes : 0);
  result.exact =
      ggml::to_mlx(dtype, bytes, result.words, result.scales, result.biases);
  return result;
}

std::vector<float> unpacked(const ggml::MlxForm& form, const Packed& packed) {
  const size_t bits = static_cast<size_t>(form.bits);
  std::vector<float> values(packed.words.size() * 32 / bits);
  if (form.mode == "affine") {
    dequantize_affine(packed.words,
                      packed.scales,
                      packed.biases,
                      form.group_size,
                      form.bits,
                      form.scale_type,
                      values);
  } else {
    dequantize_fp(form.mode, packed.words, as<uint8_t>(packed.scales), values);
  }
  return values;
}

/** One Q8_0 block with that scale. */
std::vector<std::byte> q8_block(uint16_t scale) {
  std::vector<std::byte> block(34, std::byte{3});
  std::memcpy(block.data(), &scale, sizeof(scale));
  return block;
}

constexpr DType kMapped[] = {DType::q4_0,
                             DType::q4_1,
                             DType::q5_0,
                             DType::q5_1,
                             DType::q8_0,
                             DType::q4_k,
                             DType::q5_k,
                             DType::mxfp4,
                             DType::nvfp4};

}  // namespace

TEST_CASE("every type has the values that gguf-py reads, to the bit") {
  size_t compared = 0;
  for (const auto& [key, bytes] : types()) {
    if (!key.ends_with(".bytes")) {
      continue;
    }
    const auto type = key.substr(0, key.size() - 6);
    const auto dtype = dtype_from_name(type);
    REQUIRE(dtype.has_value());
    const auto golden = as<float>(types().at(type + ".values"));
    const auto values = dequantized(*dtype, bytes);
    CAPTURE(type);
    CHECK(values.size() == golden.size());
    CHECK(first_difference(values, golden) == golden.size());
    ++compared;
  }
  CHECK(compared == 33);
}

TEST_CASE("every point of the IQ grids is ggml's") {
  const auto golden = read_golden("ggml/numbers.safetensors");
  const auto check = [&golden](const char* type, const auto& grid) {
    std::vector<std::byte> bytes(sizeof(grid));
    std::memcpy(bytes.data(), grid.data(), sizeof(grid));
    CAPTURE(type);
    CHECK(bytes == golden.at(type));
  };
  check("IQ2_XXS", ggml::kGridIq2Xxs);
  check("IQ2_XS", ggml::kGridIq2Xs);
  check("IQ2_S", ggml::kGridIq2S);
  check("IQ3_XXS", ggml::kGridIq3Xxs);
  check("IQ3_S", ggml::kGridIq3S);
  check("IQ1_S", ggml::kGridIq1);
}

TEST_CASE("Q8_1: scale times integer; the stored sum is not used") {
  std::vector<std::byte> block(36, std::byte{0});
  const uint16_t scale_and_sum[] = {0x3400, 0x7c00};  // 0.25, infinity
  std::memcpy(block.data(), scale_and_sum, 4);
  block[4] = std::byte{0x80};
  block[35] = std::byte{0x7f};
  const auto values = dequantized(DType::q8_1, block);
  CHECK(values[0] == -32.0f);
  CHECK(values[1] == 0.0f);
  CHECK(values[31] == 31.75f);
}

TEST_CASE("Q2_0: two bits an element, first lowest, minus one") {
  std::vector<std::byte> block(18, std::byte{0});
  block[1] = std::byte{0x40};  // 2.0
  block[2] = std::byte{0b11'10'01'00};
  const auto values = dequantized(DType::q2_0, block);
  REQUIRE(values.size() == 64);
  CHECK(values[0] == -2.0f);
  CHECK(values[1] == 0.0f);
  CHECK(values[2] == 2.0f);
  CHECK(values[3] == 4.0f);
  CHECK(values[63] == -2.0f);
}

TEST_CASE("plain types: integers, booleans, small floats") {
  CHECK(dequantized(DType::u8, std::vector<uint8_t>{0, 255})[1] == 255.0f);
  CHECK(dequantized(DType::u16, std::vector<uint16_t>{65535})[0] == 65535.0f);
  CHECK(dequantized(DType::u32, std::vector<uint32_t>{16777217})[0] ==
        16777216.0f);  // nearest float32
  CHECK(dequantized(DType::u64, std::vector<uint64_t>{~uint64_t{0}})[0] ==
        18446744073709551616.0f);
  CHECK(dequantized(DType::boolean, std::vector<uint8_t>{0, 1}) ==
        std::vector<float>{0.0f, 1.0f});
  CHECK(dequantized(DType::f8_e4m3, std::vector<uint8_t>{0x7e, 0x38, 0x81}) ==
        std::vector<float>{448.0f, 1.0f, -0.001953125f});
  CHECK(dequantized(DType::f8_e5m2, std::vector<uint8_t>{0x3c, 0xc0}) ==
        std::vector<float>{1.0f, -2.0f});
  CHECK(dequantized(DType::f8_e8m0, std::vector<uint8_t>{127, 130}) ==
        std::vector<float>{1.0f, 8.0f});
  CHECK(dequantized(DType::f4, std::vector<uint8_t>{0x7a}) ==
        std::vector<float>{-1.0f, 6.0f});
}

TEST_CASE("types without values of their own, and wrong sizes, are refused") {
  std::vector<float> values(4);
  std::vector<std::byte> bytes(3);
  CHECK_THROWS_AS(ggml::dequantize(DType::f6_e2m3, bytes, values), Error);
  bytes.resize(32);
  CHECK_THROWS_AS(ggml::dequantize(DType::c64, bytes, values), Error);
  CHECK_THROWS_AS(ggml::dequantize(DType::q4_0, bytes, values),
                  std::invalid_argument);
  CHECK_THROWS_AS(ggml::dequantize(DType::f32, bytes, values),
                  std::invalid_argument);
  values.resize(256);
  bytes.resize(144);
  CHECK_THROWS_AS(ggml::quantize(DType::q4_k, values, bytes), Error);
  CHECK_FALSE(ggml::can_quantize(DType::q4_k));
  values.clear();
  bytes.clear();
  ggml::dequantize(DType::q4_k, bytes, values);  // nothing to do is no error
}

TEST_CASE("blocks are written as gguf-py writes them, to the bit") {
  size_t compared = 0;
  for (const auto& [key, golden] : types()) {
    if (!key.ends_with(".quantized")) {
      continue;
    }
    const auto type = key.substr(0, key.size() - 10);
    const auto dtype = *dtype_from_name(type);
    if (!ggml::can_quantize(dtype)) {
      continue;
    }
    const auto from = as<float>(types().at(type + ".quantized_from"));
    const auto blocks = quantized(dtype, from);
    CAPTURE(type);
    CHECK(first_difference(blocks, golden) == golden.size());
    ++compared;
  }
  CHECK(compared == 8);
}

TEST_CASE("quantizers refuse what the type cannot hold") {
  std::vector<float> values(32, 1.0f);
  values[7] = std::numeric_limits<float>::infinity();
  CHECK(error_id(DType::q8_0, values) == "quantize.not-representable");
  CHECK(error_id(DType::f16, values) == "");  // infinity is an F16
  values[7] = std::numeric_limits<float>::quiet_NaN();
  CHECK(error_id(DType::q4_0, values) == "quantize.not-representable");
  CHECK(error_id(DType::bf16, values) == "");
  values[7] = 1e6f;
  CHECK(error_id(DType::f16, values) == "quantize.not-representable");
  CHECK(error_id(DType::q8_0, values) == "");  // the scale is 7874
  CHECK(error_id(DType::q4_0, values) == "quantize.not-representable");
  values[7] = -1e6f;
  CHECK(error_id(DType::q4_1, values) == "quantize.not-representable");
  CHECK(error_id(DType::q5_1, values) == "quantize.not-representable");
}

TEST_CASE("a block of subnormal values becomes zeros, not nonsense") {
  const std::vector<float> values(32, 1e-40f);
  for (const auto dtype : {DType::q4_0, DType::q5_0, DType::q8_0}) {
    for (const float value : dequantized(dtype, quantized(dtype, values))) {
      CHECK(std::fabs(value) == 0.0f);
    }
  }
}

TEST_CASE("blocks rewritten for MLX are what MLX decodes to the same values") {
  const auto golden = read_golden("ggml/mlx_pack.safetensors");
  for (const auto dtype : kMapped) {
    const std::string type(name(dtype));
    CAPTURE(type);
    const auto form = ggml::mlx_form(dtype);
    REQUIRE(form.has_value());
    const auto result = packed(dtype, *form, types().at(type + ".bytes"));
    CHECK(result.exact);
    CHECK(result.words == as<uint32_t>(golden.at(type + ".packed")));
    CHECK(result.scales == golden.at(type + ".scales"));
    if (form->mode == "affine") {
      CHECK(result.biases == golden.at(type + ".biases"));
    }
    CHECK(unpacked(*form, result) == as<float>(types().at(type + ".values")));
  }
}

TEST_CASE("a symmetric form's biases follow from its scales") {
  int symmetric = 0;
  for (const auto dtype : kMapped) {
    const std::string type(name(dtype));
    CAPTURE(type);
    const auto form = *ggml::mlx_form(dtype);
    if (!form.symmetric) {
      continue;
    }
    ++symmetric;
    const auto result = packed(dtype, form, types().at(type + ".bytes"));
    const auto scales = as<uint16_t>(result.scales);
    const auto biases = as<uint16_t>(result.biases);
    REQUIRE(scales.size() == biases.size());
    const float middle = static_cast<float>(1 << (form.bits - 1));
    for (size_t i = 0; i < scales.size(); ++i) {
      CHECK(half_to_float(biases[i]) == -middle * half_to_float(scales[i]));
    }
  }
  CHECK(symmetric == 3);
}

TEST_CASE("types without an exact form have none") {
  for (const auto dtype : {DType::q2_k,
                           DType::q3_k,
                           DType::q6_k,
                           DType::iq4_nl,
                           DType::tq2_0,
                           DType::f16}) {
    CHECK_FALSE(ggml::mlx_form(dtype).has_value());
  }
  std::vector<std::byte> bytes(210);
  CHECK_THROWS_AS((void)ggml::to_mlx(DType::q6_k, bytes, {}, {}, {}),
                  std::invalid_argument);
}

TEST_CASE("a bias beyond float16 asks for float32 scales") {
  const ggml::MlxForm half{"affine", 8, 32, DType::f16, true};
  const ggml::MlxForm single{"affine", 8, 32, DType::f32, true};
  const auto largest = q8_block(float_to_half(511.75f));  // times 128: 65504
  CHECK(ggml::mlx_form(DType::q8_0, largest) == half);
  const auto beyond = q8_block(float_to_half(512.0f));
  CHECK(ggml::mlx_form(DType::q8_0, beyond) == single);
  CHECK_FALSE(packed(DType::q8_0, half, beyond).exact);
  const auto result = packed(DType::q8_0, single, beyond);
  CHECK(result.exact);
  CHECK(unpacked(single, result) == dequantized(DType::q8_0, beyond));
}

TEST_CASE("a subnormal scale has its bias in float16") {
  const ggml::MlxForm half{"affine", 8, 32, DType::f16, true};
  const auto tiny = q8_block(0x0001);
  CHECK(ggml::mlx_form(DType::q8_0, tiny) == half);
  CHECK(unpacked(half, packed(DType::q8_0, half, tiny)) ==
        dequantized(DType::q8_0, tiny));
}

TEST_CASE("blocks with scales that are not finite have no exact form") {
  CHECK_FALSE(ggml::mlx_form(DType::q8_0, q8_block(0x7c00)).has_value());
  CHECK_FALSE(ggml::mlx_form(DType::q8_0, q8_block(0x7e00)).has_value());
  std::vector<std::byte> mxfp4(17);
  CHECK(ggml::mlx_form(DType::mxfp4, mxfp4).has_value());
  mxfp4[0] = std::byte{0xff};
  CHECK_FALSE(ggml::mlx_form(DType::mxfp4, mxfp4).has_value());
  std::vector<std::byte> nvfp4(36);
  CHECK(ggml::mlx_form(DType::nvfp4, nvfp4).has_value());
  nvfp4[3] = std::byte{0xff};
  CHECK_FALSE(ggml::mlx_form(DType::nvfp4, nvfp4).has_value());
}

TEST_CASE("all scales and codes of MXFP4 and NVFP4 keep their values") {
  for (const auto dtype : {DType::mxfp4, DType::nvfp4}) {
    const auto form = *ggml::mlx_form(dtype);
    std::vector<std::byte> block(info(dtype).bytes);
    for (unsigned scale = 0; scale < 255; ++scale) {
      for (size_t i = 0; i < block.size(); ++i) {
        const bool in_scales = i < (dtype == DType::mxfp4 ? 1u : 4u);
        block[i] = static_cast<std::byte>(in_scales ? scale : i * 15 + 7);
      }
      CAPTURE(scale);
      CHECK(unpacked(form, packed(dtype, form, block)) ==
            dequantized(dtype, block));
    }
  }
}
