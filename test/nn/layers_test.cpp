// Layers by themselves: what a norm makes of its weight.

#include "assay/nn/layers.h"

#include <doctest/doctest.h>
#include <mlx/mlx.h>

namespace mx = mlx::core;
using namespace assay;

namespace {

struct HalfNorm : nn::RmsNorm {
  explicit HalfNorm(float offset) : RmsNorm(4, 1e-5f, offset) {
    auto data = mx::astype(mx::array({0.5f, 1.0f, -2.0f, 3.0f}), mx::bfloat16);
    mx::eval(data);
    weight.value = kernels::Weight{data};
  }
};

}  // namespace

TEST_CASE("a norm casts its weight once, so that nodes can keep it") {
  const auto x = mx::array({1.0f, 2.0f, 3.0f, 4.0f}, {1, 4});
  for (float offset : {0.0f, 1.0f}) {
    const HalfNorm norm(offset);
    mx::eval(norm(x));
    const auto scale = norm.norm_of(x).weight;
    CHECK(scale.dtype() == mx::float32);
    CHECK_FALSE(scale.has_primitive());
    CHECK(norm.norm_of(x).weight.id() == scale.id());
    CHECK(scale.data<float>()[2] == -2 + offset);

    const auto half = mx::astype(x, mx::float16);
    CHECK(norm.norm_of(half).weight.dtype() == mx::float16);
  }
}

TEST_CASE("a norm's new weight takes the place of the old one") {
  const auto x = mx::array({1.0f, 2.0f, 3.0f, 4.0f}, {1, 4});
  HalfNorm norm(0);
  const auto before = norm(x);
  norm.weight.value->data = norm.weight.value->data * mx::array(2.0f);
  CHECK(mx::allclose(norm(x), before * mx::array(2.0f)).item<bool>());
}

TEST_CASE("gradients go to a norm's weight of another type") {
  const auto x = mx::array({1.0f, 2.0f, 3.0f, 4.0f}, {1, 4});
  HalfNorm norm(1);
  const auto own = norm.weight.value->data;
  mx::eval(norm(x));
  auto loss = [&](const mx::array& weight) {
    norm.weight.value->data = weight;
    return mx::sum(norm(x));
  };
  const auto gradient = mx::grad(loss)(own);
  norm.weight.value->data = own;
  const auto plain = mx::fast::rms_norm(
      x, mx::ones({4}), 1e-5f);  // of each weight: the normed x
  CHECK(mx::allclose(
            mx::astype(gradient, mx::float32), mx::squeeze(plain), 1e-2, 1e-2)
            .item<bool>());
  CHECK_FALSE(norm.norm_of(x).weight.is_tracer());
}
