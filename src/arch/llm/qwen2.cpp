// Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on q, k and v, and
// sliding windows on the upper layers where the config turns them on.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

using Block = nn::PreNormBlock<nn::GatedMlp>;

std::unique_ptr<nn::LanguageModel> build(const ConfigReader& config) {
  auto base = attention_config(config);
  base.qkv_bias = true;
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

Architecture qwen2() {
  return {.model_type = "qwen2",
          .class_name = "Qwen2ForCausalLM",
          .gguf = "qwen2",
          .build = build,
          .gguf_constants =
              R"({"hidden_act": "silu", "use_sliding_window": false})",
          .ignored_suffixes = {"rotary_emb.inv_freq"}};
}

}  // namespace assay::arch
