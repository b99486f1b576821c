// OLMo 2 (Team OLMo 2024): norms after attention and MLP instead of before, and
// over all heads of q and k together.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

class PostNormBlock : public nn::Module {
 public:
  PostNormBlock(const nn::AttentionConfig& attention,
                std::unique_ptr<nn::GatedMlp> mlp)
      : attention_(attention),
        mlp_(std::move(mlp)),
        attention_norm_(attention.width, attention.norm_eps),
        mlp_norm_(attention.width, attention.norm_eps) {
    add("self_attn", attention_, {.gguf = ""});
    add("mlp", *mlp_, {.gguf = ""});
    add("post_attention_layernorm",
        attention_norm_,
        {.gguf = "post_attention_norm"});
    add("post_feedforward_layernorm", mlp_norm_, {.gguf = "post_ffw_norm"});
  }

  nn::array operator()(const nn::array& x, nn::KVCache* cache) const {
    auto h = x + attention_norm_(attention_(x, cache));
    return h + mlp_norm_((*mlp_)(h));
  }

  nn::CacheShape cache_shape() const { return attention_.cache_shape(); }
  const nn::Rope& rope() const { return attention_.rope(); }

 private:
  nn::Attention attention_;
  std::unique_ptr<nn::GatedMlp> mlp_;
  nn::RmsNorm attention_norm_, mlp_norm_;
};

std::unique_ptr<nn::LanguageModel> build_olmo2(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  attention.out_bias = attention.qkv_bias;
  attention.qk_norm = nn::AttentionConfig::Norm::whole;
  return std::make_unique<nn::CausalLm<PostNormBlock>>(
      causal_lm_config(config), [&](int) {
        return std::make_unique<PostNormBlock>(attention, gated_mlp(config));
      });
}

}  // namespace

Architecture olmo2() {
  return {.model_type = "olmo2",
          .class_name = "Olmo2ForCausalLM",
          .gguf = "olmo2",
          .build = build_olmo2,
          .gguf_constants = R"({"hidden_act": "silu"})"};
}

}  // namespace assay::arch
