// Gemma 2 (Gemma Team 2024): soft caps on scores and logits, every other layer
// with a sliding window, embeddings scaled by the square root of the width.

#include <cmath>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/arch/llm/gemma_block.h"

namespace assay::arch {
namespace {

// The first layer slides, the second does not, and so on.
bool even_layers_slide(const ConfigReader&, int layer) {
  return layer % 2 == 0;
}

std::unique_ptr<nn::LanguageModel> build(const ConfigReader& config) {
  auto base = attention_config(config);
  base.scale = 1 / std::sqrt(config.real("query_pre_attn_scalar"));
  base.softcap = static_cast<float>(
      config.maybe_number("attn_logit_softcapping").value_or(0));
  base.norm_offset = 1;
  auto sliding = sliding_layers(config, even_layers_slide);
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
    }
    return std::make_unique<GemmaBlock>(
        attention,
        std::make_unique<nn::GatedMlp>(
            frame.width, config.dimension("intermediate_size"), activation));
  });
}

// The scale of queries is not in the metadata: it is that of the head, but for
// the 27B model, whose heads are narrower than the width would make them.
void finish_gguf(Json& config, const ModelFiles&) {
  if (!config.contains("head_dim") || !config.contains("hidden_size")) {
    return;
  }
  bool is_27b = config.value("num_hidden_layers", 0) == 46;
  config["query_pre_attn_scalar"] =
      is_27b ? config["hidden_size"].get<int>() /
                   config["num_attention_heads"].get<int>()
             : config["head_dim"].get<int>();
}

}  // namespace

Architecture gemma2() {
  return {.model_type = "gemma2",
          .class_name = "Gemma2ForCausalLM",
          .gguf = "gemma2",
          .build = build,
          .gguf_constants = R"({"hidden_activation": "gelu_pytorch_tanh",
                                "tie_word_embeddings": true})",
          .finish_gguf = finish_gguf};
}

}  // namespace assay::arch
