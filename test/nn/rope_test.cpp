// Rotary positions against the definition; the frequencies of each type are
// held to transformers by the golden logits of the architectures.

#include "assay/nn/rope.h"

#include <cmath>

#include <doctest/doctest.h>
#include <mlx/mlx.h>

#include "assay/core/finding.h"

using namespace assay;
using namespace assay::nn;
namespace mx = mlx::core;

namespace {

float rope_distance(const mx::array& a, const mx::array& b) {
  return mx::max(mx::abs(a - b)).item<float>();
}

mx::array random(int length, int dim) {
  return mx::random::normal(
      {1, 2, length, dim}, mx::float32, mx::random::key(7));
}

RopeConfig config(const char* type) {
  RopeConfig c;
  c.type = type;
  c.theta = 100;
  c.factor = 4;
  c.max_position_embeddings = c.original_max_position_embeddings = 16;
  c.short_factor = {1, 1, 1, 1};
  c.long_factor = {1, 2, 3, 4};
  return c;
}

}  // namespace

TEST_CASE("each pair turns by its position times its frequency") {
  constexpr int kDim = 8, kLength = 5, kOffset = 3;
  auto x = random(kLength, kDim);
  mx::eval(x);
  for (bool interleaved : {false, true}) {
    auto y = Rope(config("default"), kDim, interleaved)(x, kOffset);
    mx::eval(y);
    for (int t = 0; t < kLength; ++t) {
      for (int i = 0; i < kDim / 2; ++i) {
        double angle = (t + kOffset) * std::pow(100.0, -2.0 * i / kDim);
        int a = interleaved ? 2 * i : i;
        int b = interleaved ? 2 * i + 1 : i + kDim / 2;
        const float* in = x.data<float>() + t * kDim;
        const float* out = y.data<float>() + t * kDim;
        CHECK(out[a] ==
              doctest::Approx(in[a] * std::cos(angle) - in[b] * std::sin(angle))
                  .epsilon(1e-4));
        CHECK(out[b] ==
              doctest::Approx(in[a] * std::sin(angle) + in[b] * std::cos(angle))
                  .epsilon(1e-4));
      }
    }
  }
}

TEST_CASE("a partial factor leaves the rest of each head alone") {
  auto c = config("default");
  c.partial_rotary_factor = 0.5;
  auto x = random(4, 8);
  auto y = Rope(c, 8)(x, 2);
  auto rest = [](const mx::array& a) { return mx::split(a, 2, -1)[1]; };
  CHECK(rope_distance(rest(x), rest(y)) == 0);
  CHECK(rope_distance(x, y) > 0.1f);
}

TEST_CASE("a prompt in pieces is rotated as one that runs whole") {
  auto x = random(24, 8);
  for (const char* type :
       {"default", "linear", "dynamic", "llama3", "yarn", "longrope"}) {
    CAPTURE(type);
    Rope rope(config(type), 8);
    auto whole = rope(x, 0);
    auto parts = mx::split(x, mx::Shape{10}, 2);
    auto pieces =
        mx::concatenate({rope(parts[0], 0, 24), rope(parts[1], 10, 24)}, 2);
    CHECK(rope_distance(whole, pieces) < 1e-6f);
  }
}

TEST_CASE("longrope changes where its original context ends") {
  Rope rope(config("longrope"), 8);
  CHECK_FALSE(rope.changes_between(1, 16));
  CHECK(rope.changes_between(16, 17));
  CHECK_FALSE(rope.changes_between(17, 100));
  auto x = random(4, 8);
  CHECK(rope_distance(rope(x, 3, 16), rope(x, 3, 17)) > 1e-3f);
  CHECK_FALSE(Rope(config("yarn"), 8).changes_between(16, 17));
}

TEST_CASE("what a type lacks is refused") {
  auto unknown = config("spiral");
  CHECK_THROWS_AS(Rope(unknown, 8), Error);
  auto lacking = config("longrope");
  lacking.long_factor = {1, 2};
  CHECK_THROWS_AS(Rope(lacking, 8), Error);
}
