// Qwen 3, dense (Yang et al. 2025): norms over each head of q and k.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

using Block = nn::PreNormBlock<nn::GatedMlp>;

std::unique_ptr<nn::LanguageModel> build(const ConfigReader& config) {
  auto base = attention_config(config);
  base.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  base.out_bias = base.qkv_bias;
  base.qk_norm = nn::AttentionConfig::Norm::per_head;
  auto sliding = sliding_layers(config, upper_layers_slide);
  return std::make_unique<nn::CausalLm<Block>>(
      causal_lm_config(config), [&](int layer) {
        auto attention = base;
        if (sliding[static_cast<size_t>(layer)]) {
          attention.window = config.dimension("sliding_window");
        }
        return std::make_unique<Block>(
            attention, attention.norm_eps, gated_mlp(config));
      });
}

}  // namespace

Architecture qwen3() {
  return {.model_type = "qwen3",
          .class_name = "Qwen3ForCausalLM",
          .gguf = "qwen3",
          .build = build,
          .gguf_constants =
              R"({"hidden_act": "silu", "use_sliding_window": false})"};
}

}  // namespace assay::arch
