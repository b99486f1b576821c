// Qwen 3 with experts (Yang et al. 2025): Qwen 3 attention, and on most layers
// many small MLPs of which a softmax router picks some.

#include <algorithm>
#include <variant>

#include <mlx/ops.h>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/nn/moe.h"

namespace assay::arch {
namespace {

using nn::array;

struct Qwen3MoeExperts {
  int width, inner, experts, chosen;
  bool normalize;
};

/** Dense on some layers, sparse on the others. */
class Qwen3MoeMlp : public nn::Module {
 public:
  explicit Qwen3MoeMlp(std::unique_ptr<nn::GatedMlp> dense)
      : dense_(std::move(dense)) {
    add("", *dense_);
  }
  explicit Qwen3MoeMlp(const Qwen3MoeExperts& c)
      : gate_(std::in_place,
              c.width,
              c.experts,
              nn::LinearOptions{.role = nn::Role::router}),
        experts_(
            std::in_place,
            nn::SwitchGluConfig{
                .experts = c.experts,
                .width = c.width,
                .inner = c.inner,
                .gate =
                    nn::expert_names(c.experts, "gate_proj", "ffn_gate_exps"),
                .up = nn::expert_names(c.experts, "up_proj", "ffn_up_exps"),
                .down =
                    nn::expert_names(c.experts, "down_proj", "ffn_down_exps")}),
        chosen_(c.chosen),
        normalize_(c.normalize) {
    add("gate", *gate_, {.gguf = "ffn_gate_inp"});
    add("switch_mlp", *experts_, {.gguf = "", .hf = ""});
  }

  array operator()(const array& x) const {
    if (dense_) {
      return (*dense_)(x);
    }
    auto scores = mlx::core::softmax((*gate_)(x), -1, true);
    auto experts = nn::top_k(scores, chosen_);
    auto weights = mlx::core::take_along_axis(scores, experts, -1);
    if (normalize_) {
      weights = weights / mlx::core::sum(weights, -1, true);
    }
    return nn::mix((*experts_)(x, experts), weights);
  }

 private:
  std::unique_ptr<nn::GatedMlp> dense_;
  std::optional<nn::Linear> gate_;
  std::optional<nn::SwitchGlu> experts_;
  int chosen_ = 0;
  bool normalize_ = false;
};

using Qwen3MoeBlock = nn::PreNormBlock<Qwen3MoeMlp>;

std::unique_ptr<nn::LanguageModel> build_qwen3_moe(const ConfigReader& config) {
  auto base = attention_config(config);
  base.qkv_bias = config.maybe_boolean("attention_bias").value_or(false);
  base.out_bias = base.qkv_bias;
  base.qk_norm = nn::AttentionConfig::Norm::per_head;
  auto sliding = sliding_layers(config, upper_layers_slide);
  Qwen3MoeExperts moe{base.width,
                      config.dimension("moe_intermediate_size"),
                      config.dimension({"num_experts", "num_local_experts"}),
                      config.dimension("num_experts_per_tok"),
                      config.flag("norm_topk_prob")};
  int step = config.dimension("decoder_sparse_step");
  auto dense =
      config.maybe_numbers("mlp_only_layers").value_or(std::vector<double>());
  return std::make_unique<nn::CausalLm<Qwen3MoeBlock>>(
      causal_lm_config(config), [&](int layer) {
        auto attention = base;
        if (sliding[static_cast<size_t>(layer)]) {
          attention.window = config.dimension("sliding_window");
        }
        bool sparse = (layer + 1) % step == 0 &&
                      std::ranges::find(dense, layer) == dense.end();
        return std::make_unique<Qwen3MoeBlock>(
            attention,
            attention.norm_eps,
            sparse ? std::make_unique<Qwen3MoeMlp>(moe)
                   : std::make_unique<Qwen3MoeMlp>(gated_mlp(config)));
      });
}

}  // namespace

Architecture qwen3_moe() {
  return {.model_type = "qwen3_moe",
          .class_name = "Qwen3MoeForCausalLM",
          .gguf = "qwen3moe",
          .build = build_qwen3_moe,
          .gguf_keys = {{"{arch}.expert_count", "num_experts"}},
          .gguf_constants =
              R"({"hidden_act": "silu", "use_sliding_window": false,
                  "norm_topk_prob": true, "decoder_sparse_step": 1,
                  "mlp_only_layers": []})"};
}

}  // namespace assay::arch
