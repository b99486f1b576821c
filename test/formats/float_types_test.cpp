#include "assay/formats/float_types.h"

#include <cmath>
#include <string>

#include <doctest/doctest.h>

#include "golden_file.h"

using namespace assay;
using namespace assay::test;

namespace {

const Golden& numbers() {
  static const Golden golden = read_golden("ggml/numbers.safetensors");
  return golden;
}

void check_codes(const std::string& type, float (*to_float)(uint8_t)) {
  const auto values = as<float>(numbers().at(type));
  for (size_t code = 0; code < values.size(); ++code) {
    CAPTURE(type);
    CAPTURE(code);
    const float actual = to_float(static_cast<uint8_t>(code));
    if (std::isnan(values[code])) {
      CHECK(std::isnan(actual));
    } else {
      CHECK(std::bit_cast<uint32_t>(actual) ==
            std::bit_cast<uint32_t>(values[code]));
    }
  }
}

template <typename Stored>
void check_rounding(const std::string& type, Stored (*from_float)(float)) {
  const auto in = as<float>(numbers().at(type + ".in"));
  const auto out = as<Stored>(numbers().at(type + ".out"));
  REQUIRE(in.size() == out.size());
  REQUIRE(in.size() > 1000);
  for (size_t i = 0; i < in.size(); ++i) {
    CAPTURE(type);
    CAPTURE(in[i]);
    CHECK(from_float(in[i]) == out[i]);
  }
}

}  // namespace

TEST_CASE("every code of the 8- and 4-bit floats has its OCP value") {
  check_codes("e4m3", e4m3_to_float);
  check_codes("e5m2", e5m2_to_float);
  check_codes("e8m0", e8m0_to_float);
  check_codes("e2m1", e2m1_to_float);
}

TEST_CASE("float32 rounds to the nearest, ties to even") {
  check_rounding<uint16_t>("to_half", float_to_half);
  check_rounding<uint16_t>("to_bfloat", float_to_bfloat);
  check_rounding<uint8_t>("to_e4m3", float_to_e4m3);
}

TEST_CASE("every half and bfloat returns to itself through float32") {
  for (uint32_t code = 0; code < 65536; ++code) {
    const auto stored = static_cast<uint16_t>(code);
    CAPTURE(code);
    if (std::isnan(half_to_float(stored))) {
      CHECK(std::isnan(half_to_float(float_to_half(half_to_float(stored)))));
    } else {
      CHECK(float_to_half(half_to_float(stored)) == stored);
    }
    if (!std::isnan(bfloat_to_float(stored))) {
      CHECK(float_to_bfloat(bfloat_to_float(stored)) == stored);
    }
  }
}

TEST_CASE("half: the ends of the range") {
  CHECK(half_to_float(0x7bff) == 65504.0f);
  CHECK(half_to_float(0x0001) == std::ldexp(1.0f, -24));
  CHECK(half_to_float(0x0400) == std::ldexp(1.0f, -14));
  CHECK(half_to_float(0x3555) == doctest::Approx(0.33325195).epsilon(1e-7));
  CHECK(half_to_float(0xfc00) == -INFINITY);
  CHECK(float_to_half(65519.996f) == 0x7bff);
  CHECK(float_to_half(65520.0f) == 0x7c00);  // a tie: the even is beyond
  CHECK(float_to_half(-1e30f) == 0xfc00);
  CHECK(float_to_half(INFINITY) == 0x7c00);
  CHECK(std::isnan(half_to_float(float_to_half(NAN))));
}

TEST_CASE("bfloat and E4M3: the ends of the range") {
  CHECK(float_to_bfloat(3.4028235e38f) == 0x7f80);
  CHECK(std::isnan(bfloat_to_float(float_to_bfloat(NAN))));
  // A NaN whose payload is in the bits that are cut off stays one.
  CHECK(std::isnan(
      bfloat_to_float(float_to_bfloat(std::bit_cast<float>(0x7f800001u)))));
  CHECK(float_to_e4m3(1e9f) == 0x7e);
  CHECK(float_to_e4m3(-INFINITY) == 0xfe);
  CHECK(float_to_e4m3(NAN) == 0x7f);
}
