#include "assay/kernels/decoder_block.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include <mlx/ops.h>

#include "assay/kernels/cached_attention_work.h"
#include "assay/kernels/node.h"
#include "assay/kernels/projection_work.h"
#include "assay/kernels/projections.h"
#include "assay/kernels/scratch.h"

namespace assay::kernels {
namespace mx = mlx::core;

struct GatedMlpWork {
  SiluWork inner;
  AddWork down;

  void operator()(const Arrays& inputs, mx::array& out) const {
    const RowMajor x(inputs[0]);
    const size_t rows = out.size() / down.projection.matrix.rows;
    thread_local Buffer memory;  // the stream's
    float* between = memory.floats(rows * down.projection.matrix.columns);
    inner.compute(inputs, between);
    down.compute(inputs, between, x.floats(), rows, out.data<float>());
  }
};

/** What is the same at each step. */
struct SelfAttentionWork {
  EachWork qkv;
  AddWork out;
  int heads, kv_heads;

  /** q, k and v, [batch, heads, 1, dim]. */
  std::array<mx::Shape, 3> shapes(int batch) const {
    auto shape = [&](size_t i, int count) {
      const auto rows = static_cast<int>(qkv.projections[i].matrix.rows);
      return mx::Shape{batch, count, 1, rows / count};
    };
    return {shape(0, heads), shape(1, kv_heads), shape(2, kv_heads)};
  }
};

namespace {

// What lies between the products of one node is memory that its thread keeps:
// no more rows than these.
constexpr size_t kMostRows = 16;

bool few_rows(const mx::array& x) {
  return x.ndim() > 0 && x.size() > 0 &&
         x.size() / static_cast<size_t>(x.shape(-1)) <= kMostRows &&
         mx::issubdtype(x.dtype(), mx::floating);
}

// Whether one node can hold these for itself, so that its only inputs are what
// a step brings.
bool can_keep(const mx::array& x,
              const Norm& norm,
              std::span<const Weight* const> first,
              const Weight& last) {
  const Weight* const only[] = {&last};
  return one_node(first) && one_node(only) && is_constant(last) &&
         std::ranges::all_of(first,
                             [](const auto* w) { return is_constant(*w); }) &&
         is_constant(norm.weight) && norm.weight.dtype() == mx::float32 &&
         norm.weight.shape() == mx::Shape{x.shape(-1)};
}

// Without inputs: the weight is constant.
Projection kept(const Weight& weight) {
  Arrays none;
  return project("linear", weight, none);
}

bool keeps(const std::optional<NormBefore>& before, const Norm& norm) {
  return before->constant->id() == norm.weight.id() && before->eps == norm.eps;
}

Norm norm_of(const std::optional<NormBefore>& before) {
  return {*before->constant, before->eps};
}

// ------------------------------------------------------------ MLP

Arrays by_parts(const mx::array& x, const GatedMlpWork& work) {
  const auto& [gate, up, norm] = work.inner;
  const auto inner =
      linear_silu_gate(x, gate.weight({}), up.weight({}), norm_of(norm));
  return {linear_add(x, inner, work.down.projection.weight({}))};
}

// ------------------------------------------------------------ attention

// Takes [x, keys, values, sinks]; gives [out, keys, values].
struct SelfAttentionStep {
  std::shared_ptr<const SelfAttentionWork> work;
  CachedAttentionWork attention;

  std::optional<Update> update(size_t output) const {
    return output == 0 ? std::nullopt
                       : std::optional(Update{output, attention.unread});
  }

  void operator()(const Arrays& inputs, Arrays& outputs) const {
    constexpr size_t kSinks = 3;
    const RowMajor x(inputs[0]);
    const auto shapes = work->shapes(inputs[0].shape(0));
    const auto rows = static_cast<size_t>(inputs[0].shape(0));
    thread_local Buffer memory;  // the stream's
    const auto [q, k, v, attended] = between(rows, memory);
    work->qkv.compute(inputs, std::array{q, k, v});
    attention.compute(FreshHeads(q, shapes[0]),
                      FreshHeads(k, shapes[1]),
                      FreshHeads(v, shapes[2]),
                      outputs[1],
                      outputs[2],
                      inputs.size() > kSinks ? &inputs[kSinks] : nullptr,
                      attended);
    work->out.compute(
        inputs, attended, x.floats(), rows, outputs[0].data<float>());
  }

