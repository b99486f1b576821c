// SmolLM 3 (Hugging Face 2025): Llama with no rotary positions on every fourth
// layer.

#include <fmt/format.h>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/core/finding.h"

namespace assay::arch {
namespace {

using Smollm3Block = nn::PreNormBlock<nn::GatedMlp>;

// "no_rope_layers" holds 1 for layers that do rotate.
std::vector<bool> rotated_layers(const ConfigReader& config) {
  int layers = config.dimension("num_hidden_layers");
  std::vector<bool> rotated;
  if (auto flags = config.maybe_numbers("no_rope_layers")) {
    for (double flag : *flags) {
      rotated.push_back(flag != 0);
    }
    if (static_cast<int>(rotated.size()) != layers) {
      fail("config.invalid-value",
           fmt::format("{}: no_rope_layers", config.where()),
           fmt::format("{} entries, as num_hidden_layers says", layers),
           fmt::format("{}", rotated.size()));
    }
    return rotated;
  }
  int interval = config.dimension("no_rope_layer_interval");
  for (int i = 0; i < layers; ++i) {
    rotated.push_back((i + 1) % interval != 0);
  }
  return rotated;
}

bool none_slide(const ConfigReader&, int) {
  return false;
}

std::unique_ptr<nn::LanguageModel> build_smollm3(const ConfigReader& config) {
  auto base = attention_config(config);
  base.gguf_permuted = true;
  base.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  base.out_bias = base.qkv_bias;
  bool mlp_bias = config.maybe_boolean("mlp_bias").value_or(false);
  auto rotated = rotated_layers(config);
  auto sliding = sliding_layers(config, none_slide);
  return std::make_unique<nn::CausalLm<Smollm3Block>>(
      causal_lm_config(config), [&](int layer) {
        auto attention = base;
        attention.use_rope = rotated[static_cast<size_t>(layer)];
        if (sliding[static_cast<size_t>(layer)]) {
          attention.window = config.dimension("sliding_window");
        }
        return std::make_unique<Smollm3Block>(
            attention,
            attention.norm_eps,
            gated_mlp(config, "intermediate_size", mlp_bias));
      });
}

}  // namespace

Architecture smollm3() {
  return {.model_type = "smollm3",
          .class_name = "SmolLM3ForCausalLM",
          .gguf = "smollm3",
          .build = build_smollm3,
          .gguf_constants =
              R"({"hidden_act": "silu", "no_rope_layer_interval": 4})"};
}

}  // namespace assay::arch
