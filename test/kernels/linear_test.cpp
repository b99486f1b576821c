#include <limits>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

TEST_CASE("linear agrees with the float64 product in every format") {
  for (const auto& format : all_formats()) {
    CAPTURE(format.name);
    int seed = 1;
    for (int width : {128, 384, 640}) {
      for (int rows : {1, 2, 7}) {
        CAPTURE(width);
        CAPTURE(rows);
        const auto w = make_weight(format, {37, width}, seed++);
        const auto x = random({rows, width}, seed++);
        CHECK(product_error(linear(x, w), x, w) < kTolerance);
      }
    }
  }
}

TEST_CASE("widths that vectors and words do not divide") {
  for (const auto& format : all_formats()) {
    const int step = format.mode.empty() ? 1 : format.group;
    CAPTURE(format.name);
    for (int groups : {1, 2, 3, 5, 7, 9, 13}) {
      const int width = step * groups;
      CAPTURE(width);
      const auto w = make_weight(format, {9, width}, groups);
      for (int rows : {1, 3}) {
        const auto x = random({rows, width}, groups + 100);
        CHECK(product_error(linear(x, w), x, w) < kTolerance);
      }
    }
  }
}

TEST_CASE("any number of rows, any number of outputs") {
  const FormatCase q4{"", "affine", 32, 4, mx::float16};
  const FormatCase f32{"", "", 0, 32, mx::float32};
  for (const auto& format : {q4, f32}) {
    for (int outputs : {1, 3, 4, 16, 17, 65, 200}) {
      const auto w = make_weight(format, {outputs, 96}, outputs);
      for (int rows = 1; rows <= 70; rows += rows < 14 ? 1 : 8) {
        CAPTURE(outputs);
        CAPTURE(rows);
        const auto x = random({rows, 96}, rows);
        CHECK(product_error(linear(x, w), x, w) < kTolerance);
      }
    }
  }
}

TEST_CASE("a panel that is larger than the cache, in several depths") {
  const auto w =
      make_weight({"", "affine", 64, 8, mx::bfloat16}, {300, 2880}, 3);
  const auto x = random({13, 2880}, 4);
  CHECK(product_error(linear(x, w), x, w) < kTolerance);
}

TEST_CASE("the number of threads changes nothing") {
  const auto w = make_weight({"", "affine", 32, 4, mx::float16}, {515, 576}, 5);
  for (int rows : {1, 33}) {
    const auto x = random({rows, 576}, 6);
    set_threads(1);
    const auto alone = values(linear(x, w));
    for (int count : {2, 3, 5}) {
      set_threads(count);
      CHECK(threads() == count);
      CHECK(values(linear(x, w)) == alone);
    }
  }
  set_threads(0);
  CHECK(threads() >= 1);
}

TEST_CASE("x may be a vector, a batch, strided, broadcast, of another type") {
  const auto w = make_weight({"", "affine", 32, 4, mx::float32}, {10, 64}, 7);
  const auto flat = random({24, 64}, 8);
  const auto expected = values(linear(flat, w));

  SUBCASE("batch axes") {
    const auto y = linear(mx::reshape(flat, {2, 3, 4, 64}), w);
    CHECK(y.shape() == mx::Shape{2, 3, 4, 10});
    CHECK(values(y) == expected);
  }
  SUBCASE("a vector") {
    const auto row = mx::reshape(mx::slice(flat, {3, 0}, {4, 64}), {64});
    const auto y = linear(row, w);
    CHECK(y.shape() == mx::Shape{10});
    CHECK(product_error(y, mx::reshape(row, {1, 64}), w) < kTolerance);
  }
  SUBCASE("transposed") {
    const auto t = mx::transpose(mx::contiguous(mx::transpose(flat)));
    CHECK(values(linear(t, w)) == expected);
  }
  SUBCASE("every second row, in a permuted batch") {
    const auto rows = mx::slice(flat, {0, 0}, {24, 64}, {2, 1});
    const auto permuted =
        mx::transpose(mx::reshape(flat, {4, 6, 64}), {1, 0, 2});
    CHECK(product_error(linear(rows, w), mx::contiguous(rows), w) < kTolerance);
    CHECK(product_error(linear(permuted, w), mx::contiguous(permuted), w) <
          kTolerance);
  }
  SUBCASE("broadcast") {
    const auto one = mx::slice(flat, {0, 0}, {1, 64});
    const auto y = linear(mx::broadcast_to(one, {5, 64}), w);
    CHECK(product_error(y, mx::broadcast_to(one, {5, 64}), w) < kTolerance);
  }
  SUBCASE("reversed") {
    const auto r = mx::slice(flat, {23, 63}, {-25, -65}, {-1, -1});
    CHECK(product_error(linear(r, w), mx::contiguous(r), w) < kTolerance);
  }
  SUBCASE("bfloat16 in, float32 out") {
    const auto x = mx::astype(flat, mx::bfloat16);
    const auto y = linear(x, w);
    CHECK(y.dtype() == mx::float32);
    CHECK(product_error(y, x, w) < kTolerance);
  }
}

