#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

namespace {

double largest_difference(const std::vector<double>& a,
                          const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  return worst;
}

}  // namespace

TEST_CASE("dequantize gives the definition's values, as MLX does") {
  for (const auto& format : all_formats()) {
    CAPTURE(format.name);
    const auto w = make_weight(format, {11, 384}, 21);
    const auto ours = dequantize(w);
    CHECK(ours.dtype() == mx::float32);
    CHECK(ours.shape() == mx::Shape{11, 384});
    // One rounding: values are of the order of one.
    CHECK(largest_difference(values(ours), values(w)) < 5e-7);
    if (!w.scales) {
      continue;
    }
    auto wide = w;
    if (w.biases) {
      wide.scales = mx::astype(*w.scales, mx::float32);
      wide.biases = mx::astype(*w.biases, mx::float32);
    }
    const auto theirs = mx::dequantize(wide.data,
                                       *wide.scales,
                                       wide.biases,
                                       format.group,
                                       format.bits,
                                       format.mode,
                                       std::nullopt,
                                       mx::float32);
    CHECK(largest_difference(values(ours), values(theirs)) < 5e-7);
  }
}

TEST_CASE("every e2m1, e4m3 and e8m0 code") {
  // Codes 0 to 255 as mxfp8 values under scale one.
  std::vector<uint32_t> words;
  for (uint32_t i = 0; i < 64; ++i) {
    words.push_back(4 * i | (4 * i + 1) << 8 | (4 * i + 2) << 16 |
                    (4 * i + 3) << 24);
  }
  const Weight fp8{mx::array(words.data(), {1, 64}, mx::uint32),
                   mx::full({1, 8}, 127, mx::uint8),
                   {},
                   {32, 8, "mxfp8"}};
  const auto expected = values(fp8);
  const auto actual = values(dequantize(fp8));
  for (size_t i = 0; i < 256; ++i) {
    CAPTURE(i);
    CHECK(std::isnan(actual[i]) == std::isnan(expected[i]));
    if (!std::isnan(expected[i])) {
      CHECK(actual[i] == expected[i]);
    }
  }
  // All scales over the sixteen e2m1 values, twice a group.
  for (const char* mode : {"mxfp4", "nvfp4"}) {
    const int group = mode[0] == 'm' ? 32 : 16;
    std::vector<uint8_t> scales(256);
    for (size_t i = 0; i < 256; ++i) {
      scales[i] = static_cast<uint8_t>(i);
    }
    const uint32_t pair[] = {0x76543210u, 0xfedcba98u};
    const Weight fp4{
        mx::tile(mx::array(pair, {1, 2}, mx::uint32), {256, group / 16}),
        mx::array(scales.data(), {256, 1}, mx::uint8),
        {},
        {group, 4, mode}};
    const auto want = values(fp4);
    const auto got = values(dequantize(fp4));
    for (size_t i = 0; i < want.size(); ++i) {
      CAPTURE(i);
      // 2^128 is beyond float32; NaN scales give NaN.
      if (std::isnan(want[i]) ||
          std::abs(want[i]) > std::numeric_limits<float>::max() ||
          (group == 32 && i / 32 == 255)) {
        CHECK(!std::isfinite(got[i]));
      } else {
        CHECK(got[i] == want[i]);
      }
    }
  }
}

TEST_CASE("dequantize takes stacks and other types") {
  const auto w =
      make_weight({"", "affine", 32, 6, mx::float16}, {3, 5, 64}, 22);
  CHECK(dequantize(w).shape() == mx::Shape{3, 5, 64});
  CHECK(largest_difference(values(dequantize(w)), values(w)) < 5e-7);
  CHECK(dequantize(w, mx::bfloat16).dtype() == mx::bfloat16);
}

TEST_CASE("embed gives the rows asked for, in the shape of the ids") {
  for (const auto& format : all_formats()) {
    CAPTURE(format.name);
    const auto w = make_weight(format, {19, 128}, 23);
    const auto all = values(dequantize(w));
    const auto ids = mx::array({18, 0, 7, 7, 3, 1}, {2, 3});
    const auto rows = embed(ids, w);
    CHECK(rows.shape() == mx::Shape{2, 3, 128});
    CHECK(rows.dtype() == mx::float32);
    const auto got = values(rows);
    const size_t expected[] = {18, 0, 7, 7, 3, 1};
    for (size_t i = 0; i < 6; ++i) {
      for (size_t k = 0; k < 128; ++k) {
        REQUIRE(got[i * 128 + k] == all[expected[i] * 128 + k]);
      }
    }
  }
}

TEST_CASE("ids may be of any integer type and strided") {
  const Weight w{random({9, 5}, 24), {}, {}, {}};
  const auto all = values(w.data);
  for (auto dtype : {mx::uint8,
                     mx::int8,
                     mx::uint16,
                     mx::int16,
                     mx::uint32,
                     mx::int32,
                     mx::uint64,
                     mx::int64}) {
    const auto ids =
        mx::transpose(mx::astype(mx::array({1, 2, 8, 0}, {2, 2}), dtype));
    const auto got = values(embed(ids, w));
    CHECK(got[0] == all[5]);
    CHECK(got[5] == all[40]);
    CHECK(got[10] == all[10]);
    CHECK(got[15] == all[0]);
  }
}

TEST_CASE("an id that does not exist is an error, not a read") {
  const Weight w{random({9, 5}, 25), {}, {}, {}};
  for (int id : {9, -1, 1 << 30}) {
    auto rows = embed(mx::array({0, id}), w);
    CHECK_THROWS_WITH(rows.eval(), doctest::Contains("[embed] Index"));
  }
  CHECK(values(embed(mx::array({8}), w)).size() == 5);
}
