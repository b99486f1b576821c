#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

namespace {

Weight expert(const Weight& stack, int e) {
  auto part = [&](const mx::array& a) {
    return mx::reshape(mx::slice(a, {e, 0, 0}, {e + 1, a.shape(1), a.shape(2)}),
                       {a.shape(1), a.shape(2)});
  };
  Weight w{part(stack.data), {}, {}, stack.quantization};
  if (stack.scales) {
    w.scales = part(*stack.scales);
  }
  if (stack.biases) {
    w.biases = part(*stack.biases);
  }
  return w;
}

}  // namespace

TEST_CASE("each token meets its own experts") {
  constexpr int kExperts = 6;
  constexpr int kTokens = 40;
  constexpr int kChosen = 2;
  for (const auto& format : all_formats()) {
    if (format.group == 64 || format.group == 128) {
      continue;  // nothing in the gathering knows the group
    }
    CAPTURE(format.name);
    const auto stack = make_weight(format, {kExperts, 21, 96}, 31);
    for (int tokens : {1, kTokens}) {
      const auto x = random({tokens, 1, 1, 96}, 32);
      std::vector<int> chosen;
      for (int t = 0; t < tokens * kChosen; ++t) {
        chosen.push_back((t * t + t / 2) % (kExperts - 1));  // one is unused
      }
      const auto y = gather_linear(
          x, stack, mx::array(chosen.data(), {tokens, kChosen}, mx::int32));
      REQUIRE(y.shape() == mx::Shape{tokens, kChosen, 1, 21});
      for (int t = 0; t < tokens; ++t) {
        const auto row =
            mx::reshape(mx::slice(x, {t, 0, 0, 0}, {t + 1, 1, 1, 96}), {1, 96});
        for (int c = 0; c < kChosen; ++c) {
          const auto w = expert(stack, chosen[t * kChosen + c]);
          const auto got = mx::reshape(
              mx::slice(y, {t, c, 0, 0}, {t + 1, c + 1, 1, 21}), {1, 21});
          REQUIRE(product_error(got, row, w) < kTolerance);
        }
      }
    }
  }
}

TEST_CASE("batches broadcast as in MLX's gather_mm") {
  const Weight w{random({4, 7, 16}, 33), {}, {}, {}};
  const auto stack = mx::swapaxes(w.data, -1, -2);
  const auto experts = mx::array({3, 0, 1, 1, 2, 0}, {2, 3});
  for (const auto& shape : {mx::Shape{5, 16},
                            mx::Shape{1, 5, 16},
                            mx::Shape{3, 5, 16},
                            mx::Shape{2, 1, 5, 16},
                            mx::Shape{2, 3, 5, 16}}) {
    const auto x = random(shape, 34);
    const auto wide = mx::broadcast_to(x, {2, 3, 5, 16});
    const auto expected = mx::matmul(wide, mx::take(stack, experts, 0));
    const auto y = gather_linear(x, w, experts);
    CHECK(y.shape() == mx::Shape{2, 3, 5, 7});
    CHECK(mx::allclose(y, expected, 1e-5, 1e-5).item<bool>());
  }
}

TEST_CASE("the gradient of a gathered product adds over the experts") {
  const auto w =
      make_weight({"", "affine", 32, 4, mx::float32}, {4, 6, 32}, 35);
  const auto experts = mx::array({3, 0, 1, 1}, {2, 2});
  const auto x = random({2, 1, 1, 32}, 36);
  const auto dy = random({2, 2, 1, 6}, 37);
  auto ours = [&](const std::vector<mx::array>& in) {
    return std::vector<mx::array>{gather_linear(in[0], w, experts)};
  };
  auto plain = [&](const std::vector<mx::array>& in) {
    auto stack = mx::swapaxes(mx::take(dequantize(w), experts, 0), -1, -2);
    return std::vector<mx::array>{mx::matmul(in[0], stack)};
  };
  const auto dx = mx::vjp(ours, {x}, {dy}).second[0];
  const auto expected = mx::vjp(plain, {x}, {dy}).second[0];
  CHECK(dx.shape() == x.shape());
  CHECK(mx::allclose(dx, expected, 1e-5, 1e-5).item<bool>());
}

TEST_CASE("an expert that does not exist is an error, not a read") {
  const Weight w{random({4, 7, 16}, 38), {}, {}, {}};
  auto y = gather_linear(random({1, 16}, 39), w, mx::array({1, 4}));
  CHECK_THROWS_WITH(y.eval(),
                    doctest::Contains("Index 4 is out of bounds for 4"));
}
