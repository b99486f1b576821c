// GPT-2 (Radford et al. 2019): learned positions, layer norms, one matrix for
// q, k and v. Its checkpoints store linear weights as [in, out].

#include <cmath>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/core/finding.h"

namespace assay::arch {
namespace {

using nn::array;

struct Config {
  int vocab, width, heads, layers, positions, inner;
  float eps;
  nn::Activation activation;
  bool tied;
};

Config read(const ConfigReader& config) {
  Config c{};
  c.vocab = config.dimension("vocab_size");
  c.width = config.dimension({"n_embd", "hidden_size"});
  c.heads = config.dimension({"n_head", "num_attention_heads"});
  c.layers = config.dimension({"n_layer", "num_hidden_layers"});
  c.positions = config.dimension({"n_positions", "max_position_embeddings"});
  c.inner = config.find("n_inner") != nullptr ? config.dimension("n_inner")
                                              : 4 * c.width;
  c.eps = config.real("layer_norm_epsilon");
  c.tied = tied_embeddings(config);
  c.activation = nn::activation_from_name(config.text("activation_function"),
                                          config.where());
  for (const char* flag : {"scale_attn_by_inverse_layer_idx",
                           "reorder_and_upcast_attn",
                           "add_cross_attention"}) {
    if (config.maybe_boolean(flag).value_or(false)) {
      fail("config.invalid-value",
           fmt::format("{}: {}", config.where(), flag),
           "false: Assay's GPT-2 has no such variant",
           "true");
    }
  }
  return c;
}

nn::LinearOptions conv1d(nn::Role role) {
  return {.bias = true, .role = role, .hf_steps = {nn::step::swap_last()}};
}

class SelfAttention : public nn::Module {
 public:
  explicit SelfAttention(const Config& c)
      : heads_(c.heads),
        head_dim_(c.width / c.heads),
        qkv_(c.width, 3 * c.width, conv1d(nn::Role::attention)),
        out_(c.width, c.width, conv1d(nn::Role::attention)) {
    add("c_attn", qkv_, {.gguf = "attn_qkv"});
    add("c_proj", out_, {.gguf = "attn_output"});
  }

  array operator()(const array& x, nn::KVCache* cache) const {
    auto parts = mlx::core::split(qkv_(x), 3, -1);
    auto y =
        nn::attention(nn::split_heads(parts[0], heads_),
                      nn::split_heads(parts[1], heads_),
                      nn::split_heads(parts[2], heads_),
                      cache,
                      {.scale = 1 / std::sqrt(static_cast<float>(head_dim_))});
    return out_(nn::join_heads(y));
  }

  nn::CacheShape cache_shape() const { return {heads_, head_dim_, head_dim_}; }

 private:
  int heads_, head_dim_;
  nn::Linear qkv_, out_;
};

class Gpt2Mlp : public nn::Module {
 public:
  explicit Gpt2Mlp(const Config& c)
      : up_(c.width, c.inner, conv1d(nn::Role::mlp)),
        down_(c.inner, c.width, conv1d(nn::Role::mlp)),
        activation_(c.activation) {
    add("c_fc", up_, {.gguf = "ffn_up"});
    add("c_proj", down_, {.gguf = "ffn_down"});
  }

  array operator()(const array& x) const {
    return down_(nn::activate(activation_, up_(x)));
  }

 private:
  nn::Linear up_, down_;
  nn::Activation activation_;
};

class Gpt2Block : public nn::Module {
 public:
  explicit Gpt2Block(const Config& c)
      : attention_norm_(c.width, c.eps),
        attention_(c),
        mlp_norm_(c.width, c.eps),
        mlp_(c) {
    add("ln_1", attention_norm_, {.gguf = "attn_norm"});
    add("attn", attention_, {.gguf = ""});
    add("ln_2", mlp_norm_, {.gguf = "ffn_norm"});
    add("mlp", mlp_, {.gguf = ""});
  }

  array operator()(const array& x, nn::KVCache* cache) const {
    auto h = x + attention_(attention_norm_(x), cache);
    return h + mlp_(mlp_norm_(h));
  }

