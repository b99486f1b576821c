// The halves of a decoder block as one node, against the nodes that they stand
// for: the same numbers to the bit, and one node where one can hold it.

#include "assay/kernels/decoder_block.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <mlx/mlx.h>
#include <mlx/primitives.h>

#include "assay/kernels/fused.h"
#include "assay/kernels/projections.h"

#include "reference.h"

using namespace assay::kernels;
using namespace assay::kernels::test;
namespace mx = mlx::core;

namespace {

constexpr int kBlockWidth = 128, kInnerWidth = 256, kQueryHeads = 4,
              kStoreHeads = 2;
constexpr int kHeadDim = 16, kValueDim = 32, kPositions = 40;

Weight ready(const FormatCase& format, mx::Shape shape, int seed) {
  auto weight = make_weight(format, std::move(shape), seed);
  mx::eval(weight.data);
  for (auto* part : {&weight.scales, &weight.biases}) {
    if (*part) {
      mx::eval(**part);
    }
  }
  return weight;
}

Norm ready_norm(int seed) {
  Norm norm{random({kBlockWidth}, seed), 1e-5f};
  mx::eval(norm.weight);
  return norm;
}

struct Mlp {
  explicit Mlp(const FormatCase& format, int seed = 0)
      : gate(ready(format, {kInnerWidth, kBlockWidth}, seed + 1)),
        up(ready(format, {kInnerWidth, kBlockWidth}, seed + 2)),
        down(ready(format, {kBlockWidth, kInnerWidth}, seed + 3)),
        norm(ready_norm(seed + 4)) {}

  mx::array parts(const mx::array& x) const {
    return linear_add(x, linear_silu_gate(x, gate, up, norm), down);
  }
  mx::array whole(const mx::array& x, GatedMlpNode& node) const {
    REQUIRE(node.takes(x, norm, gate, up, down));
    return node(x);
  }

  Weight gate, up, down;
  Norm norm;
};

struct SelfAttention {
  explicit SelfAttention(const FormatCase& format)
      : q(ready(format, {kQueryHeads * kHeadDim, kBlockWidth}, 1)),
        k(ready(format, {kStoreHeads * kHeadDim, kBlockWidth}, 2)),
        v(ready(format, {kStoreHeads * kValueDim, kBlockWidth}, 3)),
        out(ready(format, {kBlockWidth, kQueryHeads * kValueDim}, 4)),
        norm(ready_norm(5)) {}

  CachedAttention parts(const mx::array& x, const CacheStep& step) const {
    const int batch = x.shape(0);
    const Weight* const qkv[] = {&q, &k, &v};
    const auto fresh = linear_each(x,
                                   qkv,
                                   {{batch, kQueryHeads, 1, kHeadDim},
                                    {batch, kStoreHeads, 1, kHeadDim},
                                    {batch, kStoreHeads, 1, kValueDim}},
                                   norm);
    auto result = cached_attention({fresh[0], fresh[1], fresh[2], step});
    result.out = linear_add(x, result.out, out);
    return result;
  }
  CachedAttention whole(const mx::array& x,
                        const CacheStep& step,
                        SelfAttentionNode& node) const {
    REQUIRE(node.takes(x, norm, weights()));
    return node(x, step);
  }
  SelfAttentionWeights weights() const {
    return {q, k, v, out, kQueryHeads, kStoreHeads};
  }

  Weight q, k, v, out;
  Norm norm;
};

CacheStep block_step(int batch, mx::Dtype type, int position) {
  auto store = [&](int dim, int seed) {
    return mx::astype(random({batch, kStoreHeads, kPositions, dim}, seed),
                      type);
  };
  CacheStep step{store(kHeadDim, 11), store(kValueDim, 12)};
  mx::eval(step.keys, step.values);
  step.position = position;
  step.remembered = position + 1;
  step.scale = 0.25f;
  return step;
}

std::string node_of(const mx::array& a) {
  return a.has_primitive() ? a.primitive().name() : "";
}

void check_same(const CachedAttention& a, const CachedAttention& b) {
  CHECK(a.out.shape() == b.out.shape());
  CHECK(values(a.out) == values(b.out));
  CHECK(values(a.keys) == values(b.keys));
  CHECK(values(a.values) == values(b.values));
}

}  // namespace

