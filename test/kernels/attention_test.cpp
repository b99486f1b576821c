// Attention against the textbook in float64, in every instruction set: grouped
// heads, odd widths, windows by mask, sinks, soft caps, caches of every kind.

#include "assay/kernels/attention.h"

#include <cmath>
#include <limits>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/kernels/simd.h"

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

namespace {

struct BestKernels {
  ~BestKernels() { use_kernels(*available_kernels().front()); }
};

struct Sizes {
  int heads, kv_heads, length, positions, dim, value_dim;
};

AttentionInputs make(const Sizes& s, int seed) {
  AttentionInputs in{
      random({2, s.heads, s.length, s.dim}, seed),
      {random({2, s.kv_heads, s.positions, s.dim}, seed + 1), {}, {}, {}},
      {random({2, s.kv_heads, s.positions, s.value_dim}, seed + 2),
       {},
       {},
       {}}};
  in.scale = 1 / std::sqrt(static_cast<float>(s.dim));
  in.causal = s.length > 1;
  return in;
}

std::vector<double> numbers(const Weight& weight) {
  return weight.scales ? values(dequantize(weight)) : values(weight.data);
}

// The definition, position by position.
std::vector<double> textbook(const AttentionInputs& in) {
  auto size = [](const mx::array& a, int axis) {
    return static_cast<size_t>(a.shape(axis));
  };
  const auto q = values(in.q);
  const auto k = numbers(in.keys);
  const auto v = numbers(in.values);
  const size_t heads = size(in.q, 1), length = size(in.q, 2);
  const size_t kv_heads = size(in.keys.data, 1);
  const size_t positions = size(in.keys.data, 2);
  const size_t dim = size(in.q, 3);
  const size_t value_dim = v.size() / (2 * kv_heads * positions);
  std::vector<double> mask(2 * heads * length * positions, 1.0);
  if (in.mask) {
    mask = values(mx::broadcast_to(
        *in.mask, {2, in.q.shape(1), in.q.shape(2), in.keys.data.shape(2)}));
  }
  std::vector<double> out;
  for (size_t row = 0; row < 2 * heads * length; ++row) {
    const size_t t = row % length;
    const size_t head = row / length % heads;
    const size_t kv =
        row / length / heads * kv_heads + head / (heads / kv_heads);
    std::vector<double> scores;
    double largest = -std::numeric_limits<double>::infinity();
    for (size_t p = 0; p < positions; ++p) {
      double score = 0;
      for (size_t i = 0; i < dim; ++i) {
        score += q[row * dim + i] * k[(kv * positions + p) * dim + i];
      }
      score *= in.scale;
      if (in.softcap > 0) {
        score = in.softcap * std::tanh(score / in.softcap);
      }
      const bool seen = mask[row * positions + p] != 0 &&
                        (!in.causal || p <= positions - length + t);
      scores.push_back(seen ? score : -std::numeric_limits<double>::infinity());
      largest = std::max(largest, scores.back());
    }
    double sum = 0;
    if (in.sinks) {
      const double sink = values(*in.sinks)[head];
      largest = std::max(largest, sink);
      sum = std::exp(sink - largest);
    }
    std::vector<double> result(value_dim, 0.0);
    for (size_t p = 0; p < positions; ++p) {
      const double weight = std::exp(scores[p] - largest);
      sum += weight;
      for (size_t i = 0; i < value_dim; ++i) {
        result[i] += weight * v[(kv * positions + p) * value_dim + i];
      }
    }
    for (double value : result) {
      out.push_back(value / sum);
    }
  }
  return out;
}

double distance(const AttentionInputs& in) {
  const auto expected = textbook(in);
  const auto actual = values(attention(in));
  REQUIRE(actual.size() == expected.size());
  double worst = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double error = std::abs(actual[i] - expected[i]);
    worst = std::isnan(error) ? std::numeric_limits<double>::infinity()
                              : std::max(worst, error);
  }
  return worst;
}

constexpr double kClose = 1e-5;

}  // namespace

TEST_CASE("attention is the textbook's in every instruction set") {
  const BestKernels restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (const Sizes& s : {Sizes{1, 1, 1, 1, 8, 8},
                           Sizes{4, 2, 1, 63, 64, 64},
                           Sizes{6, 2, 1, 65, 20, 12},
                           Sizes{9, 3, 5, 130, 64, 64},
                           Sizes{8, 1, 70, 70, 24, 40},
                           Sizes{3, 3, 2, 900, 33, 7}}) {
      CAPTURE(s.dim);
      CAPTURE(s.length);
      CHECK(distance(make(s, s.dim)) < kClose);
    }
  }
}

TEST_CASE("masks, sinks and soft caps, and the number of threads") {
  auto with_window = [](AttentionInputs& in) {
    const int length = in.q.shape(2);
    auto keys = mx::expand_dims(mx::arange(1300), 0);
    auto queries = mx::expand_dims(mx::arange(1300 - length, 1300), 1);
    in.causal = false;
    in.mask = mx::logical_and(mx::less_equal(keys, queries),
                              mx::greater(keys, queries - mx::array(40)));
  };
  for (int threads : {1, 2, 5}) {
    set_threads(threads);
    for (int length : {1, 7}) {
      CAPTURE(threads);
      CAPTURE(length);
      const auto plain = make({6, 2, length, 1300, 32, 32}, length);
      auto sinks = plain;
      sinks.sinks = random({6}, 9) * mx::array(3.0f);
      CHECK(distance(sinks) < kClose);
      auto capped = plain;
      capped.softcap = 0.7f;
      CHECK(distance(capped) < kClose);
      auto window = plain;
      with_window(window);
      CHECK(distance(window) < kClose);
      auto masked = plain;
      masked.causal = false;
      masked.mask =
          mx::greater(random({2, 6, length, 1300}, 11), mx::array(1.0f));
      CHECK(distance(masked) < kClose);
    }
  }
  set_threads(0);
}

