// Attention that writes to the cache it reads, against its parts one by one;
// which stores are written to where they lie and which are copied.

#include "assay/kernels/cached_attention.h"

#include <vector>

#include <doctest/doctest.h>
#include <mlx/mlx.h>

#include "assay/kernels/attention.h"

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

namespace {

constexpr int kBatch = 2, kKvHeads = 2, kCapacity = 300, kDim = 24;

// What MLX's operations make of it, and the attention that has tests.
CachedAttention by_parts(const CachedAttentionInputs& in) {
  auto put = [&](const mx::array& store, const mx::array& fresh) {
    auto stop = store.shape();
    stop[2] = in.step.position + fresh.shape(2);
    return mx::slice_update(store, fresh, {0, 0, in.step.position, 0}, stop);
  };
  auto turned = [&](const mx::array& x) {
    return in.step.rope ? rope(x,
                               in.step.rope->periods,
                               in.step.rope->interleaved,
                               in.step.rope->offset,
                               in.step.rope->scale)
                        : x;
  };
  auto keys = put(in.step.keys, turned(in.k));
  auto values = put(in.step.values, in.v);
  auto seen = [&](const mx::array& store) {
    auto stop = store.shape();
    stop[2] = in.step.remembered;
    return Weight{mx::slice(store, {0, 0, 0, 0}, stop), {}, {}, {}};
  };
  AttentionInputs parts{turned(in.q), seen(keys), seen(values)};
  parts.causal = in.q.shape(2) > 1;
  parts.sinks = in.step.sinks;
  parts.scale = in.step.scale;
  parts.softcap = in.step.softcap;
  auto out = mx::transpose(attention(parts), {0, 2, 1, 3});
  return {mx::flatten(out, 2, 3), keys, values};
}

CachedAttentionInputs make_step(int length, mx::Dtype type, int position) {
  auto store = [&](int dim, int seed) {
    return mx::astype(random({kBatch, kKvHeads, kCapacity, dim}, seed), type);
  };
  CachedAttentionInputs in{random({kBatch, 6, length, kDim}, 1),
                           random({kBatch, kKvHeads, length, kDim}, 2),
                           random({kBatch, kKvHeads, length, 16}, 3),
                           {store(kDim, 4), store(16, 5)}};
  in.step.position = position;
  in.step.remembered = position + length;
  in.step.scale = 0.2f;
  return in;
}

void check_same(const CachedAttentionInputs& in) {
  const auto [out, keys, stored] = cached_attention(in);
  const auto expected = by_parts(in);
  CHECK(out.shape() == expected.out.shape());
  CHECK(keys.dtype() == in.step.keys.dtype());
  CHECK(values(out) == values(expected.out));
  CHECK(values(keys) == values(expected.keys));
  CHECK(values(stored) == values(expected.values));
}

}  // namespace

TEST_CASE("a cached attention is its parts, whatever the store is made of") {
  const RopePeriods periods({1.0f, 3.0f, 10.0f, 200.0f});
  for (int length : {1, 5}) {
    for (auto type : {mx::float32, mx::float16, mx::bfloat16}) {
      for (int position : {0, 37, 290}) {
        CAPTURE(length);
        CAPTURE(position);
        auto in = make_step(length, type, position);
        check_same(in);
        in.step.rope.emplace(RopeAt{periods, false, position + 4, 1.1f});
        check_same(in);
        in.step.rope.emplace(RopeAt{periods, true, position, 1.0f});
        in.step.softcap = 0.8f;
        in.step.sinks = random({6}, 9);
        check_same(in);
      }
    }
  }
}

TEST_CASE("a ring: the new position is not the last of the store") {
  auto in = make_step(1, mx::float32, 17);
  in.step.remembered = 120;
  check_same(in);
}

TEST_CASE("queries and keys in the order of positions") {
  auto apart = [](const mx::array& a) {
    return mx::swapaxes(mx::contiguous(mx::swapaxes(a, 1, 2)), 1, 2);
  };
  auto scattered = [](const mx::array& a) {
    return mx::swapaxes(mx::contiguous(mx::swapaxes(a, 2, 3)), 2, 3);
  };
  const RopePeriods periods({1.0f, 3.0f});
  auto in = make_step(7, mx::float32, 40);
  in.step.rope.emplace(RopeAt{periods, false, 40, 1});
  in.q = apart(in.q);
  in.k = scattered(in.k);
  in.v = apart(in.v);
  check_same(in);
  in.step.keys = scattered(in.step.keys);
  check_same(in);
  in.q = scattered(in.q);
  in.step.rope.reset();
  check_same(in);
}