TEST_CASE("an MLP as one node is its parts, whatever the weights are") {
  for (const auto& format : all_formats()) {
    CAPTURE(format.name);
    const Mlp mlp(format);
    GatedMlpNode node;
    for (int rows : {1, 3, 16}) {
      CAPTURE(rows);
      const auto x = random({1, rows, kBlockWidth}, rows);
      const auto y = mlp.whole(x, node);
      CHECK(node_of(y) == "GatedMlp");
      CHECK(values(y) == values(mlp.parts(x)));
    }
  }
}

TEST_CASE("a self-attention as one node is its parts") {
  const RopePeriods periods({1.0f, 3.0f, 10.0f});
  for (const auto& format : all_formats()) {
    CAPTURE(format.name);
    const SelfAttention attention(format);
    SelfAttentionNode node;
    for (int batch : {1, 3}) {
      for (auto type : {mx::float32, mx::float16, mx::bfloat16}) {
        const auto x = random({batch, 1, kBlockWidth}, 7);
        auto step = block_step(batch, type, 21);
        const auto y = attention.whole(x, step, node);
        CHECK(node_of(y.out) == "SelfAttention");
        check_same(y, attention.parts(x, step));
        step.rope.emplace(RopeAt{periods, false, 25, 1.1f});
        step.softcap = 0.8f;
        step.sinks = random({kQueryHeads}, 9);
        check_same(attention.whole(x, step, node), attention.parts(x, step));
      }
    }
  }
}

TEST_CASE("a node is made anew for other weights") {
  const Mlp first({"", "affine", 32, 4, mx::float16});
  Mlp second({"", "", 0, 16, mx::float16}, 20);
  GatedMlpNode node;
  const auto x = random({1, kBlockWidth}, 1);
  CHECK(values(first.whole(x, node)) == values(first.parts(x)));
  CHECK(values(second.whole(x, node)) == values(second.parts(x)));
  second.down = first.down;
  CHECK(values(second.whole(x, node)) == values(second.parts(x)));
  second.norm.eps = 0.5f;
  CHECK(values(second.whole(x, node)) == values(second.parts(x)));
  second.norm = ready_norm(30);
  CHECK(values(second.whole(x, node)) == values(second.parts(x)));
}

TEST_CASE("the node writes to stores as the cached attention does") {
  const SelfAttention attention({"", "affine", 32, 4, mx::float16});
  SelfAttentionNode node;
  const auto x = random({1, 1, kBlockWidth}, 1);
  auto step = block_step(1, mx::float32, 5);
  const auto* place = step.keys.data<float>();
  const auto before = values(step.keys);
  auto copied = attention.whole(x, step, node);
  mx::eval(copied.out, copied.keys);
  CHECK(copied.keys.data<float>() != place);
  CHECK(values(step.keys) == before);
  step.unread = true;
  auto there = attention.whole(x, step, node);
  mx::eval(there.out, there.keys);
  CHECK(there.keys.data<float>() == place);
  CHECK(values(there.out) == values(copied.out));
}

TEST_CASE("steps under way together see what they would alone") {
  const SelfAttention attention({"", "affine", 32, 8, mx::float32});
  const Mlp mlp({"", "affine", 32, 8, mx::float32});
  auto run = [&](bool together) {
    SelfAttentionNode node;
    GatedMlpNode mlp_node;
    auto step = block_step(1, mx::float32, 0);
    step.unread = true;
    auto x = random({1, 1, kBlockWidth}, 1);
    for (int t = 0; t < kPositions; ++t) {
      step.position = t;
      step.remembered = t + 1;
      auto [out, keys, stored] = attention.whole(x, step, node);
      step.keys = keys;
      step.values = stored;
      x = mx::tanh(mlp.whole(out, mlp_node));
      if (together) {
        mx::async_eval(x);
      } else {
        mx::eval(x);
      }
    }
    return values(x);
  };
  CHECK(run(true) == run(false));
}

