#include "assay/arch/llm/gemma_block.h"

#include <cmath>

#include <nlohmann/json.hpp>

namespace assay::arch {
namespace {

// 0, which means none, where the field is absent or null.
float softcap(const ConfigReader& config, std::string_view field) {
  return static_cast<float>(config.maybe_number(field).value_or(0));
}

}  // namespace

std::unique_ptr<nn::LanguageModel> build_gemma(
    const ConfigReader& config,
    nn::AttentionConfig::Norm qk_norm,
    bool (*rule)(const ConfigReader&, int layer),
    const std::optional<nn::RopeConfig>& sliding_rope) {
  auto base = attention_config(config);
  base.scale = 1 / std::sqrt(config.real("query_pre_attn_scalar"));
  base.qk_norm = qk_norm;
  base.softcap = softcap(config, "attn_logit_softcapping");
  base.norm_offset = 1;
  auto frame = causal_lm_config(config);
  frame.norm_offset = 1;
  frame.embedding_scale = std::sqrt(static_cast<float>(frame.width));
  frame.logit_softcap = softcap(config, "final_logit_softcapping");
  auto sliding = sliding_layers(config, rule);
  auto activation = nn::activation_from_name(
      config.text({"hidden_activation", "hidden_act"}), config.where());
  return std::make_unique<nn::CausalLm<GemmaBlock>>(frame, [&](int layer) {
    auto attention = base;
    if (sliding[static_cast<size_t>(layer)]) {
      attention.window = config.dimension("sliding_window");
      attention.rope = sliding_rope.value_or(base.rope);
    }
    return std::make_unique<GemmaBlock>(
        attention,
        std::make_unique<nn::GatedMlp>(
            frame.width, config.dimension("intermediate_size"), activation));
  });
}

void gemma_query_scale_from_gguf(Json& config, int layers_of_27b) {
  if (!config.contains("head_dim") || !config.contains("hidden_size")) {
    return;
  }
  bool is_27b = config.value("num_hidden_layers", 0) == layers_of_27b;
  config["query_pre_attn_scalar"] =
      is_27b ? config["hidden_size"].get<int>() /
                   config["num_attention_heads"].get<int>()
             : config["head_dim"].get<int>();
}

}  // namespace assay::arch
