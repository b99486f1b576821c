// The expected bits are mlx.core.quantize's own on its CPU back end.

#include "assay/kernels/quantize.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/formats/affine.h"
#include "assay/kernels/simd.h"

namespace mx = mlx::core;
using assay::DType;
using namespace assay::kernels;

namespace {

struct Type {
  const char* name;
  DType dtype;
  mx::Dtype mlx;
};
const Type kTypes[] = {{"f32", DType::f32, mx::float32},
                       {"f16", DType::f16, mx::float16},
                       {"bf16", DType::bf16, mx::bfloat16}};
constexpr int kWidth = 384;  // three of the largest groups

// Restores the choice of the processor's best set.
struct BestSet {
  ~BestSet() { use_kernels(*available_kernels().front()); }
};

// Rows of all that groups can be: wide and narrow, on one side of zero, around
// a far centre, constant, zero of either sign, on ties, subnormal.
std::vector<float> awkward_values() {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> values;
  auto row = [&](auto value) {
    for (int j = 0; j < kWidth; ++j) {
      values.push_back(value(j));
    }
  };
  for (float scale : {1.0f, 0.02f, 900.0f, 3e-5f, 1e-7f}) {
    row([&](int) { return scale * normal(random); });
    row([&](int) { return scale * std::fabs(normal(random)); });
    row([&](int) { return -scale * std::fabs(normal(random)); });
    row([&](int) { return scale * (40 + normal(random)); });
  }
  row([](int) { return 0.0f; });
  row([](int j) { return j % 2 == 0 ? 0.0f : -0.0f; });
  row([](int) { return -1.25f; });
  row([](int j) { return static_cast<float>(j % 31) / 2; });
  row([](int j) { return -static_cast<float>(j % 16) / 16; });
  row([](int j) { return j % 32 == 5 ? 1.0f : 0.0f; });
  return values;
}

// Beyond float16.
std::vector<float> extreme_values() {
  std::vector<float> values;
  for (float scale : {1e-38f, 1e-30f, 1e-12f, 1e12f, 1e30f}) {
    for (int j = 0; j < kWidth; ++j) {
      values.push_back(scale * static_cast<float>(j % 29 - 11));
    }
  }
  return values;
}

mx::array as_array(const std::vector<float>& values, const Type& type) {
  auto rows = static_cast<int>(values.size()) / kWidth;
  auto array = mx::astype(mx::array(values.data(), {rows, kWidth}), type.mlx);
  array.eval();
  return array;
}

std::span<const std::byte> bytes_of(const mx::array& array) {
  return {reinterpret_cast<const std::byte*>(array.data<uint8_t>()),
          array.nbytes()};
}

struct Quantized {
  std::vector<uint32_t> packed;
  std::vector<std::byte> scales, biases;
  RoundingError error;
  bool fits;
};

Quantized quantized(std::span<const std::byte> values,
                    const Type& type,
                    const Type& scales,
                    int group,
                    int bits) {
  auto sizes = assay::quantized_sizes(
      "affine", group, bits, values.size() / assay::info(type.dtype).bytes);
  Quantized out;
  out.packed.resize(sizes.words);
  out.scales.resize(sizes.groups * assay::info(scales.dtype).bytes);
  out.biases = out.scales;
  out.fits = quantize_affine({.values = values,
                              .type = type.dtype,
                              .group_size = group,
                              .bits = bits,
                              .scale_type = scales.dtype,
                              .packed = out.packed,
                              .scales = out.scales,
                              .biases = out.biases},
                             out.error);
  return out;
}

bool same_bytes(const mx::array& expected, std::span<const std::byte> actual) {
  return expected.nbytes() == actual.size() &&
         std::memcmp(expected.data<uint8_t>(), actual.data(), actual.size()) ==
             0;
}

void check_like_mlx(const mx::array& w, const Type& type) {
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    for (int group : {32, 64, 128}) {
      CAPTURE(bits);
      CAPTURE(group);
      auto expected =
          mx::quantize(w, group, bits, "affine", std::nullopt, mx::Device::cpu);
      mx::eval(expected);
      auto actual = quantized(bytes_of(w), type, type, group, bits);
      CHECK(actual.fits);
      CHECK(same_bytes(expected[0], std::as_bytes(std::span(actual.packed))));
      CHECK(same_bytes(expected[1], actual.scales));
      CHECK(same_bytes(expected[2], actual.biases));
    }
  }
}

}  // namespace

