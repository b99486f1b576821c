// Granite 3 (IBM 2024): Llama with four multipliers, on embeddings, scores,
// residuals and logits.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

using GraniteBlock = nn::PreNormBlock<nn::GatedMlp>;

std::unique_ptr<nn::LanguageModel> build_granite(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.gguf_permuted = true;
  attention.scale = config.real("attention_multiplier");
  attention.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  attention.out_bias = attention.qkv_bias;
  bool mlp_bias = config.maybe_boolean("mlp_bias").value_or(false);
  auto frame = causal_lm_config(config);
  frame.embedding_scale = config.real("embedding_multiplier");
  frame.logit_scale = 1 / config.real("logits_scaling");
  float residual = config.real("residual_multiplier");
  return std::make_unique<nn::CausalLm<GraniteBlock>>(frame, [&](int) {
    return std::make_unique<GraniteBlock>(
        attention,
        attention.norm_eps,
        gated_mlp(config, "intermediate_size", mlp_bias),
        nn::BlockOptions{.residual_scale = residual});
  });
}

GgufKey number(std::string_view gguf, std::string_view config) {
  return {gguf, config, GgufKey::Kind::number};
}

}  // namespace

Architecture granite() {
  return {
      .model_type = "granite",
      .class_name = "GraniteForCausalLM",
      .gguf = "granite",
      .build = build_granite,
      .gguf_keys = {number("{arch}.attention.scale", "attention_multiplier"),
                    number("{arch}.embedding_scale", "embedding_multiplier"),
                    number("{arch}.residual_scale", "residual_multiplier"),
                    number("{arch}.logit_scale", "logits_scaling")},
      .gguf_constants = R"({"hidden_act": "silu", "attention_bias": false,
                            "mlp_bias": false})"};
}

}  // namespace assay::arch
