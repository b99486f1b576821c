// Qwen 2 and 2.5 (Yang et al. 2024): Llama with biases on q, k and v, and
// sliding windows on the upper layers where the config turns them on.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

std::unique_ptr<nn::LanguageModel> build_qwen2(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.qkv_bias = true;
  return upper_windows_model(config, attention);
}

}  // namespace

Architecture qwen2() {
  return {.model_type = "qwen2",
          .class_name = "Qwen2ForCausalLM",
          .gguf = "qwen2",
          .build = build_qwen2,
          .gguf_constants =
              R"({"hidden_act": "silu", "use_sliding_window": false})",
          .ignored_suffixes = {"rotary_emb.inv_freq"}};
}

}  // namespace assay::arch
