// Phi-3 and Phi-4 (Abdin et al. 2024): q, k and v in one matrix, gate and up in
// another, longrope for the long-context ones.

#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"

namespace assay::arch {
namespace {

/** down(act(gate) * up), with gate and up in one matrix, in this order. */
class FusedMlp : public nn::Module {
 public:
  FusedMlp(int width, int inner, nn::Activation activation)
      : gate_up_(width, 2 * inner),
        down_(inner, width),
        activation_(activation) {
    add("gate_up_proj", gate_up_, {.gguf = "ffn_up"});
    add("down_proj", down_, {.gguf = "ffn_down"});
  }

  nn::array operator()(const nn::array& x) const {
    auto parts = mlx::core::split(gate_up_(x), 2, -1);
    return down_(nn::gated(activation_, parts[0], parts[1]));
  }

 private:
  nn::Linear gate_up_, down_;
  nn::Activation activation_;
};

using Phi3Block = nn::PreNormBlock<FusedMlp>;

std::unique_ptr<nn::LanguageModel> build_phi3(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.fused_qkv = true;
  if (config.find("sliding_window") != nullptr) {
    attention.window = config.dimension("sliding_window");
  }
  auto activation = hidden_activation(config);
  return std::make_unique<nn::CausalLm<Phi3Block>>(
      causal_lm_config(config), [&](int) {
        return std::make_unique<Phi3Block>(
            attention,
            attention.norm_eps,
            std::make_unique<FusedMlp>(attention.width,
                                       config.dimension("intermediate_size"),
                                       activation));
      });
}

}  // namespace

Architecture phi3() {
  return {.model_type = "phi3",
          .class_name = "Phi3ForCausalLM",
          .gguf = "phi3",
          .build = build_phi3,
          .gguf_constants = R"({"hidden_act": "silu"})",
          .finish_gguf = longrope_from_gguf,
          .ignored_suffixes = {"rotary_emb.inv_freq",
                               "rope_factors_long.weight",
                               "rope_factors_short.weight"}};
}

}  // namespace assay::arch
