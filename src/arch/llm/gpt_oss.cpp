// gpt-oss (OpenAI 2025): attention with a learned sink for each head, every
// other layer sliding; experts with clamped SwiGLU and biases, stored as MXFP4
// or plain.

#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/arch/list.h"
#include "assay/arch/llm/common.h"
#include "assay/nn/moe.h"

namespace assay::arch {
namespace {

namespace mx = mlx::core;
using nn::array;

struct Clamp {
  float alpha, limit;
};

/** (up + 1) * gate * sigmoid(alpha * gate), both clamped to the limit. */
nn::GluFunction clamped_swiglu(Clamp clamp) {
  return [clamp](const array& gate, const array& up) {
    auto constant = [&](float value) { return array(value, gate.dtype()); };
    auto g = mx::minimum(gate, constant(clamp.limit));
    auto u = mx::clip(up, constant(-clamp.limit), constant(clamp.limit));
    return (u + constant(1)) * g * mx::sigmoid(g * constant(clamp.alpha));
  };
}

// Published checkpoints hold gate and up as even and odd columns of one
// tensor: plain as [experts, in, out], or in MXFP4 blocks as [experts, out].
nn::ExpertNames gate_or_up(int inner, int first, const char* gguf) {
  auto plain = nn::Source{
      {"experts.gate_up_proj"},
      {nn::step::slice(2, first, 2 * inner, 2), nn::step::swap_last()}};
  auto blocks =
      nn::Source{{"experts.gate_up_proj_blocks", "experts.gate_up_proj_scales"},
                 {nn::step::slice(1, first, 2 * inner, 2)},
                 nn::Encoding::mxfp4_blocks};
  return {.weight_hf = {plain, blocks},
          .weight_gguf = {nn::Source{{std::string(gguf) + ".weight"}}},
          .bias_hf = {nn::Source{{"experts.gate_up_proj_bias"},
                                 {nn::step::slice(1, first, 2 * inner, 2)}}},
          .bias_gguf = {nn::Source{{std::string(gguf) + ".bias"}}}};
}

nn::ExpertNames down() {
  auto blocks =
      nn::Source{{"experts.down_proj_blocks", "experts.down_proj_scales"},
                 {},
                 nn::Encoding::mxfp4_blocks};
  return {
      .weight_hf = {nn::Source{{"experts.down_proj"}, {nn::step::swap_last()}},
                    blocks},
      .weight_gguf = {nn::Source{{"ffn_down_exps.weight"}}},
      .bias_hf = {nn::Source{{"experts.down_proj_bias"}}},
      .bias_gguf = {nn::Source{{"ffn_down_exps.bias"}}}};
}

class GptOssMlp : public nn::Module {
 public:
  GptOssMlp(int width, int inner, int experts, int chosen, Clamp clamp)
      : router_(width, experts, {.bias = true, .role = nn::Role::router}),
        experts_(
            nn::SwitchGluConfig{.experts = experts,
                                .width = width,
                                .inner = inner,
                                .bias = true,
                                .glu = clamped_swiglu(clamp),
                                .gate = gate_or_up(inner, 0, "ffn_gate_exps"),
                                .up = gate_or_up(inner, 1, "ffn_up_exps"),
                                .down = down()}),
        chosen_(chosen) {
    add("router", router_, {.gguf = "ffn_gate_inp"});
    add("experts", experts_, {.gguf = "", .hf = ""});
  }

  array operator()(const array& x) const {
    auto scores = router_(x);
    auto experts = nn::top_k(scores, chosen_);
    auto weights =
        mx::softmax(mx::take_along_axis(scores, experts, -1), -1, true);
    return nn::mix(experts_(x, experts), weights);
  }

 private:
  nn::Linear router_;
  nn::SwitchGlu experts_;
  int chosen_;
};

using GptOssBlock = nn::PreNormBlock<GptOssMlp>;

bool gpt_oss_layer_slides(const ConfigReader&, int layer) {
  return layer % 2 == 0;
}

std::unique_ptr<nn::LanguageModel> build_gpt_oss(const ConfigReader& config) {
  auto base = attention_config(config);
  base.qkv_bias = config.flag("attention_bias");
  base.out_bias = base.qkv_bias;
  base.sinks = true;
  auto sliding = sliding_layers(config, gpt_oss_layer_slides);
  // Fixed by the architecture (1.702 and 7) until configs began to state them.
  Clamp clamp{
      static_cast<float>(config.maybe_number("swiglu_alpha").value_or(1.702)),
      static_cast<float>(config.maybe_number("swiglu_limit").value_or(7))};
  return std::make_unique<nn::CausalLm<GptOssBlock>>(
      causal_lm_config(config), [&](int layer) {
        auto attention = base;
        if (sliding[static_cast<size_t>(layer)]) {
          attention.window = config.dimension("sliding_window");
        }
        return std::make_unique<GptOssBlock>(
            attention,
            attention.norm_eps,
            std::make_unique<GptOssMlp>(base.width,
                                        config.dimension("intermediate_size"),
                                        config.dimension("num_local_experts"),
                                        config.dimension("num_experts_per_tok"),
                                        clamp),
            nn::BlockOptions{.gguf_mlp_norm = "post_attention_norm"});
      });
}

// The ramp of its YaRN has no whole ends; metadata has no key for that.
void finish_gpt_oss_gguf(Json& config, const ModelFiles&) {
  if (config.contains("rope_scaling")) {
    config["rope_scaling"]["truncate"] = false;
  }
}

}  // namespace

Architecture gpt_oss() {
  return {
      .model_type = "gpt_oss",
      .class_name = "GptOssForCausalLM",
      .gguf = "gpt-oss",
      .build = build_gpt_oss,
      .gguf_keys = {{"{arch}.expert_feed_forward_length", "intermediate_size"}},
      .gguf_constants = R"({"hidden_act": "silu", "attention_bias": true})",
      .finish_gguf = finish_gpt_oss_gguf};
}

}  // namespace assay::arch