TEST_CASE("packed, scales and biases are MLX's to the bit, in every set") {
  const BestSet restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (const auto& type : kTypes) {
      CAPTURE(type.name);
      check_like_mlx(as_array(awkward_values(), type), type);
    }
    check_like_mlx(as_array(extreme_values(), kTypes[0]), kTypes[0]);
    check_like_mlx(as_array(extreme_values(), kTypes[2]), kTypes[2]);
  }
}

TEST_CASE("the error is that of the values read back") {
  const BestSet restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (auto values : {awkward_values(), extreme_values()}) {
      auto bytes = std::as_bytes(std::span(values));
      auto actual = quantized(bytes, kTypes[0], kTypes[0], 64, 4);
      std::vector<float> back(values.size());
      assay::dequantize_affine(
          actual.packed, actual.scales, actual.biases, 64, 4, DType::f32, back);
      double squares = 0;
      double errors = 0;
      float largest = 0;
      for (size_t i = 0; i < values.size(); ++i) {
        squares += static_cast<double>(values[i]) * values[i];
        float off = values[i] - back[i];
        errors += static_cast<double>(off) * off;
        largest = std::max(largest, std::fabs(off));
      }
      CHECK(actual.error.value_squares == doctest::Approx(squares));
      CHECK(actual.error.error_squares == doctest::Approx(errors));
      CHECK(actual.error.largest == largest);
    }
  }
}

TEST_CASE("values on the steps of their scale come back without error") {
  std::vector<float> values(64);
  for (size_t j = 0; j < values.size(); ++j) {
    values[j] = static_cast<float>(j % 16) - 15;
  }
  auto actual =
      quantized(std::as_bytes(std::span(values)), kTypes[0], kTypes[1], 64, 4);
  CHECK(actual.fits);
  CHECK(actual.error.largest == 0);
  CHECK(actual.error.error_squares == 0);
}

TEST_CASE("what is not finite, or does not fit the scales' type, is told") {
  const BestSet restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    std::vector<float> values(128, 1.0f);
    auto fits = [&](const Type& scales) {
      return quantized(
                 std::as_bytes(std::span(values)), kTypes[0], scales, 64, 4)
          .fits;
    };
    CHECK(fits(kTypes[1]));
    // In each place of a vector: a minimum may pass over what is no number.
    for (size_t j = 64; j < 128; ++j) {
      for (float bad : {std::numeric_limits<float>::quiet_NaN(),
                        std::numeric_limits<float>::infinity(),
                        -std::numeric_limits<float>::infinity()}) {
        values[j] = bad;
        CHECK_FALSE(fits(kTypes[0]));
      }
      values[j] = 1.0f;
    }
    values[70] = 1e5f;  // a bias that no float16 holds
    CHECK_FALSE(fits(kTypes[1]));
    CHECK(fits(kTypes[2]));
  }
}

TEST_CASE("pieces of the wrong size are refused") {
  std::vector<float> values(64);
  auto bytes = std::as_bytes(std::span(values));
  auto with = [&](size_t words, size_t scales, DType type, auto piece) {
    std::vector<uint32_t> packed(words);
    std::vector<std::byte> stored(scales), biases(scales);
    RoundingError error;
    (void)quantize_affine({.values = piece,
                           .type = type,
                           .packed = packed,
                           .scales = stored,
                           .biases = biases},
                          error);
  };
  CHECK_NOTHROW(with(8, 4, DType::f32, bytes));
  CHECK_THROWS_AS(with(7, 4, DType::f32, bytes), std::invalid_argument);
  CHECK_THROWS_AS(with(8, 2, DType::f32, bytes), std::invalid_argument);
  CHECK_THROWS_AS(with(8, 4, DType::f32, bytes.first(63)),
                  std::invalid_argument);
  CHECK_THROWS_AS(with(8, 4, DType::f32, bytes.first(60)),
                  std::invalid_argument);
  CHECK_THROWS_AS(with(8, 4, DType::u8, bytes), std::invalid_argument);
}
