// What top-p keeps, held against its definition in float64.

#include "assay/kernels/top_p.h"

#include <cmath>
#include <limits>
#include <vector>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/random.h>

#include "assay/kernels/fused.h"

namespace mx = mlx::core;
using assay::kernels::least_in_top_p;

namespace {

// Of a float32 sum over a vocabulary.
constexpr double kRounding = 1e-5;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> numbers(const mx::array& a) {
  auto whole = mx::contiguous(a);
  whole.eval();
  return {whole.data<float>(), whole.data<float>() + whole.size()};
}

// The share of all probability that is at least `bound`, or above it.
struct Shares {
  double kept = 0, above = 0;
};

Shares shares(const std::vector<float>& logprobs, float bound) {
  double all = 0;
  Shares result;
  for (double value : logprobs) {
    all += std::exp(value);
    result.kept += value >= bound ? std::exp(value) : 0;
    result.above += value > bound ? std::exp(value) : 0;
  }
  return {result.kept / all, result.above / all};
}

float least(const mx::array& logprobs, float top_p) {
  return least_in_top_p(logprobs, top_p).item<float>();
}

}  // namespace

TEST_CASE("top-p keeps the likeliest up to the one that reaches it") {
  for (int count : {1, 2, 5, 1000, 49157}) {
    for (float spread : {0.0f, 0.5f, 3.0f, 20.0f}) {
      auto x = mx::random::normal({count}, mx::float32, mx::random::key(3)) *
               mx::array(spread);
      auto logprobs = x - assay::kernels::logsumexp(x, true);
      for (float top_p : {0.01f, 0.5f, 0.9f, 0.95f, 0.999f}) {
        CAPTURE(count);
        CAPTURE(spread);
        CAPTURE(top_p);
        const auto found = shares(numbers(logprobs), least(logprobs, top_p));
        CHECK(found.kept >= top_p - kRounding);
        CHECK(found.above < top_p + kRounding);
      }
    }
  }
}

TEST_CASE("top-p: the share of what filters left, wherever it lies") {
  auto two = mx::array({std::log(0.2f), -kInfinity, std::log(0.1f)});
  CHECK(least(two, 0.6f) == doctest::Approx(std::log(0.2f)));
  CHECK(least(two, 0.7f) == doctest::Approx(std::log(0.1f)));
  auto columns =
      mx::transpose(mx::stack({two, mx::zeros({3}), mx::zeros({3})}));
  auto apart = mx::reshape(mx::slice(columns, {0, 0}, {3, 1}), {3});
  CHECK(least(apart, 0.6f) == doctest::Approx(std::log(0.2f)));
}

TEST_CASE("top-p drops nothing of what is infinite or no number") {
  const float none = std::numeric_limits<float>::quiet_NaN();
  for (float odd : {kInfinity, none}) {
    CHECK(least(mx::array({0.0f, odd, -1.0f}), 0.5f) == -kInfinity);
  }
  CHECK(least(mx::array({-kInfinity, -kInfinity}), 0.5f) == -kInfinity);
}