TEST_CASE("a weight may be a slice or a strided view") {
  const auto stack =
      make_weight({"", "affine", 32, 4, mx::float16}, {40, 64}, 9);
  const auto x = random({3, 64}, 10);
  auto cut = [&](int begin, int end, int step) {
    auto part = [&](const mx::array& a) {
      return mx::slice(a, {begin, 0}, {end, a.shape(1)}, {step, 1});
    };
    return Weight{part(stack.data),
                  part(*stack.scales),
                  part(*stack.biases),
                  stack.quantization};
  };
  CHECK(product_error(linear(x, cut(7, 19, 1)), x, cut(7, 19, 1)) < kTolerance);
  CHECK(product_error(linear(x, cut(1, 40, 3)), x, cut(1, 40, 3)) < kTolerance);
  const Weight dense{mx::transpose(random({64, 11}, 11)), {}, {}, {}};
  CHECK(product_error(linear(x, dense), x, dense) < kTolerance);
}

TEST_CASE("no rows, no outputs, no width") {
  const Weight w{random({5, 64}, 12), {}, {}, {}};
  CHECK(linear(mx::zeros({0, 64}), w).shape() == mx::Shape{0, 5});
  CHECK(values(linear(mx::zeros({0, 64}), w)).empty());
  const Weight none{mx::zeros({0, 64}), {}, {}, {}};
  CHECK(values(linear(mx::zeros({2, 64}), none)).empty());
  const Weight narrow{mx::zeros({3, 0}), {}, {}, {}};
  CHECK(values(linear(mx::zeros({2, 0}), narrow)) ==
        std::vector<double>(6, 0.0));
}

TEST_CASE("bits that are no number stay in their own row") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  for (const auto& format : all_formats()) {
    if (format.mode == "mxfp4" || format.mode == "nvfp4") {
      continue;  // checked below: their scales are bytes
    }
    const int width = format.mode.empty() ? 7 : format.group;
    const auto good = make_weight(format, {1, width}, 13);
    auto bad = good;
    if (format.mode == "mxfp8") {
      bad.data = mx::full(good.data.shape(), 0x7f7f7f7fu, mx::uint32);
    } else if (format.mode.empty()) {
      bad.data = mx::full(good.data.shape(), nan, format.dtype);
    } else {
      bad.scales = mx::full(good.scales->shape(), inf, format.dtype);
      bad.biases = mx::full(good.biases->shape(), nan, format.dtype);
    }
    auto join = [](const mx::array& a, const mx::array& b) {
      return mx::concatenate({a, b, a}, 0);
    };
    Weight w{join(good.data, bad.data), {}, {}, good.quantization};
    if (good.scales) {
      w.scales = join(*good.scales, *bad.scales);
    }
    if (good.biases) {
      w.biases = join(*good.biases, *bad.biases);
    }
    CAPTURE(format.name);
    for (int rows : {1, 5}) {
      const auto x = random({rows, width}, 14);
      const auto y = values(linear(x, w));
      const auto alone = values(linear(x, good));
      for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
        CHECK(y[3 * r] == doctest::Approx(alone[r]).epsilon(1e-5));
        CHECK(std::isnan(y[3 * r + 1]));
        CHECK(y[3 * r + 2] == doctest::Approx(alone[r]).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("the gradient with respect to x is dy @ w") {
  const auto w = make_weight({"", "affine", 32, 5, mx::float32}, {12, 64}, 15);
  const auto x = random({2, 3, 64}, 16);
  const auto dy = random({2, 3, 12}, 17);
  auto f = [&](const std::vector<mx::array>& in) {
    return std::vector<mx::array>{linear(in[0], w)};
  };
  const auto dx = mx::vjp(f, {x}, {dy}).second[0];
  CHECK(dx.shape() == x.shape());
  const Weight transposed{mx::transpose(dequantize(w)), {}, {}, {}};
  CHECK(product_error(dx, dy, transposed) < kTolerance);

  const auto y = mx::jvp(f, {x}, {x}).second[0];
  CHECK(values(y) == values(linear(x, w)));
}
