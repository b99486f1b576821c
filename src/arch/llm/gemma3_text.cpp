// Gemma 3, the language part (Gemma Team 2025): five sliding layers to one full
// one, each kind with rotary settings of its own, norms on q and k.

#include <nlohmann/json.hpp>

#include "assay/arch/gguf_extras.h"
#include "assay/arch/list.h"
#include "assay/arch/llm/gemma_block.h"

namespace assay::arch {
namespace {

bool all_but_nth_slide(const ConfigReader& config, int layer) {
  const auto names = {std::string_view("sliding_window_pattern"),
                      std::string_view("_sliding_window_pattern")};
  // 0 is how GGUFs say "all".
  return config.integer(names) == 0 ||
         (layer + 1) % config.dimension(names) != 0;
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

std::unique_ptr<nn::LanguageModel> build_gemma3_text(
    const ConfigReader& config) {
  return build_gemma(config,
                     nn::AttentionConfig::Norm::per_head,
                     all_but_nth_slide,
                     sliding_rope(config));
}

// A period, or a flag for each layer.
void read_window_pattern(Json& config, const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "gemma3.attention.sliding_window_pattern";
  const auto* value = metadata.find(kKey);
  if (value == nullptr) {
    return;
  }
  if (value->type != GgufValue::Type::array) {
    config["sliding_window_pattern"] = *metadata.integer(kKey);
    return;
  }
  config["layer_types"] = Json::array();
  auto flags = metadata.integers(kKey).value();
  for (auto sliding : flags) {
    config["layer_types"].push_back(sliding != 0 ? "sliding_attention"
                                                 : "full_attention");
  }
}

void finish_gemma3_text_gguf(Json& config, const ModelFiles& model) {
  constexpr int kLayersOf27b = 62;
  gemma_query_scale_from_gguf(config, kLayersOf27b);
  read_window_pattern(config, *model.gguf);
}

}  // namespace

Architecture gemma3_text() {
  return {.model_type = "gemma3_text",
          .class_name = "Gemma3ForCausalLM",
          .gguf = "gemma3",
          .build = build_gemma3_text,
          .gguf_keys = {{kWindowPatternKey, ""}},
          .gguf_constants = R"({"hidden_activation": "gelu_pytorch_tanh",
                                "sliding_window_pattern": 6,
                                "rope_local_base_freq": 10000.0,
                                "tie_word_embeddings": true})",
          .finish_gguf = finish_gemma3_text_gguf};
}

}  // namespace assay::arch
