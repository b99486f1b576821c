// DeepSeek V3 and R1 (DeepSeek-AI 2024): latent attention, whose cache holds a
// low-rank latent and one rotated key for all heads, and grouped sigmoid
// routing over many experts.

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/core/finding.h"
#include "assay/nn/moe.h"

namespace assay::arch {
namespace {

namespace mx = mlx::core;
using nn::array;

// transformers makes these two norms with its default, whatever the config
// says.
constexpr float kLatentEps = 1e-6f;

struct AttentionConfig {
  int width, heads, q_rank, kv_rank, nope, rope_dim, value_dim;
  bool bias;
  float scale;
  nn::RopeConfig rope;
  bool interleaved;
};

AttentionConfig read_attention(const ConfigReader& config) {
  AttentionConfig c{};
  c.width = config.dimension("hidden_size");
  c.heads = config.dimension("num_attention_heads");
  c.q_rank = config.find("q_lora_rank") ? config.dimension("q_lora_rank") : 0;
  c.kv_rank = config.dimension("kv_lora_rank");
  c.nope = config.dimension("qk_nope_head_dim");
  c.rope_dim = config.dimension("qk_rope_head_dim");
  c.value_dim = config.dimension("v_head_dim");
  c.bias = config.maybe_boolean("attention_bias").value_or(false);
  c.rope = rope_config(config);
  c.interleaved = config.maybe_boolean("rope_interleave").value_or(true);
  c.scale = 1 / std::sqrt(static_cast<float>(c.nope + c.rope_dim));
  if (c.rope.mscale_all_dim && c.rope.factor > 1) {
    auto mscale = static_cast<float>(
        0.1 * *c.rope.mscale_all_dim * std::log(c.rope.factor) + 1);
    c.scale *= mscale * mscale;
  }
  return c;
}

/** One matrix a head, weight [heads, out, in]. */
class MultiLinear : public nn::Module {
 public:
  MultiLinear(int heads, int out, int in, nn::Source hf, nn::Source gguf)
      : weight{.shape = {heads, out, in},
               .role = nn::Role::attention,
               .quantizable = true,
               .hf_sources = {std::move(hf)},
               .gguf_sources = {std::move(gguf)}},
        heads_(heads) {
    add("weight", weight);
  }

  /** x [batch, heads, length, in] to [batch, heads, length, out]. */
  array operator()(const array& x) const {
    auto each = mx::reshape(mx::arange(heads_, mx::uint32), {1, heads_, 1});
    auto indices = mx::broadcast_to(each, {x.shape(0), heads_, 1});
    // [batch, heads, 1, length, out]
    auto y =
        kernels::gather_linear(mx::expand_dims(x, 2), *weight.value, indices);
    return mx::squeeze(y, 2);
  }

  nn::Parameter weight;

 private:
  int heads_;
};

class LatentAttention : public nn::Module {
 public:
  explicit LatentAttention(const AttentionConfig& c)
      : config_(c),
        kv_down_(c.width, c.kv_rank + c.rope_dim, options(c.bias)),
        kv_norm_(c.kv_rank, kLatentEps),
        key_up_(c.heads,
                c.kv_rank,
                c.nope,
                half(c, 0, c.nope, true),
                nn::Source{{"attn_k_b.weight"}}),
        value_up_(c.heads,
                  c.value_dim,
                  c.kv_rank,
                  half(c, c.nope, c.nope + c.value_dim, false),
                  nn::Source{{"attn_v_b.weight"}}),
        out_(c.heads * c.value_dim, c.width, options(c.bias)),
        rope_(c.rope, c.rope_dim, c.interleaved) {
    int q_width = c.heads * (c.nope + c.rope_dim);
    if (c.q_rank > 0) {
      q_down_.emplace(c.width, c.q_rank, options(c.bias));
      q_norm_.emplace(c.q_rank, kLatentEps);
      q_up_.emplace(c.q_rank, q_width, options(false));
      add("q_a_proj", *q_down_, {.gguf = "attn_q_a"});
      add("q_a_layernorm", *q_norm_, {.gguf = "attn_q_a_norm"});
      add("q_b_proj", *q_up_, {.gguf = "attn_q_b"});
    } else {
      q_up_.emplace(c.width, q_width, options(false));
      add("q_proj", *q_up_, {.gguf = "attn_q"});
    }
    add("kv_a_proj_with_mqa", kv_down_, {.gguf = "attn_kv_a_mqa"});
    add("kv_a_layernorm", kv_norm_, {.gguf = "attn_kv_a_norm"});
    add("embed_q", key_up_, {.gguf = "", .hf = ""});
    add("unembed_out", value_up_, {.gguf = "", .hf = ""});
    add("o_proj", out_, {.gguf = "attn_output"});
  }

