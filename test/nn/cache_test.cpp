// KV caches against attention without a cache: the same keys, values and
// queries, in any pieces, give the same result.

#include <cmath>

#include <doctest/doctest.h>
#include <mlx/mlx.h>

#include "assay/nn/attention.h"

using namespace assay::nn;
namespace mx = mlx::core;

namespace {

constexpr int kHeads = 4, kKvHeads = 2, kDim = 32;

struct Sequence {
  mx::array q, k, v;

  explicit Sequence(int length)
      : q(random(length, kHeads, 1)),
        k(random(length, kKvHeads, 2)),
        v(random(length, kKvHeads, 3)) {}

  static mx::array random(int length, int heads, uint64_t seed) {
    return mx::random::normal(
        {1, heads, length, kDim}, mx::float32, mx::random::key(seed));
  }
};

mx::array part(const mx::array& x, int start, int stop) {
  return mx::slice(x, {0, 0, start, 0}, {1, x.shape(1), stop, kDim});
}

CacheShape shape(int window = 0) {
  return {kKvHeads, kDim, kDim, window};
}

// The textbook: each query looks at the positions for which `sees` holds.
template <class Sees>
mx::array textbook(const Sequence& s, Sees sees) {
  int length = s.q.shape(2);
  std::vector<float> allowed;
  for (int i = 0; i < length; ++i) {
    for (int j = 0; j < length; ++j) {
      allowed.push_back(sees(i, j) ? 0.0f : -1e30f);
    }
  }
  auto k = mx::repeat(s.k, kHeads / kKvHeads, 1);
  auto v = mx::repeat(s.v, kHeads / kKvHeads, 1);
  auto scores = mx::matmul(s.q, mx::swapaxes(k, 2, 3)) /
                    mx::array(std::sqrt(static_cast<float>(kDim))) +
                mx::array(allowed.begin(), {length, length}, mx::float32);
  return mx::matmul(mx::softmax(scores, -1, true), v);
}

mx::array in_pieces(const Sequence& s,
                    KVCache& cache,
                    const std::vector<int>& pieces,
                    int window = 0) {
  std::vector<mx::array> out;
  int start = 0;
  for (int count : pieces) {
    AttentionSpec spec{1 / std::sqrt(static_cast<float>(kDim)), window};
    out.push_back(attention(part(s.q, start, start + count),
                            part(s.k, start, start + count),
                            part(s.v, start, start + count),
                            &cache,
                            spec));
    start += count;
    CHECK(cache.offset() == start);
  }
  REQUIRE(start == s.q.shape(2));
  return mx::concatenate(out, 2);
}

float distance(const mx::array& a, const mx::array& b) {
  return mx::max(mx::abs(a - b)).item<float>();
}

const std::vector<std::vector<int>> kPieces = {
    {40},
    {39, 1},
    {1, 39},
    std::vector<int>(40, 1),
    {5, 1, 1, 1, 1, 1, 1, 1, 1, 1, 7, 1, 1, 10, 2, 1, 1, 1, 1, 1},
    {13, 14, 13},
};

}  // namespace

TEST_CASE("a growing cache gives what attention without one gives") {
  Sequence s(40);
  auto expected = textbook(s, [](int i, int j) { return j <= i; });
  for (const auto& pieces : kPieces) {
    CAPTURE(pieces.size());
    KVCache cache(shape(), {});
    CHECK(distance(in_pieces(s, cache, pieces), expected) < 1e-5f);
  }
}

TEST_CASE("a growing cache grows past its first room") {
  Sequence s(600);
  auto expected = textbook(s, [](int i, int j) { return j <= i; });
  KVCache cache(shape(), {});
  CHECK(distance(in_pieces(s, cache, {250, 10, 200, 1, 139}), expected) <
        1e-5f);
}

TEST_CASE("a window's cache shows each query its window, in any pieces") {
  Sequence s(40);
  for (int window : {1, 4, 8, 40, 64}) {
    auto expected =
        textbook(s, [&](int i, int j) { return j <= i && j > i - window; });
    for (const auto& pieces : kPieces) {
      CAPTURE(window);
      CAPTURE(pieces.size());
      KVCache cache(shape(window), {});
      CHECK(distance(in_pieces(s, cache, pieces, window), expected) < 1e-5f);
    }
  }
}

TEST_CASE("a bounded cache keeps the first positions and the last ones") {
  Sequence s(40);
  constexpr int kSize = 12, kKeep = 4;
  auto expected = textbook(s, [](int i, int j) {
    return j <= i && (j < kKeep || j > i - (kSize - kKeep));
  });
  for (const auto& pieces : kPieces) {
    CAPTURE(pieces.size());
    KVCache cache(shape(), {.max_size = kSize, .keep = kKeep});
    CHECK(distance(in_pieces(s, cache, pieces), expected) < 1e-5f);
  }
}

TEST_CASE("a bounded cache holds no more than its bound while decoding") {
  Sequence s(40);
  KVCache cache(shape(), {.max_size = 12});
  in_pieces(s, cache, std::vector<int>(40, 1));
  CHECK(cache.state().at(0).shape(2) == 12);
  CHECK(cache.bytes() == 2 * 12 * kKvHeads * kDim * sizeof(float));
}