TEST_CASE("caches of half precision and quantized ones, cut from larger ones") {
  const BestKernels restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (int length : {1, 9}) {
      auto in = make({4, 2, length, 150, 64, 128}, length);
      auto cut = [](const mx::array& a) {
        auto stop = a.shape();
        stop[2] = 150;
        auto more = mx::concatenate({a, a}, 2);
        return mx::slice(more, mx::Shape(4, 0), stop);
      };
      for (auto dtype : {mx::float16, mx::bfloat16, mx::float32}) {
        auto plain = in;
        plain.keys.data = cut(mx::astype(in.keys.data, dtype));
        plain.values.data = cut(mx::astype(in.values.data, dtype));
        CHECK(distance(plain) < kClose);
        plain.keys.data = mx::swapaxes(
            mx::contiguous(mx::swapaxes(plain.keys.data, 2, 3)), 2, 3);
        CHECK(distance(plain) < kClose);
      }
      for (int bits : {3, 4, 8}) {
        auto quantized = in;
        for (auto* part : {&quantized.keys, &quantized.values}) {
          auto parts = mx::quantize(part->data, 32, bits);
          *part = {cut(parts[0]),
                   cut(parts[1]),
                   cut(parts[2]),
                   {32, bits, "affine"}};
        }
        CHECK(distance(quantized) < kClose);
      }
    }
  }
}

TEST_CASE("queries in the order of positions, and no queries") {
  auto in = make({4, 2, 6, 20, 16, 16}, 3);
  auto apart = in;
  apart.q = mx::transpose(mx::contiguous(mx::transpose(in.q, {0, 2, 1, 3})),
                          {0, 2, 1, 3});
  CHECK(values(attention(apart)) == values(attention(in)));
  auto none = make({4, 2, 6, 20, 16, 16}, 4);
  none.q = mx::zeros({2, 4, 0, 16});
  CHECK(attention(none).shape() == mx::Shape{2, 4, 0, 16});
  CHECK(values(attention(none)).empty());
}

TEST_CASE("what is no number stays in its own query") {
  auto in = make({2, 1, 3, 10, 16, 16}, 5);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  auto bad = mx::slice_update(in.q,
                              mx::full({2, 2, 1, 16}, nan),
                              mx::Shape{0, 0, 1, 0},
                              mx::Shape{2, 2, 2, 16});
  const auto expected = values(attention(in));
  in.q = bad;
  const auto actual = values(attention(in));
  for (size_t i = 0; i < actual.size(); ++i) {
    if (i / 16 % 3 == 1) {
      CHECK(std::isnan(actual[i]));
    } else {
      CHECK(actual[i] == expected[i]);
    }
  }
}

TEST_CASE("the gradients of attention are MLX's") {
  auto in = make({4, 2, 3, 8, 16, 16}, 6);
  auto loss = [&](const std::vector<mx::array>& x) {
    auto own = in;
    own.q = x[0];
    own.keys.data = x[1];
    own.values.data = x[2];
    return mx::sum(mx::square(attention(own)));
  };
  auto theirs = [&](const std::vector<mx::array>& x) {
    auto k = mx::repeat(x[1], 2, 1);
    auto v = mx::repeat(x[2], 2, 1);
    auto scores = mx::matmul(x[0], mx::swapaxes(k, 2, 3)) * mx::array(in.scale);
    auto keys = mx::expand_dims(mx::arange(8), 0);
    auto queries = mx::expand_dims(mx::arange(5, 8), 1);
    scores =
        mx::where(mx::less_equal(keys, queries), scores, mx::array(-1e30f));
    return mx::sum(mx::square(mx::matmul(mx::softmax(scores, -1), v)));
  };
  const std::vector<mx::array> at = {in.q, in.keys.data, in.values.data};
  auto a = mx::value_and_grad(loss, {0, 1, 2})(at).second;
  auto b = mx::value_and_grad(theirs, {0, 1, 2})(at).second;
  for (size_t i = 0; i < 3; ++i) {
    CHECK(mx::allclose(a[i], b[i], 1e-4, 1e-4).item<bool>());
  }
}

TEST_CASE("queries, keys and values that do not meet are refused") {
  auto in = make({4, 2, 3, 8, 16, 16}, 7);
  auto wide = in;
  wide.q = random({2, 4, 3, 20}, 1);
  CHECK_THROWS_AS(attention(wide), std::invalid_argument);
  auto odd = in;
  odd.q = random({2, 3, 3, 16}, 1);
  CHECK_THROWS_AS(attention(odd), std::invalid_argument);
  auto few = in;
  few.values.data = random({2, 2, 7, 16}, 1);
  CHECK_THROWS_AS(attention(few), std::invalid_argument);
}