  array operator()(const array& x, nn::KVCache* cache) const {
    const auto& c = config_;
    auto q = q_down_ ? (*q_up_)((*q_norm_)((*q_down_)(x))) : (*q_up_)(x);
    auto q_parts =
        mx::split(nn::split_heads(q, c.heads), mx::Shape{c.nope}, -1);
    auto kv_parts = mx::split(kv_down_(x), mx::Shape{c.kv_rank}, -1);
    int offset = cache != nullptr ? cache->offset() : 0;
    int context = cache != nullptr ? cache->context(x.shape(1)) : 0;
    auto q_rotated = rope_(q_parts[1], offset, context);
    auto k_rotated = rope_(mx::expand_dims(kv_parts[1], 1), offset, context);
    auto latent = mx::expand_dims(kv_norm_(kv_parts[0]), 1);

    // In the space of the latent all heads share one key and one value, and
    // the cache keeps only these.
    auto queries = mx::concatenate({key_up_(q_parts[0]), q_rotated}, -1);
    auto keys = mx::concatenate({latent, k_rotated}, -1);
    auto y = nn::attention(queries, keys, latent, cache, {.scale = c.scale});
    return out_(nn::join_heads(value_up_(y)));
  }

  nn::CacheShape cache_shape() const {
    return {1, config_.kv_rank + config_.rope_dim, config_.kv_rank};
  }
  const nn::Rope& rope() const { return rope_; }

 private:
  static nn::LinearOptions options(bool bias) {
    return {.bias = bias, .role = nn::Role::attention};
  }

  // Checkpoints hold both as one matrix, [heads * (nope + value), rank].
  static nn::Source half(const AttentionConfig& c,
                         int start,
                         int stop,
                         bool transposed) {
    Shape stored = {c.heads * (c.nope + c.value_dim), c.kv_rank};
    Shape by_head = {c.heads, c.nope + c.value_dim, c.kv_rank};
    nn::Source source{
        {"kv_b_proj.weight"},
        {nn::step::reshape(stored, by_head), nn::step::slice(1, start, stop)}};
    if (transposed) {
      source.steps.push_back(nn::step::swap_last());
    }
    return source;
  }

  AttentionConfig config_;
  std::optional<nn::Linear> q_down_, q_up_;
  std::optional<nn::RmsNorm> q_norm_;
  nn::Linear kv_down_;
  nn::RmsNorm kv_norm_;
  MultiLinear key_up_, value_up_;
  nn::Linear out_;
  nn::Rope rope_;
};

struct DeepseekV3Experts {
  int width, inner, experts, shared, chosen, groups, chosen_groups;
  float scale;
  bool normalize;
};

DeepseekV3Experts read_moe(const ConfigReader& config) {
  auto expect = [&config](std::string_view field, std::string_view only) {
    auto value = config.maybe_text(field);
    if (value && *value != only) {
      fail("config.invalid-value",
           fmt::format("{}: {}", config.where(), field),
           std::string(only),
           *value);
    }
  };
  expect("topk_method", "noaux_tc");
  expect("scoring_func", "sigmoid");
  return {
      config.dimension("hidden_size"),
      config.dimension("moe_intermediate_size"),
      config.dimension("n_routed_experts"),
      static_cast<int>(config.maybe_integer("n_shared_experts").value_or(0)),
      config.dimension("num_experts_per_tok"),
      config.dimension("n_group"),
      config.dimension("topk_group"),
      config.real("routed_scaling_factor"),
      config.flag("norm_topk_prob")};
}

/** Scores by sigmoid; a bias that only takes part in the choice; experts only
 * out of the best groups. */
class Router : public nn::Module {
 public:
  explicit Router(const DeepseekV3Experts& c)
      : config_(c),
        weight_{.shape = {c.experts, c.width}, .role = nn::Role::router},
        bias_{.shape = {c.experts},
              .role = nn::Role::router,
              .gguf_sources = {nn::Source{{"exp_probs_b.bias"}}}} {
    weight_.gguf_sources = {nn::Source{{"ffn_gate_inp.weight"}}};
    add("weight", weight_);
    add("e_score_correction_bias", bias_);
  }

