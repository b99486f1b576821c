#pragma once

// LanguageModel: what every language architecture is to those that run it,
// and CausalLm, the frame that nearly all of them share.

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <mlx/ops.h>

#include "assay/nn/attention.h"

namespace assay::nn {

class LanguageModel : public Module {
 public:
  /** ids [batch, length] int32 to hidden states [batch, length, width], after
   * the last norm. `caches` holds one cache a layer, or is null for a pass
   * without memory. */
  virtual array hidden(const array& ids, KVCaches* caches) const = 0;
  /** Hidden states [..., width] to logits [..., vocab]. */
  virtual array logits(const array& hidden) const = 0;
  /** What each layer remembers. */
  virtual std::vector<CacheShape> cache_shapes() const = 0;
  /** True if caches made for `shorter` positions do not serve `longer` ones,
   * so that the prompt must be run again (longrope). */
  virtual bool cache_outdated(int shorter, int longer) const {
    (void)shorter, (void)longer;
    return false;
  }

  /** logits(hidden(...)): [batch, length, vocab]. */
  array operator()(const array& ids, KVCaches* caches = nullptr) const {
    return logits(hidden(ids, caches));
  }

  KVCaches make_caches(const CacheOptions& options = {}) const {
    KVCaches caches;
    for (const auto& shape : cache_shapes()) {
      caches.emplace_back(shape, options);
    }
    return caches;
  }
};

struct CausalLmConfig {
  int vocab = 0;
  int width = 0;
  int layers = 0;
  bool tied = false;  ///< the embedding is the output head
  float norm_eps = 0;
  float norm_offset = 0;
  float embedding_scale = 1;
  float logit_scale = 1;
  float logit_softcap = 0;  ///< 0: none
};

/** Embedding, blocks, norm, head. A Block is a Module with
 * `array operator()(const array& x, KVCache*) const` and
 * `const Attention& attention() const` (or its own `cache_shape()` and
 * `rope()`); `make_block(layer)` returns a unique_ptr to one. */
template <class Block>
class CausalLm : public LanguageModel {
 public:
  template <class MakeBlock>
  CausalLm(const CausalLmConfig& config, MakeBlock&& make_block)
      : config_(config),
        embedding_(config.vocab, config.width),
        norm_(config.width, config.norm_eps, config.norm_offset) {
    add("model.embed_tokens", embedding_, {.gguf = "token_embd"});
    for (int i = 0; i < config.layers; ++i) {
      blocks_.push_back(make_block(i));
      auto gguf = fmt::format("blk.{}", i);
      add(fmt::format("model.layers.{}", i),
          *blocks_.back(),
          {.gguf = gguf.c_str()});
    }
    add("model.norm", norm_, {.gguf = "output_norm"});
    if (!config.tied) {
      head_.emplace(
          config.width, config.vocab, LinearOptions{.role = Role::head});
      add("lm_head", *head_, {.gguf = "output"});
    }
  }

  array hidden(const array& ids, KVCaches* caches) const override {
    auto x = embedding_(ids);
    if (config_.embedding_scale != 1) {
      x = x * array(config_.embedding_scale, x.dtype());
    }
    for (size_t i = 0; i < blocks_.size(); ++i) {
      try {
        x = (*blocks_[i])(x, caches != nullptr ? &caches->at(i) : nullptr);
      } catch (const std::invalid_argument& error) {
        throw std::invalid_argument(
            fmt::format("model.layers.{}: {}", i, error.what()));
      }
    }
    return norm_(x);
  }

  array logits(const array& hidden) const override {
    auto y = head_ ? (*head_)(hidden) : embedding_.as_linear(hidden);
    if (config_.logit_scale != 1) {
      y = y * array(config_.logit_scale, y.dtype());
    }
    if (config_.logit_softcap > 0) {
      auto cap = array(config_.logit_softcap, y.dtype());
      y = cap * mlx::core::tanh(y / cap);
    }
    return y;
  }

  std::vector<CacheShape> cache_shapes() const override {
    std::vector<CacheShape> shapes;
    for (const auto& block : blocks_) {
      shapes.push_back(block->cache_shape());
    }
    return shapes;
  }

  bool cache_outdated(int shorter, int longer) const override {
    for (const auto& block : blocks_) {
      if (block->rope().changes_between(shorter, longer)) {
        return true;
      }
    }
    return false;
  }

 private:
  CausalLmConfig config_;
  Embedding embedding_;
  std::vector<std::unique_ptr<Block>> blocks_;
  RmsNorm norm_;
  std::optional<Linear> head_;
};

}  // namespace assay::nn