TEST_CASE("a store that is held is written to only where nobody reads") {
  auto in = make_step(1, mx::float32, 37);
  mx::eval(in.step.keys, in.step.values);
  const auto before = values(in.step.keys);
  const auto* place = in.step.keys.data<float>();

  auto copied = cached_attention(in);
  mx::eval(copied.out, copied.keys, copied.values);
  CHECK(copied.keys.data<float>() != place);
  CHECK(values(in.step.keys) == before);

  in.step.unread = true;
  auto there = cached_attention(in);
  mx::eval(there.out, there.keys, there.values);
  CHECK(there.keys.data<float>() == place);
  CHECK(values(there.keys) == values(copied.keys));
  CHECK(values(there.out) == values(copied.out));
}

TEST_CASE("a store that nobody holds is written to where it lies") {
  auto fresh = random({1, 2, 1, 8}, 1);
  std::optional<mx::array> store = random({1, 2, 20, 8}, 2);
  mx::eval(*store, fresh);
  const auto* place = store->data<float>();
  auto result = append(*store, fresh, 3, false);
  store.reset();
  mx::eval(result);
  CHECK(result.data<float>() == place);
}

TEST_CASE("append takes any type and order, and casts to the store's") {
  const auto store = random({2, 3, 10, 4}, 1);
  const auto fresh =
      mx::swapaxes(mx::astype(random({2, 2, 3, 4}, 2), mx::float16), 1, 2);
  const auto expected = mx::slice_update(
      store, fresh, mx::Shape{0, 0, 5, 0}, mx::Shape{2, 3, 7, 4});
  CHECK(values(append(store, fresh, 5, false)) == values(expected));
}

TEST_CASE("steps that are under way together see what they would alone") {
  const RopePeriods periods({1.0f, 3.0f});
  auto run = [&](bool together) {
    auto in = make_step(1, mx::float32, 0);
    in.step.unread = true;
    in.step.keys = mx::zeros(in.step.keys.shape());
    in.step.values = mx::zeros(in.step.values.shape());
    std::vector<mx::array> outs;
    for (int t = 0; t < 60; ++t) {
      in.step.position = t;
      in.step.remembered = t + 1;
      in.k = random(in.k.shape(), t);
      in.step.rope.emplace(RopeAt{periods, false, t, 1});
      auto [out, keys, stored] = cached_attention(in);
      in.step.keys = keys;
      in.step.values = stored;
      if (together) {
        mx::async_eval(out);
      } else {
        mx::eval(out);
      }
      outs.push_back(out);
    }
    return values(mx::concatenate(outs, 1));
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("gradients are those of the parts") {
  const auto in = make_step(3, mx::float32, 20);
  auto loss = [&](const std::vector<mx::array>& x, bool parts) {
    auto own = in;
    own.q = x[0];
    own.k = x[1];
    own.step.values = x[2];
    auto [out, keys, stored] = parts ? by_parts(own) : cached_attention(own);
    return mx::sum(mx::square(out)) + mx::sum(mx::square(keys)) +
           mx::sum(mx::square(stored));
  };
  auto grad = [&](bool parts) {
    return mx::value_and_grad(
               [&](const std::vector<mx::array>& x) { return loss(x, parts); },
               {0, 1, 2})({in.q, in.k, in.step.values})
        .second;
  };
  const auto ours = grad(false);
  const auto theirs = grad(true);
  for (size_t i = 0; i < 3; ++i) {
    CHECK(mx::allclose(ours[i], theirs[i], 1e-4, 1e-4).item<bool>());
  }
}

TEST_CASE("positions outside of the store, and other heads, are refused") {
  auto late = make_step(5, mx::float32, 290);
  late.step.position = 296;
  CHECK_THROWS_AS(cached_attention(late), std::invalid_argument);
  auto before = make_step(1, mx::float32, 0);
  before.step.position = -1;
  CHECK_THROWS_AS(cached_attention(before), std::invalid_argument);
  auto past = make_step(1, mx::float32, 290);
  past.step.remembered = kCapacity + 1;
  CHECK_THROWS_AS(cached_attention(past), std::invalid_argument);
  auto heads = make_step(1, mx::float32, 3);
  heads.v = random({kBatch, 3, 1, 16}, 1);
  CHECK_THROWS_AS(cached_attention(heads), std::invalid_argument);
}
