#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

TEST_CASE("a width that does not match is refused with both shapes") {
  const Weight dense{mx::zeros({32, 64}), {}, {}, {}};
  CHECK_THROWS_WITH_AS(
      linear(mx::zeros({1, 63}), dense),
      "[linear] Last dimension of x with shape (1,63) must match the input "
      "width of the weight with shape (32,64)",
      std::invalid_argument);
  const auto q = make_weight({"", "affine", 32, 4, mx::float16}, {32, 64}, 41);
  CHECK_THROWS_WITH_AS(
      linear(mx::zeros({1, 8}), q),
      "[linear] Last dimension of x with shape (1,8) must match the input "
      "width of the weight with shape (32,64)",
      std::invalid_argument);
  CHECK_THROWS_AS(linear(mx::array(1.0f), dense), std::invalid_argument);
  CHECK_THROWS_AS(linear(mx::zeros({1, 64}, mx::int32), dense),
                  std::invalid_argument);
}

TEST_CASE("a weight whose parts do not fit is refused") {
  const auto good =
      make_weight({"", "affine", 32, 4, mx::float16}, {32, 64}, 42);
  const auto x = mx::zeros({1, 64});
  auto refused = [&](auto change) {
    Weight w = good;
    change(w);
    CHECK_THROWS_AS(linear(x, w), std::invalid_argument);
  };
  refused([](Weight& w) { w.biases.reset(); });
  refused([](Weight& w) { w.quantization.group_size = 64; });
  refused([](Weight& w) { w.quantization.group_size = 48; });
  refused([](Weight& w) { w.quantization.group_size = 0; });
  refused([](Weight& w) { w.quantization.bits = 8; });
  refused([](Weight& w) { w.quantization.bits = 7; });
  refused([](Weight& w) { w.quantization.bits = 0; });
  refused([](Weight& w) { w.quantization.mode = "mxfp4"; });
  refused([](Weight& w) { w.quantization.mode = "q4_0"; });
  refused([](Weight& w) { w.scales = mx::zeros({31, 2}, mx::float16); });
  refused([](Weight& w) { w.biases = mx::zeros({32, 2}, mx::float32); });
  refused([](Weight& w) { w.data = mx::zeros({32, 8}, mx::int32); });
  refused([](Weight& w) { w.data = mx::zeros({1, 32, 8}, mx::uint32); });
  refused([](Weight& w) { w.scales.reset(); });
  refused([](Weight& w) {
    w.scales.reset();
    w.biases.reset();
  });
}

TEST_CASE("shapes follow without data: nothing is evaluated") {
  // A terabyte of weights that nobody allocates.
  const Weight w{mx::zeros({1 << 20, 1 << 18}), {}, {}, {}};
  const auto y = linear(mx::zeros({2, 3, 1 << 18}), w);
  CHECK(y.shape() == mx::Shape{2, 3, 1 << 20});
  CHECK(y.dtype() == mx::float32);
  CHECK(!y.is_available());
  CHECK(embed(mx::zeros({4, 5}, mx::int32), w).shape() ==
        mx::Shape{4, 5, 1 << 18});
  CHECK(dequantize(w, mx::float16).shape() == w.data.shape());
}

TEST_CASE("gathering refuses what does not broadcast") {
  const Weight w{mx::zeros({4, 7, 16}), {}, {}, {}};
  CHECK_THROWS_AS(
      gather_linear(mx::zeros({3, 1, 16}), w, mx::zeros({2, 2}, mx::int32)),
      std::invalid_argument);
  CHECK_THROWS_AS(gather_linear(mx::zeros({16}), w, mx::array({1})),
                  std::invalid_argument);
  CHECK_THROWS_AS(gather_linear(mx::zeros({1, 16}), w, mx::array({1.0f})),
                  std::invalid_argument);
  CHECK_THROWS_AS(embed(mx::array({1.0f}), Weight{mx::zeros({4, 7})}),
                  std::invalid_argument);
}

TEST_CASE("stored weights have no gradient") {
  const auto x = random({2, 8}, 43);
  auto f = [&](const std::vector<mx::array>& in) {
    return std::vector<mx::array>{linear(x, Weight{in[0]})};
  };
  CHECK_THROWS_WITH_AS(
      mx::vjp(f, {random({3, 8}, 44)}, {mx::zeros({2, 3})}),
      doctest::Contains("Gradients exist with respect to x only"),
      std::invalid_argument);
}

TEST_CASE("on the CPU activations are float32") {
  REQUIRE(on_cpu());
  CHECK(activation_dtype(mx::bfloat16) == mx::float32);
}