  struct Choice {
    array experts, weights;
  };

  Choice operator()(const array& x) const {
    const auto& c = config_;
    auto scores = mx::sigmoid(
        mx::astype(kernels::linear(x, *weight_.value), mx::float32));
    auto biased = scores + mx::astype(bias_(), mx::float32);
    if (c.groups > 1) {
      biased = keep_best_groups(biased);
    }
    auto experts = nn::top_k(biased, c.chosen);
    auto weights = mx::take_along_axis(scores, experts, -1);
    if (c.normalize) {
      weights = weights / (mx::sum(weights, -1, true) + array(1e-20f));
    }
    return {experts, mx::astype(weights * array(c.scale), x.dtype())};
  }

 private:
  // A group is as good as its two best experts together.
  array keep_best_groups(const array& scores) const {
    const auto& c = config_;
    auto grouped = mx::unflatten(scores, -1, {c.groups, c.experts / c.groups});
    auto best = mx::sum(mx::topk(grouped, 2, -1), -1);
    auto chosen = nn::top_k(best, c.chosen_groups);
    auto mask = mx::put_along_axis(
        mx::zeros_like(best), chosen, mx::ones_like(chosen), -1);
    auto kept = mx::where(mx::greater(mx::expand_dims(mask, -1), array(0.5f)),
                          grouped,
                          array(-std::numeric_limits<float>::infinity()));
    return mx::flatten(kept, -2, -1);
  }

  DeepseekV3Experts config_;
  nn::Parameter weight_, bias_;
};

/** A dense MLP whose GGUF names carry a suffix ("ffn_gate_shexp"). */
class SharedMlp : public nn::Module {
 public:
  SharedMlp(int width, int inner)
      : gate_(width, inner), up_(width, inner), down_(inner, width) {
    add("gate_proj", gate_, {.gguf = "ffn_gate_shexp"});
    add("up_proj", up_, {.gguf = "ffn_up_shexp"});
    add("down_proj", down_, {.gguf = "ffn_down_shexp"});
  }

  array operator()(const array& x) const {
    return down_(nn::swiglu(gate_(x), up_(x)));
  }

 private:
  nn::Linear gate_, up_, down_;
};

class DeepseekV3Mlp : public nn::Module {
 public:
  explicit DeepseekV3Mlp(std::unique_ptr<nn::GatedMlp> dense)
      : dense_(std::move(dense)) {
    add("", *dense_);
  }
  explicit DeepseekV3Mlp(const DeepseekV3Experts& c)
      : router_(std::in_place, c),
        experts_(
            std::in_place,
            nn::SwitchGluConfig{
                .experts = c.experts,
                .width = c.width,
                .inner = c.inner,
                .gate =
                    nn::expert_names(c.experts, "gate_proj", "ffn_gate_exps"),
                .up = nn::expert_names(c.experts, "up_proj", "ffn_up_exps"),
                .down = nn::expert_names(
                    c.experts, "down_proj", "ffn_down_exps")}) {
    add("gate", *router_, {.gguf = ""});
    add("switch_mlp", *experts_, {.gguf = "", .hf = ""});
    if (c.shared > 0) {
      shared_.emplace(c.width, c.inner * c.shared);
      add("shared_experts", *shared_, {.gguf = ""});
    }
  }

  array operator()(const array& x) const {
    if (dense_) {
      return (*dense_)(x);
    }
    auto [experts, weights] = (*router_)(x);
    auto y = nn::mix((*experts_)(x, experts), weights);
    return shared_ ? y + (*shared_)(x) : y;
  }