  nn::CacheShape cache_shape() const { return attention_.cache_shape(); }

 private:
  nn::LayerNorm attention_norm_;
  SelfAttention attention_;
  nn::LayerNorm mlp_norm_;
  Gpt2Mlp mlp_;
};

class Gpt2 : public nn::LanguageModel {
 public:
  explicit Gpt2(const Config& c)
      : config_(c),
        embedding_(c.vocab, c.width),
        positions_(c.positions, c.width),
        norm_(c.width, c.eps) {
    add("model.wte", embedding_, {.gguf = "token_embd", .hf = "wte"});
    add("model.wpe", positions_, {.gguf = "position_embd", .hf = "wpe"});
    for (int i = 0; i < c.layers; ++i) {
      blocks_.push_back(std::make_unique<Gpt2Block>(c));
      auto gguf = fmt::format("blk.{}", i);
      auto hf = fmt::format("h.{}", i);
      add(fmt::format("model.h.{}", i),
          *blocks_.back(),
          {.gguf = gguf.c_str(), .hf = hf.c_str()});
    }
    add("model.ln_f", norm_, {.gguf = "output_norm", .hf = "ln_f"});
    if (!c.tied) {
      head_.emplace(
          c.width, c.vocab, nn::LinearOptions{.role = nn::Role::head});
      add("lm_head", *head_, {.gguf = "output", .hf = "/lm_head"});
    }
  }

  array hidden(const array& ids, nn::KVCaches* caches) const override {
    int offset = caches != nullptr ? caches->front().offset() : 0;
    int end = offset + ids.shape(1);
    if (end > config_.positions) {
      fail("context.exceeded",
           "positions",
           fmt::format("at most {}", config_.positions),
           fmt::format("{}", end));
    }
    auto x = embedding_(ids) +
             positions_(mlx::core::arange(offset, end, mlx::core::int32));
    for (size_t i = 0; i < blocks_.size(); ++i) {
      x = (*blocks_[i])(x, caches != nullptr ? &caches->at(i) : nullptr);
    }
    return norm_(x);
  }

  array logits(const array& hidden) const override {
    return head_ ? (*head_)(hidden) : embedding_.as_linear(hidden);
  }

  std::vector<nn::CacheShape> cache_shapes() const override {
    std::vector<nn::CacheShape> shapes;
    for (const auto& block : blocks_) {
      shapes.push_back(block->cache_shape());
    }
    return shapes;
  }

 private:
  Config config_;
  nn::Embedding embedding_, positions_;
  std::vector<std::unique_ptr<Gpt2Block>> blocks_;
  nn::LayerNorm norm_;
  std::optional<nn::Linear> head_;
};

std::unique_ptr<nn::LanguageModel> build_gpt2(const ConfigReader& config) {
  return std::make_unique<Gpt2>(read(config));
}

void finish_gpt2_gguf(Json& config, const ModelFiles&) {
  if (config.contains("n_positions")) {
    config["n_ctx"] = config["n_positions"];
  }
}

}  // namespace

Architecture gpt2() {
  return {.model_type = "gpt2",
          .class_name = "GPT2LMHeadModel",
          .gguf = "gpt2",
          .build = build_gpt2,
          .gguf_keys = {{"{arch}.context_length", "n_positions"},
                        {"{arch}.embedding_length", "n_embd"},
                        {"{arch}.block_count", "n_layer"},
                        {"{arch}.feed_forward_length", "n_inner"},
                        {"{arch}.attention.head_count", "n_head"},
                        {"{arch}.attention.head_count_kv", ""},
                        {"{arch}.attention.layer_norm_epsilon",
                         "layer_norm_epsilon",
                         GgufKey::Kind::number}},
          .gguf_constants = R"({"activation_function": "gelu_new"})",
          .finish_gguf = finish_gpt2_gguf,
          .hf_roots = {"transformer.", ""},
          .ignored_suffixes = {".attn.bias",
                               ".attn.masked_bias",
                               "lm_head.weight",
                               "output.weight"}};
}

}  // namespace assay::arch
