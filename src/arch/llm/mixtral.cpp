// Mixtral (Jiang et al. 2024): Mistral with several MLPs a layer, of which a
// router picks two for each token. Its GGUFs call themselves llama.

#include <mlx/ops.h>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/nn/moe.h"

namespace assay::arch {
namespace {

using nn::array;

class MixtralMlp : public nn::Module {
 public:
  MixtralMlp(int width, int inner, int experts, int chosen)
      : gate_(width, experts, {.role = nn::Role::router}),
        experts_(nn::SwitchGluConfig{
            .experts = experts,
            .width = width,
            .inner = inner,
            .gate = nn::expert_names(experts, "w1", "ffn_gate_exps"),
            .up = nn::expert_names(experts, "w3", "ffn_up_exps"),
            .down = nn::expert_names(experts, "w2", "ffn_down_exps")}),
        chosen_(chosen) {
    add("gate", gate_, {.gguf = "ffn_gate_inp"});
    add("switch_mlp", experts_, {.gguf = "", .hf = ""});
  }

  array operator()(const array& x) const {
    auto scores = gate_(x);
    auto experts = nn::top_k(scores, chosen_);
    auto weights = mlx::core::softmax(
        mlx::core::take_along_axis(scores, experts, -1), -1, true);
    return nn::mix(experts_(x, experts), weights);
  }

 private:
  nn::Linear gate_;
  nn::SwitchGlu experts_;
  int chosen_;
};

using MixtralBlock = nn::PreNormBlock<MixtralMlp>;

std::unique_ptr<nn::LanguageModel> build_mixtral(const ConfigReader& config) {
  auto attention = attention_config(config);
  attention.gguf_permuted = true;
  if (config.find("sliding_window") != nullptr) {
    attention.window = config.dimension("sliding_window");
  }
  return std::make_unique<nn::CausalLm<MixtralBlock>>(
      causal_lm_config(config), [&](int) {
        return std::make_unique<MixtralBlock>(
            attention,
            attention.norm_eps,
            std::make_unique<MixtralMlp>(
                attention.width,
                config.dimension("intermediate_size"),
                config.dimension("num_local_experts"),
                config.dimension("num_experts_per_tok")),
            nn::BlockOptions{.mlp_name = "block_sparse_moe"});
      });
}

bool has_experts(const GgufMetadata& metadata) {
  return metadata.integer("llama.expert_count").value_or(0) > 0;
}

}  // namespace

Architecture mixtral() {
  return {.model_type = "mixtral",
          .class_name = "MixtralForCausalLM",
          .gguf = "llama",
          .claims_gguf = has_experts,
          .build = build_mixtral,
          .gguf_constants = R"({"hidden_act": "silu"})",
          .ignored_suffixes = {"rotary_emb.inv_freq"}};
}

}  // namespace assay::arch
