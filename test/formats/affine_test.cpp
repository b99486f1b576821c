// Golden values: mlx 0.32.4 on its CPU back end, by tools/golden.

#include "assay/formats/affine.h"

#include <cmath>
#include <limits>
#include <string>

#include <doctest/doctest.h>

#include "assay/formats/ggml.h"

#include "golden_file.h"

using namespace assay;
using namespace assay::test;

namespace {

const Golden& golden() {
  static const Golden file = read_golden("ggml/mlx_quantize.safetensors");
  return file;
}

struct Case {
  const char* type_name;
  DType type;
};
constexpr Case kTypes[] = {
    {"f32", DType::f32}, {"f16", DType::f16}, {"bf16", DType::bf16}};

std::vector<float> input(const Case& type) {
  const auto& stored = golden().at(std::string("input.") + type.type_name);
  std::vector<float> values(stored.size() / info(type.type).bytes);
  ggml::dequantize(type.type, stored, values);
  return values;
}

std::string form_name(const std::string& mode,
                      int group_size,
                      int bits,
                      const char* type) {
  return mode + ".g" + std::to_string(group_size) + ".b" +
         std::to_string(bits) + "." + type;
}

void check_affine(const Case& type, int group_size, int bits) {
  const auto values = input(type);
  const auto sizes = quantized_sizes("affine", group_size, bits, values.size());
  std::vector<uint32_t> packed(sizes.words);
  std::vector<std::byte> scales(sizes.groups * info(type.type).bytes);
  std::vector<std::byte> biases(scales.size());
  CHECK(quantize_affine(
      values, group_size, bits, type.type, packed, scales, biases));
  const auto name = form_name("affine", group_size, bits, type.type_name);
  CAPTURE(name);
  const auto expected = as<uint32_t>(golden().at(name + ".packed"));
  CHECK(first_difference(packed, expected) == expected.size());
  CHECK(scales == golden().at(name + ".scales"));
  CHECK(biases == golden().at(name + ".biases"));
  if (golden().contains(name + ".values")) {
    std::vector<float> restored(values.size());
    dequantize_affine(
        packed, scales, biases, group_size, bits, type.type, restored);
    CHECK(bytes_of(restored) == golden().at(name + ".values"));
  }
}

void check_fp(const Case& type, const char* mode, int group_size, int bits) {
  const auto values = input(type);
  const auto sizes = quantized_sizes(mode, group_size, bits, values.size());
  std::vector<uint32_t> packed(sizes.words);
  std::vector<uint8_t> scales(sizes.groups);
  CHECK(quantize_fp(mode, values, type.type, packed, scales));
  const auto name = form_name(mode, group_size, bits, type.type_name);
  CAPTURE(name);
  const auto expected = as<uint32_t>(golden().at(name + ".packed"));
  CHECK(first_difference(packed, expected) == expected.size());
  CHECK(bytes_of(scales) == golden().at(name + ".scales"));
  if (golden().contains(name + ".values")) {
    std::vector<float> restored(values.size());
    dequantize_fp(mode, packed, scales, restored);
    CHECK(bytes_of(restored) == golden().at(name + ".values"));
  }
}

}  // namespace

TEST_CASE("affine: packed, scales and biases are MLX's, to the bit") {
  for (const auto& type : kTypes) {
    for (const int bits : {2, 3, 4, 5, 6, 8}) {
      for (const int group_size : {32, 64, 128}) {
        check_affine(type, group_size, bits);
      }
    }
  }
}

TEST_CASE("mxfp4, mxfp8, nvfp4: packed and scales are MLX's, to the bit") {
  for (const auto& type : kTypes) {
    check_fp(type, "mxfp4", 32, 4);
    check_fp(type, "mxfp8", 32, 8);
    check_fp(type, "nvfp4", 16, 4);
  }
}

TEST_CASE("forms that MLX lacks are refused") {
  CHECK_THROWS_AS(quantized_sizes("affine", 16, 4, 64), std::invalid_argument);
  CHECK_THROWS_AS(quantized_sizes("affine", 64, 7, 64), std::invalid_argument);
  CHECK_THROWS_AS(quantized_sizes("affine", 64, 4, 96), std::invalid_argument);
  CHECK_THROWS_AS(quantized_sizes("mxfp4", 64, 4, 64), std::invalid_argument);
  CHECK_THROWS_AS(quantized_sizes("nvfp4", 16, 8, 64), std::invalid_argument);
  CHECK_THROWS_AS(quantized_sizes("nf4", 64, 4, 64), std::invalid_argument);
  CHECK(quantized_sizes("nvfp4", 16, 4, 48).words == 6);
  CHECK(quantized_sizes("affine", 32, 3, 64).words == 6);
}

TEST_CASE("buffers of the wrong size are refused") {
  const std::vector<float> values(64);
  std::vector<uint32_t> packed(8);
  std::vector<std::byte> scales(4);
  std::vector<std::byte> biases(4);
  CHECK_THROWS_AS(
      (void)quantize_affine(values, 32, 4, DType::f16, packed, scales, {}),
      std::invalid_argument);
  CHECK_THROWS_AS(
      (void)quantize_affine(values, 32, 4, DType::f32, packed, scales, biases),
      std::invalid_argument);
  packed.resize(7);
  CHECK_THROWS_AS(
      (void)quantize_affine(values, 32, 4, DType::f16, packed, scales, biases),
      std::invalid_argument);
}

TEST_CASE("values and scales that are not finite are told") {
  std::vector<float> values(64, 1.0f);
  std::vector<uint32_t> packed(8);
  std::vector<std::byte> scales(4);
  std::vector<std::byte> biases(4);
  std::vector<uint8_t> codes(2);
  const auto affine = [&] {
    return quantize_affine(values, 32, 4, DType::f16, packed, scales, biases);
  };
  const auto mxfp4 = [&] {
    return quantize_fp("mxfp4", values, DType::f32, packed, codes);
  };
  CHECK(affine());
  CHECK(mxfp4());
  values[40] = std::numeric_limits<float>::quiet_NaN();
  CHECK_FALSE(affine());
  CHECK_FALSE(mxfp4());
  values[40] = -std::numeric_limits<float>::infinity();
  CHECK_FALSE(affine());
  CHECK_FALSE(mxfp4());
  values[40] = 1e5f;  // a finite float32 whose bias no float16 holds
  CHECK_FALSE(affine());
  CHECK(mxfp4());
}

TEST_CASE("mxfp4: a group of subnormal values keeps the smallest scale") {
  const std::vector<float> values(32, 1e-40f);
  std::vector<uint32_t> packed(4);
  std::vector<uint8_t> scales(1);
  CHECK(quantize_fp("mxfp4", values, DType::f32, packed, scales));
  CHECK(scales[0] == 0);
  std::vector<float> restored(32);
  dequantize_fp("mxfp4", packed, scales, restored);
  CHECK(restored[0] <= 6e-39f);
}
