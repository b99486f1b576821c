// Mistral 7B (Jiang et al. 2023): Llama with a sliding window on every layer,
// where the config has one. Its GGUFs call themselves llama.

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

using MistralBlock = nn::PreNormBlock<nn::GatedMlp>;

std::unique_ptr<nn::LanguageModel> build_mistral(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.gguf_permuted = true;
  if (config.find("sliding_window") != nullptr) {
    attention.window = config.dimension("sliding_window");
  }
  return std::make_unique<nn::CausalLm<MistralBlock>>(
      causal_lm_config(config), [&](int) {
        return std::make_unique<MistralBlock>(
            attention, attention.norm_eps, gated_mlp(config));
      });
}

bool never(const GgufMetadata&) {
  return false;
}

}  // namespace

Architecture mistral() {
  return {.model_type = "mistral",
          .class_name = "MistralForCausalLM",
          .gguf = "llama",
          .claims_gguf = never,
          .build = build_mistral,
          .gguf_constants = R"({"hidden_act": "silu"})",
          .ignored_suffixes = {"rotary_emb.inv_freq"}};
}

}  // namespace assay::arch
