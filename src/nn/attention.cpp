#include "assay/nn/attention.h"

#include <cmath>

#include <mlx/ops.h>

#include "assay/kernels/attention.h"
#include "assay/kernels/cached_attention.h"
#include "assay/kernels/projections.h"

namespace assay::nn {
namespace mx = mlx::core;

namespace {

// Boolean [length, length]: causal, and no further back than `window`.
array local_mask(int length, int window) {
  auto keys = mx::expand_dims(mx::arange(length), 0);
  auto queries = mx::expand_dims(mx::arange(length), 1);
  auto mask = mx::less_equal(keys, queries);
  if (window > 0) {
    mask = mx::logical_and(mask, mx::greater(keys, queries - array(window)));
  }
  return mask;
}

// What the new positions see when there is no cache.
KVCache::View alone(const array& k, const array& v, int window) {
  KVCache::View view{CachedTensor{k, std::nullopt, std::nullopt, 0, 0},
                     CachedTensor{v, std::nullopt, std::nullopt, 0, 0},
                     std::nullopt,
                     false};
  int length = k.shape(2);
  if (window > 0 && length > window) {
    view.mask = local_mask(length, window);
  } else {
    view.causal = length > 1;
  }
  return view;
}

kernels::Weight as_weight(const CachedTensor& part) {
  return {part.data,
          part.scales,
          part.biases,
          {part.group_size, part.bits, "affine"}};
}

}  // namespace

array attention(const array& q,
                const array& k,
                const array& v,
                KVCache* cache,
                const AttentionSpec& spec) {
  auto view = cache != nullptr ? cache->update(k, v) : alone(k, v, spec.window);
  kernels::AttentionInputs inputs{
      q, as_weight(view.keys), as_weight(view.values)};
  inputs.mask = view.mask;
  inputs.causal = view.causal;
  inputs.sinks = spec.sinks;
  inputs.scale = spec.scale;
  inputs.softcap = spec.softcap;
  return kernels::attention(inputs);
}

array split_heads(const array& x, int heads) {
  if (x.shape(1) == 1) {  // one position: nothing to exchange
    return mx::reshape(x, {x.shape(0), heads, 1, x.shape(2) / heads});
  }
  return mx::transpose(
      mx::reshape(x, {x.shape(0), x.shape(1), heads, x.shape(2) / heads}),
      {0, 2, 1, 3});
}

array join_heads(const array& x) {
  if (x.shape(2) == 1) {
    return mx::reshape(x, {x.shape(0), 1, x.shape(1) * x.shape(3)});
  }
  return mx::reshape(mx::transpose(x, {0, 2, 1, 3}),
                     {x.shape(0), x.shape(2), x.shape(1) * x.shape(3)});
}

namespace {

LinearOptions projection(bool bias, std::vector<Step> gguf_steps = {}) {
  return {.bias = bias,
          .role = Role::attention,
          .gguf_steps = std::move(gguf_steps)};
}

std::vector<Step> row_order(const AttentionConfig& config, int heads) {
  if (!config.gguf_permuted) {
    return {};
  }
  return {step::rope_rows(heads)};
}

}  // namespace

Attention::Attention(const AttentionConfig& config)
    : config_(config),
      o_(config.heads * config.head_dim,
         config.width,
         projection(config.out_bias)),
      rope_(config.rope, config.head_dim) {
  int q_width = config.heads * config.head_dim;
  int kv_width = config.kv_heads * config.head_dim;
  if (config_.scale == 0) {
    config_.scale = 1 / std::sqrt(static_cast<float>(config.head_dim));
  }
  if (config.fused_qkv) {
    qkv_.emplace(
        config.width, q_width + 2 * kv_width, projection(config.qkv_bias));
    add("qkv_proj", *qkv_, {.gguf = "attn_qkv"});
  } else {
    q_.emplace(config.width,
               q_width,
               projection(config.qkv_bias, row_order(config, config.heads)));
    k_.emplace(config.width,
               kv_width,
               projection(config.qkv_bias, row_order(config, config.kv_heads)));
    v_.emplace(config.width, kv_width, projection(config.qkv_bias));
    add("q_proj", *q_, {.gguf = "attn_q"});
    add("k_proj", *k_, {.gguf = "attn_k"});
    add("v_proj", *v_, {.gguf = "attn_v"});
  }
  add("o_proj", o_, {.gguf = "attn_output"});
  if (config.qk_norm != AttentionConfig::Norm::none) {
    bool whole = config.qk_norm == AttentionConfig::Norm::whole;
    q_norm_.emplace(
        whole ? q_width : config.head_dim, config.norm_eps, config.norm_offset);
    k_norm_.emplace(whole ? kv_width : config.head_dim,
                    config.norm_eps,
                    config.norm_offset);
    add("q_norm", *q_norm_, {.gguf = "attn_q_norm"});
    add("k_norm", *k_norm_, {.gguf = "attn_k_norm"});
  }
  if (config.sinks) {
    sinks_ = Parameter{.shape = {config.heads}, .role = Role::attention};
    add("sinks", *sinks_, {.gguf = "attn_sinks.weight"});
  }
}

CacheShape Attention::cache_shape() const {
  return {config_.kv_heads, config_.head_dim, config_.head_dim, config_.window};
}

Attention::Qkv Attention::project(const array& x) const {
  if (qkv_) {
    int q_width = config_.heads * config_.head_dim;
    int kv_width = config_.kv_heads * config_.head_dim;
    auto parts =
        mx::split((*qkv_)(x), mx::Shape{q_width, q_width + kv_width}, -1);
    return {parts[0], parts[1], parts[2]};
  }
  return {(*q_)(x), (*k_)(x), (*v_)(x)};
}

Attention::Qkv Attention::project_heads(const array& x,
                                        const RmsNorm* norm) const {
  bool whole = config_.qk_norm == AttentionConfig::Norm::whole;
  bool one_node =
      x.shape(1) == 1 && !qkv_ && !q_->bias && !k_->bias && !v_->bias && !whole;
  if (one_node) {  // a single position: heads need no exchange
    const kernels::Weight* weights[] = {
        &*q_->weight.value, &*k_->weight.value, &*v_->weight.value};
    auto heads = [&](int count) {
      return mx::Shape{x.shape(0), count, 1, config_.head_dim};
    };
    auto parts = kernels::linear_each(x,
                                      weights,
                                      {heads(config_.heads),
                                       heads(config_.kv_heads),
                                       heads(config_.kv_heads)},
                                      norm_of(x, norm));
    return {parts[0], parts[1], parts[2]};
  }
  auto [q, k, v] = project(normed(x, norm));
  if (whole) {
    q = (*q_norm_)(q);
    k = (*k_norm_)(k);
  }
  return {split_heads(q, config_.heads),
          split_heads(k, config_.kv_heads),
          split_heads(v, config_.kv_heads)};
}

template <class Attend>
std::optional<array> Attention::in_cache(KVCache& cache,
                                         int batch,
                                         int length,
                                         mx::Dtype type,
                                         const Attend& attend) const {
  const int offset = cache.offset();
  const int context = cache.context(length);
  const auto room = cache.room(batch, length, type);
  if (!room) {
    return std::nullopt;
  }
  kernels::CacheStep step{room->keys, room->values};
  step.position = room->position;
  step.remembered = room->remembered;
  step.unread = room->unread;
  if (sinks_) {
    step.sinks = (*sinks_)();
  }
  step.scale = config_.scale;
  step.softcap = config_.softcap;
  kernels::RopePeriods scratch;
  if (config_.use_rope) {
    step.rope.emplace(rope_.at(offset, context, length, scratch));
  }
  auto [out, keys, values] = attend(step);
  cache.put_back(keys, values);
  return out;
}

array Attention::attended(const array& x,
                          const RmsNorm* norm,
                          KVCache* cache) const {
  auto [q, k, v] = project_heads(x, norm);
  if (config_.qk_norm == AttentionConfig::Norm::per_head) {
    q = (*q_norm_)(q);
    k = (*k_norm_)(k);
  }
  int offset = cache != nullptr ? cache->offset() : 0;
  int context = cache != nullptr ? cache->context(k.shape(2)) : 0;
  if (cache != nullptr) {
    auto attend = [&](const kernels::CacheStep& step) {
      return kernels::cached_attention({q, k, v, step});
    };
    if (auto out =
            in_cache(*cache, k.shape(0), k.shape(2), k.dtype(), attend)) {
      return *out;
    }
  }
  if (config_.use_rope) {
    q = rope_(q, offset, context);
    k = rope_(k, offset, context);
  }
  AttentionSpec spec{config_.scale, config_.window, config_.softcap};
  if (sinks_) {
    spec.sinks = (*sinks_)();
  }
  return join_heads(attention(q, k, v, cache, spec));
}

array Attention::operator()(const array& x, KVCache* cache) const {
  return o_(attended(x, nullptr, cache));
}

std::optional<array> Attention::one_node(const array& x,
                                         const RmsNorm& norm,
                                         KVCache& cache) const {
  // Nothing may stand between: neither biases nor norms of heads.
  if (qkv_ || q_->bias || k_->bias || v_->bias || o_.bias || q_norm_ ||
      !node_.takes(x,
                   norm.norm_of(x),
                   {*q_->weight.value,
                    *k_->weight.value,
                    *v_->weight.value,
                    *o_.weight.value,
                    config_.heads,
                    config_.kv_heads})) {
    return std::nullopt;
  }
  return in_cache(
      cache, x.shape(0), 1, mx::float32, [&](const kernels::CacheStep& step) {
        return node_(x, step);
      });
}

array Attention::added_to(const array& x,
                          const RmsNorm& norm,
                          KVCache* cache) const {
  if (cache != nullptr) {
    if (auto result = one_node(x, norm, *cache)) {
      return *result;
    }
  }
  return o_.added_to(x, attended(x, &norm, cache));
}

}  // namespace assay::nn
