// Gemma 2 (Gemma Team 2024): soft caps on scores and logits, every other layer
// with a sliding window, embeddings scaled by the square root of the width.

#include "assay/arch/list.h"
#include "assay/arch/llm/gemma_block.h"

namespace assay::arch {
namespace {

// The first layer slides, the second does not, and so on.
bool gemma2_layer_slides(const ConfigReader&, int layer) {
  return layer % 2 == 0;
}

std::unique_ptr<nn::LanguageModel> build_gemma2(const ConfigReader& config) {
  return build_gemma(config,
                     nn::AttentionConfig::Norm::none,
                     gemma2_layer_slides,
                     std::nullopt);
}

void finish_gemma2_gguf(Json& config, const ModelFiles&) {
  constexpr int kLayersOf27b = 46;
  gemma_query_scale_from_gguf(config, kLayersOf27b);
}

}  // namespace

Architecture gemma2() {
  return {.model_type = "gemma2",
          .class_name = "Gemma2ForCausalLM",
          .gguf = "gemma2",
          .build = build_gemma2,
          .gguf_constants = R"({"hidden_activation": "gelu_pytorch_tanh",
                                "tie_word_embeddings": true})",
          .finish_gguf = finish_gemma2_gguf};
}

}  // namespace assay::arch
