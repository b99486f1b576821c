// Products that are one node, against the products one by one and against
// float64; every instruction set, weights that lie otherwise, gradients.

#include "assay/kernels/projections.h"

#include <cmath>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <mlx/mlx.h>

#include "assay/kernels/fused.h"
#include "assay/kernels/simd.h"

#include "reference.h"

using namespace assay::kernels;
using namespace assay::kernels::test;
namespace mx = mlx::core;

namespace {

mx::array each_product(const mx::array& x,
                       const std::vector<Weight>& weights,
                       size_t which) {
  std::vector<const Weight*> pointers;
  std::vector<mx::Shape> shapes;
  for (const auto& weight : weights) {
    pointers.push_back(&weight);
    shapes.push_back({x.shape(0), weight.data.shape(0)});
  }
  return linear_each(x, pointers, shapes)[which];
}

// The gate in float64 over the products in float32, which have tests of their
// own; relative to what the gate's slope makes of their error.
double gate_error(const mx::array& actual,
                  const mx::array& gate,
                  const mx::array& up) {
  const auto y = values(actual);
  const auto g = values(gate);
  const auto u = values(up);
  REQUIRE(y.size() == g.size());
  double worst = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double expected = g[i] / (1 + std::exp(-g[i])) * u[i];
    const double size = (1 + std::abs(g[i])) * (1 + std::abs(u[i]));
    const double error = std::abs(y[i] - expected) / size;
    worst = std::isnan(error) ? 1 : std::max(worst, error);
  }
  return worst;
}

double node_distance(const mx::array& a, const mx::array& b) {
  REQUIRE(a.shape() == b.shape());
  return a.size() == 0 ? 0 : mx::max(mx::abs(a - b)).item<float>();
}

template <class Check>
void projections_in_every_set(const Check& check) {
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    check();
  }
  use_kernels(*available_kernels().front());
}

}  // namespace

TEST_CASE("several products of the same activations") {
  projections_in_every_set([] {
    for (const auto& format : all_formats()) {
      CAPTURE(format.name);
      const int width = format.mode.empty() ? 30 : 3 * format.group;
      const std::vector<Weight> weights{make_weight(format, {70, width}, 1),
                                        make_weight(format, {5, width}, 2),
                                        make_weight(format, {16, width}, 3)};
      for (int rows : {1, 2, 7}) {
        CAPTURE(rows);
        const auto x = random({rows, width}, rows);
        for (size_t i = 0; i < weights.size(); ++i) {
          CHECK(product_error(each_product(x, weights, i), x, weights[i]) <
                kTolerance);
        }
      }
    }
  });
}

TEST_CASE("products of weights in different formats are made one by one") {
  const std::vector<Weight> weights{
      make_weight({"", "affine", 32, 4, mx::float16}, {40, 64}, 1),
      make_weight({"", "affine", 32, 8, mx::float16}, {24, 64}, 2),
      make_weight({"", "", 0, 16, mx::float16}, {8, 64}, 3)};
  const auto x = random({3, 64}, 4);
  for (size_t i = 0; i < weights.size(); ++i) {
    CHECK(product_error(each_product(x, weights, i), x, weights[i]) <
          kTolerance);
  }
}

TEST_CASE("results take the shapes that are asked for") {
  const auto w = make_weight({"", "affine", 32, 4, mx::float32}, {24, 64}, 1);
  const Weight* only[] = {&w};
  const auto x = random({2, 1, 64}, 2);
  const auto y = linear_each(x, only, {{2, 3, 1, 8}})[0];
  CHECK(y.shape() == mx::Shape{2, 3, 1, 8});
  CHECK(node_distance(mx::reshape(y, {2, 1, 24}), linear(x, w)) == 0);
  CHECK_THROWS_AS(linear_each(x, only, {{2, 3, 1, 7}}), std::invalid_argument);
}

TEST_CASE("a gated pair, from one row to many, small and shared") {
  projections_in_every_set([] {
    for (const auto& format : all_formats()) {
      CAPTURE(format.name);
      const int width = format.mode.empty() ? 30 : 3 * format.group;
      for (int inner : {1, 21, 640}) {
        const auto gate = make_weight(format, {inner, width}, 1);
        const auto up = make_weight(format, {inner, width}, 2);
        for (int rows : {1, 3, 9}) {
          CAPTURE(inner);
          CAPTURE(rows);
          const auto x = random({rows, width}, rows);
          CHECK(gate_error(linear_silu_gate(x, gate, up),
                           linear(x, gate),
                           linear(x, up)) < 1e-6);
        }
      }
    }
  });
}

TEST_CASE("a product is added to what it goes on with") {
  projections_in_every_set([] {
    for (const auto& format : all_formats()) {
      CAPTURE(format.name);
      const int width = format.mode.empty() ? 30 : 3 * format.group;
      const auto w = make_weight(format, {300, width}, 1);
      for (int rows : {1, 5, 8}) {
        const auto x = random({rows, width}, rows);
        const auto residual = random({rows, 300}, 3);
        const auto y = linear_add(residual, x, w);
        CHECK(node_distance(y, residual + linear(x, w)) == 0);
      }
    }
  });
}

TEST_CASE("activations, residuals and weights that do not lie row by row") {
  const auto w = make_weight({"", "affine", 32, 4, mx::float32}, {40, 64}, 1);
  const auto apart = [](const mx::array& a) {
    return mx::swapaxes(mx::contiguous(mx::swapaxes(a, 0, 1)), 0, 1);
  };
  const auto x = random({4, 64}, 2);
  const auto residual = random({4, 40}, 3);
  Weight strided = w;
  strided.data = apart(w.data);
  strided.scales = apart(*w.scales);
  strided.biases = apart(*w.biases);
  const auto expected = residual + linear(x, w);
  CHECK(node_distance(linear_add(apart(residual), apart(x), strided),
                      expected) == 0);
  CHECK(node_distance(each_product(apart(x), {w, strided}, 1), linear(x, w)) ==
        0);
  CHECK(node_distance(linear_silu_gate(apart(x), w, strided),
                      linear_silu_gate(x, w, w)) == 0);
}

