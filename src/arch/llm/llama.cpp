// Llama 1 to 3 (Touvron et al. 2023; Grattafiori et al. 2024), and the many
// that share its shape (SmolLM, Yi, TinyLlama...).

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

using LlamaBlock = nn::PreNormBlock<nn::GatedMlp>;

std::unique_ptr<nn::LanguageModel> build_llama(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.gguf_permuted = true;
  // Configs from before these options have neither; the tensors tell.
  attention.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  attention.out_bias = attention.qkv_bias;
  bool mlp_bias = config.maybe_boolean("mlp_bias").value_or(false);
  return std::make_unique<nn::CausalLm<LlamaBlock>>(
      causal_lm_config(config), [&](int) {
        return std::make_unique<LlamaBlock>(
            attention,
            attention.norm_eps,
            gated_mlp(config, "intermediate_size", mlp_bias));
      });
}

bool is_dense(const GgufMetadata& metadata) {
  return metadata.integer("llama.expert_count").value_or(0) == 0;
}

}  // namespace

Architecture llama() {
  return {.model_type = "llama",
          .class_name = "LlamaForCausalLM",
          .gguf = "llama",
          .claims_gguf = is_dense,
          .build = build_llama,
          .gguf_constants = R"({"hidden_act": "silu"})",
          .finish_gguf = llama3_rope_from_gguf,
          .ignored_suffixes = {"rotary_emb.inv_freq", "rope_freqs.weight"}};
}

}  // namespace assay::arch
