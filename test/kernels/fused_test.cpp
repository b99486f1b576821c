// Fused operations against MLX's own, on contiguous and on strided arrays,
// small ones and ones that are split among threads; gradients too.

#include "assay/kernels/fused.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <mlx/mlx.h>

#include "assay/kernels/simd.h"

#include "reference.h"

using namespace assay::kernels;
using test::BestTarget;
namespace mx = mlx::core;

namespace {

mx::array random_array(mx::Shape shape, uint64_t seed) {
  return mx::random::normal(shape, mx::float32, mx::random::key(seed));
}

float fused_distance(const mx::array& a, const mx::array& b) {
  REQUIRE(a.shape() == b.shape());
  return a.size() == 0 ? 0 : mx::max(mx::abs(a - b)).item<float>();
}

// The same values, lying in memory otherwise.
std::vector<mx::array> layouts(const mx::array& x) {
  int last = static_cast<int>(x.ndim()) - 1;
  auto apart = mx::contiguous(mx::swapaxes(x, -1, last - 1));
  auto wide = mx::contiguous(mx::concatenate({x, x}, -1));
  return {x,
          mx::swapaxes(apart, -1, last - 1),  // rows are columns
          mx::split(wide, 2, -1)[1]};         // rows with gaps
}

RopePeriods periods(int pairs) {
  std::vector<float> values;
  for (int i = 0; i < pairs; ++i) {
    values.push_back(static_cast<float>(i * i) * 3.7f + 1);
  }
  return RopePeriods(std::move(values));
}

}  // namespace

TEST_CASE("rms_norm is MLX's") {
  for (mx::Shape shape : {mx::Shape{1, 1, 576},
                          mx::Shape{2, 3, 17},
                          mx::Shape{1, 100, 576},
                          mx::Shape{1, 0, 8}}) {
    auto weight = random_array({shape.back()}, 1);
    for (const auto& x : layouts(random_array(shape, 2))) {
      CHECK(fused_distance(rms_norm(x, weight, 1e-5f),
                           mx::fast::rms_norm(x, weight, 1e-5f)) < 1e-5f);
    }
  }
}

TEST_CASE("rope is MLX's, whole heads or a part, halves or neighbours") {
  for (int length : {1, 5, 300}) {
    for (const auto& x : layouts(random_array({1, 3, length, 16}, 3))) {
      for (int pairs : {8, 5}) {
        for (bool interleaved : {false, true}) {
          CAPTURE(length);
          CAPTURE(pairs);
          CAPTURE(interleaved);
          auto p = periods(pairs);
          const auto& freqs = p.array();
          auto expected = mx::fast::rope(
              x, 2 * pairs, interleaved, std::nullopt, 1.0f, 11, freqs);
          CHECK(fused_distance(rope(x, p, interleaved, 11, 1), expected) <
                1e-4f);
          auto parts = mx::split(expected, mx::Shape{2 * pairs}, -1);
          auto scaled =
              mx::concatenate({parts[0] * mx::array(1.5f), parts[1]}, -1);
          CHECK(fused_distance(rope(x, p, interleaved, 11, 1.5f), scaled) <
                1e-4f);
        }
      }
    }
  }
}

TEST_CASE("logsumexp is MLX's, rows short and cut, in every instruction set") {
  const BestTarget restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (mx::Shape shape : {mx::Shape{1, 1},
                            mx::Shape{3, 17},
                            mx::Shape{300, 70},
                            mx::Shape{2, 8192},
                            mx::Shape{3, 49157}}) {
      for (float scale : {0.1f, 30.0f}) {
        CAPTURE(shape);
        for (const auto& x :
             layouts(random_array(shape, 8) * mx::array(scale))) {
          const auto expected = mx::logsumexp(x, -1);
          CHECK(fused_distance(assay::kernels::logsumexp(x), expected) < 1e-4f);
          CHECK(fused_distance(assay::kernels::logsumexp(x, true),
                               mx::expand_dims(expected, -1)) < 1e-4f);
        }
      }
    }
  }
}

TEST_CASE("logsumexp keeps what is infinite or no number, as MLX does") {
  const float inf = std::numeric_limits<float>::infinity();
  const float none = std::numeric_limits<float>::quiet_NaN();
  // In the vectors, in what is left of them, and in another part of the row.
  for (int width : {9, 20000}) {
    for (int at : {0, width - 1}) {
      CAPTURE(width);
      CAPTURE(at);
      auto with = [&](float value, float rest) {
        std::vector<float> row(static_cast<size_t>(width), rest);
        row[static_cast<size_t>(at)] = value;
        return assay::kernels::logsumexp(mx::array(row.begin(), {width}))
            .item<float>();
      };
      CHECK(with(-inf, -inf) == -inf);
      CHECK(with(inf, 1) == inf);
      CHECK(with(3, -inf) == doctest::Approx(3));
      CHECK(with(-inf, 0) == doctest::Approx(std::log(width - 1)));
      CHECK(std::isnan(with(none, 0)));
      CHECK(std::isnan(with(none, -inf)));
      CHECK(std::isnan(with(none, inf)));
    }
  }
}

TEST_CASE("silu_gate is MLX's, and its ends are finite") {
  for (mx::Shape shape : {mx::Shape{1, 1, 1536}, mx::Shape{1, 40, 1536}}) {
    auto gates = layouts(random_array(shape, 4) * mx::array(20.0f));
    auto ups = layouts(random_array(shape, 5));
    for (size_t i = 0; i < gates.size(); ++i) {
      auto expected = gates[i] * mx::sigmoid(gates[i]) * ups[i];
      CHECK(fused_distance(silu_gate(gates[i], ups[i]), expected) < 1e-4f);
    }
  }
  auto ends = silu_gate(mx::array({-1e30f, 1e30f}), mx::array({1.0f, 1.0f}));
  CHECK(fused_distance(ends, mx::array({0.0f, 1e30f})) == 0);
}

TEST_CASE("gradients are MLX's") {
  auto x = random_array({1, 2, 3, 8}, 6);
  auto y = random_array({1, 2, 3, 8}, 7);
  auto p = periods(4);
  auto ours = [&](const std::vector<mx::array>& in) {
    return mx::sum(silu_gate(
        rope(rms_norm(in[0], mx::ones({8}), 1e-5f), p, false, 2, 1), in[1]));
  };
  const auto& freqs = p.array();
  auto theirs = [&](const std::vector<mx::array>& in) {
    auto gate = mx::fast::rope(mx::fast::rms_norm(in[0], mx::ones({8}), 1e-5f),
                               8,
                               false,
                               std::nullopt,
                               1.0f,
                               2,
                               freqs);
    return mx::sum(gate * mx::sigmoid(gate) * in[1]);
  };
  auto a = mx::value_and_grad(ours, {0, 1})({x, y}).second;
  auto b = mx::value_and_grad(theirs, {0, 1})({x, y}).second;
  for (size_t i = 0; i < 2; ++i) {
    CHECK(fused_distance(a[i], b[i]) < 1e-4f);
  }
}

TEST_CASE("what does not fit is refused when the graph is made") {
  auto x = mx::zeros({1, 1, 1, 8});
  CHECK_THROWS_AS(rms_norm(x, mx::ones({7}), 1e-5f), std::invalid_argument);
  CHECK_THROWS_AS(rope(x, periods(5), false, 0, 1), std::invalid_argument);
  CHECK_THROWS_AS(silu_gate(x, mx::zeros({1, 1, 1, 7})), std::invalid_argument);
}
