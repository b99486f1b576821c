#include "assay/nn/moe.h"

#include <fmt/format.h>
#include <mlx/ops.h>

namespace assay::nn {
namespace mx = mlx::core;

ExpertNames expert_names(int experts,
                         const std::string& hf,
                         const std::string& gguf) {
  Source stacked;
  for (int i = 0; i < experts; ++i) {
    stacked.names.push_back(fmt::format("experts.{}.{}.weight", i, hf));
  }
  stacked.steps = {step::stack()};
  return {.weight_hf = {stacked}, .weight_gguf = {Source{{gguf + ".weight"}}}};
}

SwitchLinear::SwitchLinear(
    int experts, int in, int out, bool with_bias, ExpertNames names)
    : weight{.shape = {experts, out, in},
             .role = Role::expert,
             .quantizable = true,
             .hf_sources = std::move(names.weight_hf),
             .gguf_sources = std::move(names.weight_gguf)} {
  add("weight", weight);
  if (with_bias) {
    bias = Parameter{.shape = {experts, out},
                     .role = Role::expert,
                     .hf_sources = std::move(names.bias_hf),
                     .gguf_sources = std::move(names.bias_gguf)};
    add("bias", *bias);
  }
}

array SwitchLinear::operator()(const array& x, const array& experts) const {
  auto y = kernels::gather_linear(x, *weight.value, experts);
  if (bias) {
    y = y + mx::expand_dims(mx::take(cast_like((*bias)(), y), experts, 0), -2);
  }
  return y;
}

array swiglu(const array& gate, const array& up) {
  return gate * mx::sigmoid(gate) * up;
}

SwitchGlu::SwitchGlu(SwitchGluConfig config)
    : glu_(std::move(config.glu)),
      gate_(config.experts,
            config.width,
            config.inner,
            config.bias,
            std::move(config.gate)),
      up_(config.experts,
          config.width,
          config.inner,
          config.bias,
          std::move(config.up)),
      down_(config.experts,
            config.inner,
            config.width,
            config.bias,
            std::move(config.down)) {
  add("gate_proj", gate_, {.gguf = "", .hf = ""});
  add("up_proj", up_, {.gguf = "", .hf = ""});
  add("down_proj", down_, {.gguf = "", .hf = ""});
}

array SwitchGlu::operator()(const array& x, const array& experts) const {
  auto rows =
      mx::expand_dims(x, std::vector<int>{-2, -3});  // [..., 1, 1, width]
  auto inner = glu_(gate_(rows, experts), up_(rows, experts));
  return mx::squeeze(down_(inner, experts), -2);
}

array top_k(const array& scores, int k) {
  int last = scores.shape(-1);
  auto order = mx::argpartition(scores, -k, -1);
  auto start = mx::Shape(scores.ndim(), 0);
  start.back() = last - k;
  return mx::slice(order, start, scores.shape());
}

array mix(const array& y, const array& weights) {
  return mx::sum(y * mx::expand_dims(weights, -1), -2);
}

}  // namespace assay::nn