 private:
  // Memory for q, k, v and what attention makes of them.
  std::array<float*, 4> between(size_t rows, Buffer& memory) const {
    auto size = [&](size_t i) {
      return rows * work->qkv.projections[i].matrix.rows;
    };
    float* q = memory.floats(size(0) + size(1) + size(2) +
                             rows * work->out.projection.matrix.columns);
    float* k = q + size(0);
    float* v = k + size(1);
    return {q, k, v, v + size(2)};
  }
};

CachedAttention by_parts(const mx::array& x,
                         const SelfAttentionWork& work,
                         const CacheStep& step) {
  const Weight q = work.qkv.projections[0].weight({});
  const Weight k = work.qkv.projections[1].weight({});
  const Weight v = work.qkv.projections[2].weight({});
  const Weight* const weights[] = {&q, &k, &v};
  const auto shapes = work.shapes(x.shape(0));
  const auto fresh = linear_each(
      x, weights, {shapes.begin(), shapes.end()}, norm_of(work.qkv.norm));
  auto result = cached_attention({fresh[0], fresh[1], fresh[2], step});
  result.out = linear_add(x, result.out, work.out.projection.weight({}));
  return result;
}

bool keeps(const SelfAttentionWork& work,
           const Norm& norm,
           const SelfAttentionWeights& weights) {
  const auto& projections = work.qkv.projections;
  return projections[0].keeps(weights.q) && projections[1].keeps(weights.k) &&
         projections[2].keeps(weights.v) &&
         work.out.projection.keeps(weights.out) && keeps(work.qkv.norm, norm) &&
         work.heads == weights.heads && work.kv_heads == weights.kv_heads;
}

bool fits(const mx::array& x, const SelfAttentionWork& work) {
  auto whole = [&](size_t i, int count) {
    return count > 0 &&
           work.qkv.projections[i].matrix.rows % static_cast<size_t>(count) ==
               0;
  };
  const auto width = static_cast<size_t>(x.shape(-1));
  const auto& first = work.qkv.projections[0].matrix;
  const auto& last = work.out.projection.matrix;
  if (first.columns != width || last.rows != width || !whole(0, work.heads) ||
      !whole(1, work.kv_heads) || !whole(2, work.kv_heads)) {
    return false;
  }
  const auto shapes = work.shapes(1);
  return last.columns ==
         static_cast<size_t>(work.heads) * static_cast<size_t>(shapes[2][3]);
}

}  // namespace

bool GatedMlpNode::takes(const mx::array& x,
                         const Norm& norm,
                         const Weight& gate,
                         const Weight& up,
                         const Weight& down) {
  if (!on_cpu() || !few_rows(x)) {
    return false;
  }
  if (work_ && work_->inner.gate.keeps(gate) && work_->inner.up.keeps(up) &&
      work_->down.projection.keeps(down) && keeps(work_->inner.norm, norm)) {
    return true;
  }
  work_.reset();
  const Weight* const both[] = {&gate, &up};
  if (!can_keep(x, norm, both, down)) {
    return false;
  }
  GatedMlpWork work{{kept(gate), kept(up), NormBefore{norm.eps, norm.weight}},
                    {kept(down)}};
  const auto width = static_cast<size_t>(x.shape(-1));
  const auto& inner = work.inner.gate.matrix;
  const auto& last = work.down.projection.matrix;
  if (inner.columns != width || inner.rows != work.inner.up.matrix.rows ||
      last.columns != inner.rows || last.rows != width) {
    return false;
  }
  work_ = std::make_shared<const GatedMlpWork>(std::move(work));
  return true;
}

mx::array GatedMlpNode::operator()(const mx::array& x) const {
  auto fallback = [work = work_](const Arrays& all) {
    return by_parts(all[0], *work);
  };
  return fuse(
      "GatedMlp", {mx::astype(x, mx::float32)}, x.shape(), fallback, work_);
}

bool SelfAttentionNode::takes(const mx::array& x,
                              const Norm& norm,
                              const SelfAttentionWeights& weights) {
  if (!on_cpu() || !few_rows(x) || x.ndim() != 3 || x.shape(1) != 1) {
    return false;
  }
  if (work_ && keeps(*work_, norm, weights)) {
    return true;
  }
  work_.reset();
  const Weight* const qkv[] = {&weights.q, &weights.k, &weights.v};
  if (!can_keep(x, norm, qkv, weights.out)) {
    return false;
  }
  SelfAttentionWork work{{{kept(weights.q), kept(weights.k), kept(weights.v)},
                          NormBefore{norm.eps, norm.weight}},
                         {kept(weights.out)},
                         weights.heads,
                         weights.kv_heads};
  if (!fits(x, work)) {
    return false;
  }
  work_ = std::make_shared<const SelfAttentionWork>(std::move(work));
  return true;
}

CachedAttention SelfAttentionNode::operator()(const mx::array& x,
                                              const CacheStep& step) const {
  const auto shapes = work_->shapes(x.shape(0));
  check_step(shapes[1], shapes[2], step);
  Arrays inputs;
  inputs.reserve(4);
  inputs.push_back(mx::astype(x, mx::float32));
  append_step(inputs, step);
  auto fallback = [work = work_, kept = KeptStep(step)](const Arrays& all) {
    auto [out, keys, values] = kept.with(all, 1, [&](const CacheStep& again) {
      return by_parts(all[0], *work, again);
    });
    return Arrays{out, keys, values};
  };
  auto results = fuse_all(
      "SelfAttention",
      inputs,
      {x.shape(), step.keys.shape(), step.values.shape()},
      {mx::float32, step.keys.dtype(), step.values.dtype()},
      std::move(fallback),
      SelfAttentionStep{work_, cached_attention_work(shapes[0], step)});
  return {results[0], results[1], results[2]};
}

}  // namespace assay::kernels
