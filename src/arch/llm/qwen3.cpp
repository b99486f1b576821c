// Qwen 3, dense (Yang et al. 2025): norms over each head of q and k.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

std::unique_ptr<nn::LanguageModel> build_qwen3(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  attention.out_bias = attention.qkv_bias;
  attention.qk_norm = nn::AttentionConfig::Norm::per_head;
  return upper_windows_model(config, attention);
}

}  // namespace

Architecture qwen3() {
  return {.model_type = "qwen3",
          .class_name = "Qwen3ForCausalLM",
          .gguf = "qwen3",
          .build = build_qwen3,
          .gguf_constants =
              R"({"hidden_act": "silu", "use_sliding_window": false})"};
}

}  // namespace assay::arch
