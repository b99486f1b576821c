// Gemma 3, the language part (Gemma Team 2025): five sliding layers to one full
// one, each kind with rotary settings of its own, norms on q and k.

#include <cmath>

#include <nlohmann/json.hpp>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/arch/llm/gemma_block.h"

namespace assay::arch {
namespace {

bool all_but_nth_slide(const ConfigReader& config, int layer) {
  auto pattern =
      config.integer({"sliding_window_pattern", "_sliding_window_pattern"});
  return (layer + 1) % pattern != 0;
}

nn::RopeConfig sliding_rope(const ConfigReader& config) {
  if (config.find("rope_parameters") != nullptr) {
    return rope_config(config, "sliding_attention");
  }
  // In the older spelling the sliding layers have a base of their own and no
  // scaling.
  nn::RopeConfig rope;
  rope.theta = config.number({"rope_local_base_freq"});
  rope.max_position_embeddings = config.dimension("max_position_embeddings");
  rope.original_max_position_embeddings = rope.max_position_embeddings;
  return rope;
}

std::unique_ptr<nn::LanguageModel> build(const ConfigReader& config) {
  auto base = attention_config(config);
  base.scale = 1 / std::sqrt(config.real("query_pre_attn_scalar"));
  base.qk_norm = nn::AttentionConfig::Norm::per_head;
  base.softcap = static_cast<float>(
      config.maybe_number("attn_logit_softcapping").value_or(0));
  base.norm_offset = 1;
  auto sliding = sliding_layers(config, all_but_nth_slide);
  auto frame = causal_lm_config(config);
  frame.norm_offset = 1;
  frame.embedding_scale = std::sqrt(static_cast<float>(frame.width));
  frame.logit_softcap = static_cast<float>(
      config.maybe_number("final_logit_softcapping").value_or(0));
  auto activation = nn::activation_from_name(
      config.text({"hidden_activation", "hidden_act"}), config.where());
  return std::make_unique<nn::CausalLm<GemmaBlock>>(frame, [&](int layer) {
    auto attention = base;
    if (sliding[static_cast<size_t>(layer)]) {
      attention.window = config.dimension("sliding_window");
      attention.rope = sliding_rope(config);
    }
    return std::make_unique<GemmaBlock>(
        attention,
        std::make_unique<nn::GatedMlp>(
            frame.width, config.dimension("intermediate_size"), activation));
  });
}

// Constants of the family that its GGUFs leave out (llama.cpp fixes them too).
void finish_gguf(Json& config, const ModelFiles&) {
  if (!config.contains("head_dim") || !config.contains("hidden_size")) {
    return;
  }
  bool is_27b = config.value("num_hidden_layers", 0) == 62;
  config["query_pre_attn_scalar"] =
      is_27b ? config["hidden_size"].get<int>() /
                   config["num_attention_heads"].get<int>()
             : config["head_dim"].get<int>();
}

}  // namespace

Architecture gemma3_text() {
  return {.model_type = "gemma3_text",
          .class_name = "Gemma3ForCausalLM",
          .gguf = "gemma3",
          .build = build,
          .gguf_constants = R"({"hidden_activation": "gelu_pytorch_tanh",
                                "sliding_window_pattern": 6,
                                "rope_local_base_freq": 10000.0,
                                "tie_word_embeddings": true})",
          .finish_gguf = finish_gguf};
}

}  // namespace assay::arch