TEST_CASE(
    "a quantized cache gives what attention over the rounded keys and "
    "values gives") {
  Sequence s(40);
  auto rounded = [](const mx::array& x, int bits) {
    if (bits == 16) {
      return mx::astype(mx::astype(x, mx::float16), mx::float32);
    }
    auto q = mx::quantize(x, 32, bits);
    return mx::dequantize(q[0], q[1], q[2], 32, bits);
  };
  for (int bits : {4, 8, 16}) {
    auto r = s;
    r.k = rounded(s.k, bits);
    r.v = rounded(s.v, bits);
    auto expected = textbook(r, [](int i, int j) { return j <= i; });
    for (const auto& pieces : kPieces) {
      CAPTURE(bits);
      CAPTURE(pieces.size());
      KVCache cache(shape(), {.bits = bits, .group_size = 32});
      CHECK(distance(in_pieces(s, cache, pieces), expected) < 1e-4f);
    }
  }
}

TEST_CASE("positions that were trimmed never were") {
  Sequence s(40);
  auto expected = textbook(s, [](int i, int j) { return j <= i; });
  KVCache cache(shape(), {});
  auto wrong = Sequence(16);
  cache.update(part(s.k, 0, 10), part(s.v, 0, 10));
  cache.update(part(wrong.k, 4, 16), part(wrong.v, 4, 16));
  REQUIRE(cache.trim(12));
  CHECK(cache.offset() == 10);
  auto out = attention(part(s.q, 10, 40),
                       part(s.k, 10, 40),
                       part(s.v, 10, 40),
                       &cache,
                       {1 / std::sqrt(static_cast<float>(kDim))});
  CHECK(distance(out, part(expected, 10, 40)) < 1e-5f);
}

TEST_CASE("a window that dropped positions refuses to trim") {
  Sequence s(40);
  KVCache cache(shape(8), {});
  in_pieces(s, cache, {6, 2, 32}, 8);
  CHECK_FALSE(cache.can_trim(1));
  CHECK_FALSE(cache.trim(1));
  CHECK(cache.offset() == 40);
  KVCache young(shape(8), {});
  young.update(part(s.k, 0, 8), part(s.v, 0, 8));
  CHECK(young.trim(3));
  CHECK_FALSE(young.trim(6));
  CHECK(young.offset() == 5);
}

TEST_CASE("a saved state goes on where it was, also from a turned ring") {
  Sequence s(40);
  for (CacheOptions options :
       {CacheOptions{},
        CacheOptions{.max_size = 12},
        CacheOptions{.bits = 8, .group_size = 32},
        CacheOptions{.bits = 16},
        CacheOptions{.max_size = 12, .bits = 8, .group_size = 32}}) {
    for (int saved_at : {5, 17, 30}) {
      CAPTURE(options.max_size);
      CAPTURE(options.bits);
      CAPTURE(saved_at);
      KVCache whole(shape(), options);
      auto expected = in_pieces(s, whole, std::vector<int>(40, 1));
      KVCache first(shape(), options);
      for (int i = 0; i < saved_at; ++i) {
        first.update(part(s.k, i, i + 1), part(s.v, i, i + 1));
      }
      KVCache second(shape(), options);
      second.restore(first.state(), first.offset());
      for (int i = saved_at; i < 40; ++i) {
        auto out = attention(part(s.q, i, i + 1),
                             part(s.k, i, i + 1),
                             part(s.v, i, i + 1),
                             &second,
                             {1 / std::sqrt(static_cast<float>(kDim))});
        CHECK(distance(out, part(expected, i, i + 1)) < 1e-5f);
      }
    }
  }
}

TEST_CASE("a state that is not this layer's is refused") {
  auto zeros = [](mx::Shape dims, mx::Dtype type = mx::float32) {
    return mx::zeros(dims, type);
  };
  auto good = zeros({1, kKvHeads, 5, kDim});
  KVCache cache(shape(), {});
  auto refused = [&](std::vector<mx::array> state, int offset) {
    CHECK_THROWS_AS(cache.restore(state, offset), std::invalid_argument);
  };
  refused({good}, 5);
  refused({good, good, good}, 5);
  refused({good, good}, 6);
  refused({good, good}, 4);
  refused({good, zeros({1, kKvHeads, 4, kDim})}, 5);
  refused({good, zeros({1, kKvHeads + 1, 5, kDim})}, 5);
  refused({zeros({1, kKvHeads, 5, kDim + 1}), good}, 5);
  refused({zeros({2, kKvHeads, 5, kDim}), good}, 5);
  refused({zeros({kKvHeads, 5, kDim}), good}, 5);
  refused({zeros({1, kKvHeads, 5, kDim}, mx::uint32), good}, 5);
  refused({zeros({1, kKvHeads, 0, kDim}), zeros({1, kKvHeads, 0, kDim})}, 0);
  CHECK_NOTHROW(cache.restore({good, good}, 5));
  KVCache packed(shape(), {.bits = 4, .group_size = 32});
  auto words = zeros({1, kKvHeads, 5, kDim / 8}, mx::uint32);
  auto scales = zeros({1, kKvHeads, 5, 1});
  CHECK_NOTHROW(
      packed.restore({words, scales, scales, words, scales, scales}, 5));
  CHECK_THROWS_AS(
      packed.restore({words, scales, scales, words, scales, words}, 5),
      std::invalid_argument);
  CHECK_THROWS_AS(
      packed.restore({good, scales, scales, words, scales, scales}, 5),
      std::invalid_argument);
}