TEST_CASE("a norm before products is the norm, whatever the weights are") {
  const auto scale = random({64}, 2);
  const Norm norm{scale, 1e-5f};
  const auto a = make_weight({"", "affine", 32, 4, mx::float16}, {24, 64}, 3);
  const auto b = make_weight({"", "", 0, 16, mx::float16}, {24, 64}, 4);
  // First of weights that are still to be computed, then of constant ones.
  for (int rows : {1, 9, 600, 1, 9}) {
    CAPTURE(rows);
    if (rows == 600) {
      mx::eval(scale, a.data, *a.scales, *a.biases, b.data);
    }
    const auto x = random({rows, 64}, 1);
    const auto normed = rms_norm(x, scale, norm.eps);
    for (const auto& [first, second] : {std::pair{a, a}, {b, b}, {a, b}}) {
      const Weight* both[] = {&first, &second};
      const mx::Shape shape{rows, 24};
      const auto y = linear_each(x, both, {shape, shape}, norm);
      CHECK(node_distance(y[0], linear(normed, first)) == 0);
      CHECK(node_distance(y[1], linear(normed, second)) == 0);
      CHECK(node_distance(linear_silu_gate(x, first, second, norm),
                          linear_silu_gate(normed, first, second)) == 0);
    }
  }
  const Norm narrow{mx::ones({63}), 1e-5f};
  CHECK_THROWS_AS(linear_silu_gate(random({1, 64}, 1), a, a, narrow),
                  std::invalid_argument);
}

TEST_CASE("gradients go through the norm, to its weight as well") {
  const auto w = make_weight({"", "affine", 32, 8, mx::float32}, {12, 32}, 1);
  auto ours = [&](const std::vector<mx::array>& in) {
    const Weight* only[] = {&w};
    const Norm norm{in[1], 1e-5f};
    return mx::sum(linear_each(in[0], only, {{3, 12}}, norm)[0] *
                   linear_silu_gate(in[0], w, w, norm));
  };
  auto plain = [&](const std::vector<mx::array>& in) {
    const auto x = rms_norm(in[0], in[1], 1e-5f);
    return mx::sum(linear(x, w) * silu_gate(linear(x, w), linear(x, w)));
  };
  const std::vector<mx::array> at{random({3, 32}, 3), random({32}, 4)};
  const auto got = mx::value_and_grad(ours, {0, 1})(at).second;
  const auto expected = mx::value_and_grad(plain, {0, 1})(at).second;
  for (size_t i = 0; i < 2; ++i) {
    CHECK(mx::allclose(got[i], expected[i], 1e-4, 1e-4).item<bool>());
  }
}

TEST_CASE("no rows and no width") {
  const auto w = make_weight({"", "", 0, 32, mx::float32}, {6, 8}, 1);
  CHECK(each_product(mx::zeros({0, 8}), {w, w}, 1).shape() == mx::Shape{0, 6});
  CHECK(linear_silu_gate(mx::zeros({0, 8}), w, w).shape() == mx::Shape{0, 6});
  CHECK(linear_add(mx::zeros({0, 6}), mx::zeros({0, 8}), w).shape() ==
        mx::Shape{0, 6});
  const Weight empty{mx::zeros({6, 0})};
  CHECK(node_distance(linear_add(mx::ones({2, 6}), mx::zeros({2, 0}), empty),
                      mx::ones({2, 6})) == 0);
}

TEST_CASE("gradients are those of the operations one by one") {
  const auto a = make_weight({"", "affine", 32, 8, mx::float32}, {12, 32}, 1);
  const auto b = make_weight({"", "affine", 32, 8, mx::float32}, {12, 32}, 2);
  const auto x = random({3, 32}, 3);
  const auto residual = random({3, 12}, 4);
  auto ours = [&](const std::vector<mx::array>& in) {
    return mx::sum(each_product(in[0], {a, b}, 1) *
                       each_product(in[0], {a, b}, 0) +
                   linear_silu_gate(in[0], a, b) * linear_add(in[1], in[0], a));
  };
  auto plain = [&](const std::vector<mx::array>& in) {
    return mx::sum(linear(in[0], b) * linear(in[0], a) +
                   silu_gate(linear(in[0], a), linear(in[0], b)) *
                       (in[1] + linear(in[0], a)));
  };
  const auto got = mx::value_and_grad(ours, {0, 1})({x, residual}).second;
  const auto expected = mx::value_and_grad(plain, {0, 1})({x, residual}).second;
  for (size_t i = 0; i < 2; ++i) {
    CHECK(node_distance(got[i], expected[i]) < 1e-3);
  }
}

TEST_CASE("projections that do not fit are refused when the graph is made") {
  const auto w = make_weight({"", "affine", 32, 4, mx::float32}, {40, 64}, 1);
  const auto x = mx::zeros({2, 32});
  CHECK_THROWS_AS(each_product(x, {w, w}, 0), std::invalid_argument);
  CHECK_THROWS_AS(linear_silu_gate(x, w, w), std::invalid_argument);
  CHECK_THROWS_AS(linear_add(mx::zeros({2, 40}), x, w), std::invalid_argument);
  CHECK_THROWS_AS(linear_add(mx::zeros({1, 40}), mx::zeros({2, 64}), w),
                  std::invalid_argument);
}