 private:
  std::unique_ptr<nn::GatedMlp> dense_;
  std::optional<Router> router_;
  std::optional<nn::SwitchGlu> experts_;
  std::optional<SharedMlp> shared_;
};

class DeepseekV3Block : public nn::Module {
 public:
  DeepseekV3Block(const AttentionConfig& attention,
                  float eps,
                  std::unique_ptr<DeepseekV3Mlp> mlp)
      : attention_(attention),
        mlp_(std::move(mlp)),
        attention_norm_(attention.width, eps),
        mlp_norm_(attention.width, eps) {
    add("self_attn", attention_, {.gguf = ""});
    add("mlp", *mlp_, {.gguf = ""});
    add("input_layernorm", attention_norm_, {.gguf = "attn_norm"});
    add("post_attention_layernorm", mlp_norm_, {.gguf = "ffn_norm"});
  }

  array operator()(const array& x, nn::KVCache* cache) const {
    auto h = x + attention_(attention_norm_(x), cache);
    return h + (*mlp_)(mlp_norm_(h));
  }

  nn::CacheShape cache_shape() const { return attention_.cache_shape(); }
  const nn::Rope& rope() const { return attention_.rope(); }

 private:
  LatentAttention attention_;
  std::unique_ptr<DeepseekV3Mlp> mlp_;
  nn::RmsNorm attention_norm_, mlp_norm_;
};

std::unique_ptr<nn::LanguageModel> build_deepseek_v3(
    const ConfigReader& config) {
  auto attention = read_attention(config);
  auto moe = read_moe(config);
  auto dense = config.integer({"first_k_dense_replace"});
  auto frequency = config.maybe_integer("moe_layer_freq").value_or(1);
  float eps = config.real("rms_norm_eps");
  return std::make_unique<nn::CausalLm<DeepseekV3Block>>(
      causal_lm_config(config), [&](int layer) {
        bool sparse = layer >= dense && layer % frequency == 0;
        return std::make_unique<DeepseekV3Block>(
            attention,
            eps,
            sparse ? std::make_unique<DeepseekV3Mlp>(moe)
                   : std::make_unique<DeepseekV3Mlp>(gated_mlp(config)));
      });
}

bool is_v3(const GgufMetadata& metadata) {
  // Version 2 shares the name; its router is a softmax (1).
  return metadata.integer("deepseek2.expert_gating_func").value_or(0) == 2;
}

// Metadata has the width of whole keys, in the latent's space or out of it.
void finish_deepseek_v3_gguf(Json& config, const ModelFiles& model) {
  auto key = model.gguf->integer("deepseek2.attention.key_length_mla");
  if (key && config.contains("qk_rope_head_dim")) {
    config["qk_nope_head_dim"] =
        *key - config["qk_rope_head_dim"].get<int64_t>();
  }
  // Only one of two multipliers is stored: in every published model they are
  // equal.
  if (config.contains("rope_scaling") &&
      config["rope_scaling"].contains("mscale_all_dim")) {
    config["rope_scaling"]["mscale"] = config["rope_scaling"]["mscale_all_dim"];
  }
}

}  // namespace

Architecture deepseek_v3() {
  return {.model_type = "deepseek_v3",
          .class_name = "DeepseekV3ForCausalLM",
          .gguf = "deepseek2",
          .claims_gguf = is_v3,
          .build = build_deepseek_v3,
          .gguf_keys = {{"{arch}.expert_count", "n_routed_experts"},
                        {"{arch}.rope.dimension_count", "qk_rope_head_dim"},
                        {"{arch}.attention.key_length", ""},
                        {"{arch}.attention.value_length", ""},
                        {"{arch}.attention.value_length_mla", "v_head_dim"},
                        {"{arch}.attention.head_count_kv", ""}},
          .gguf_constants = R"({"hidden_act": "silu", "topk_method": "noaux_tc",
                                "scoring_func": "sigmoid"})",
          .finish_gguf = finish_deepseek_v3_gguf,
          .ignored_suffixes = {"rotary_emb.inv_freq"}};
}

}  // namespace assay::arch