TEST_CASE("gradients of the halves are those of their parts") {
  const FormatCase format{"", "affine", 32, 8, mx::float32};
  const SelfAttention attention(format);
  const Mlp mlp(format);
  const auto step = block_step(2, mx::float32, 20);
  auto grad = [&](bool whole) {
    SelfAttentionNode node;
    GatedMlpNode mlp_node;
    auto loss = [&](const std::vector<mx::array>& in) {
      auto own = step;
      own.values = in[1];
      auto [out, keys, stored] = whole ? attention.whole(in[0], own, node)
                                       : attention.parts(in[0], own);
      const auto y = whole ? mlp.whole(out, mlp_node) : mlp.parts(out);
      return mx::sum(mx::square(y)) + mx::sum(mx::square(keys)) +
             mx::sum(mx::square(stored));
    };
    return mx::value_and_grad(
               loss, {0, 1})({random({2, 1, kBlockWidth}, 1), step.values})
        .second;
  };
  const auto ours = grad(true);
  const auto theirs = grad(false);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(mx::allclose(ours[i], theirs[i], 1e-4, 1e-4).item<bool>());
  }
}

TEST_CASE("what one node can't hold is left to its parts") {
  const FormatCase format{"", "affine", 32, 8, mx::float32};
  const Mlp mlp(format);
  auto takes = [&](const Mlp& own, const mx::Shape& shape) {
    return GatedMlpNode().takes(
        random(shape, 1), own.norm, own.gate, own.up, own.down);
  };
  CHECK(takes(mlp, {1, kBlockWidth}));
  CHECK_FALSE(takes(mlp, {17, kBlockWidth}));  // memory that a thread keeps
  CHECK_FALSE(takes(mlp, {0, kBlockWidth}));
  CHECK_FALSE(takes(mlp, {1, kInnerWidth}));
  auto lazy = mlp;
  lazy.down.scales = *mlp.down.scales * mx::array(2.0f);
  CHECK_FALSE(takes(lazy, {1, kBlockWidth}));
  auto wide = mlp;
  wide.down = mlp.up;
  CHECK_FALSE(takes(wide, {1, kBlockWidth}));
  auto unlike = mlp;
  unlike.up =
      ready({"", "", 0, 16, mx::float16}, {kInnerWidth, kBlockWidth}, 1);
  CHECK_FALSE(takes(unlike, {1, kBlockWidth}));
  auto half = mlp;
  half.norm.weight = mx::astype(mlp.norm.weight, mx::float16);
  mx::eval(half.norm.weight);
  CHECK_FALSE(takes(half, {1, kBlockWidth}));

  const SelfAttention attention(format);
  auto serves = [&](const SelfAttention& own, const mx::Shape& shape) {
    return SelfAttentionNode().takes(random(shape, 1), own.norm, own.weights());
  };
  CHECK(serves(attention, {2, 1, kBlockWidth}));
  CHECK_FALSE(serves(attention, {1, 2, kBlockWidth}));
  CHECK_FALSE(serves(attention, {1, kBlockWidth}));
  auto narrow = attention;
  narrow.v = attention.k;
  CHECK_FALSE(serves(narrow, {1, 1, kBlockWidth}));
}

TEST_CASE("steps that do not fit a self-attention are refused") {
  const SelfAttention attention({"", "affine", 32, 8, mx::float32});
  SelfAttentionNode node;
  auto step = block_step(1, mx::float32, 3);
  CHECK_THROWS_AS(attention.whole(random({2, 1, kBlockWidth}, 1), step, node),
                  std::invalid_argument);
  step.position = kPositions;
  CHECK_THROWS_AS(attention.whole(random({1, 1, kBlockWidth}, 1), step, node),
                  std::invalid_argument);
}
