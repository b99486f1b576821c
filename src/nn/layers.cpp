#include "assay/nn/layers.h"

#include <cmath>
#include <exception>
#include <numbers>
#include <stdexcept>

#include <mlx/fast.h>
#include <mlx/ops.h>

#include "assay/core/finding.h"
#include "assay/kernels/fused.h"
#include "assay/kernels/projections.h"

namespace assay::nn {
namespace mx = mlx::core;

namespace {

// Adds the parameter's name to what a product has to say about shapes.
template <class F>
array named(const Parameter& parameter, F&& product) {
  try {
    return product();
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(parameter.name + ": " + error.what());
  }
}

// Of the steps for a weight, those that also apply to its bias: steps on rows.
std::vector<Step> bias_steps(const std::vector<Step>& steps) {
  std::vector<Step> rows;
  for (const auto& step : steps) {
    if (step.kind == Step::Kind::rope_rows) {
      rows.push_back(step);
    }
  }
  return rows;
}

std::vector<Source> by_steps(const char* name, std::vector<Step> steps) {
  if (steps.empty()) {
    return {};
  }
  return {Source{{name}, std::move(steps)}};
}

}  // namespace

array cast_like(const array& parameter, const array& x) {
  return parameter.dtype() == x.dtype() ? parameter
                                        : mx::astype(parameter, x.dtype());
}

Linear::Linear(int in, int out, const LinearOptions& options)
    : weight{.shape = {out, in},
             .role = options.role,
             .quantizable = options.quantizable,
             .hf_sources = by_steps("weight", options.hf_steps),
             .gguf_sources = by_steps("weight", options.gguf_steps)} {
  add("weight", weight);
  if (options.bias) {
    bias = Parameter{
        .shape = {out},
        .role = options.role,
        .hf_sources = by_steps("bias", bias_steps(options.hf_steps)),
        .gguf_sources = by_steps("bias", bias_steps(options.gguf_steps))};
    add("bias", *bias);
  }
}

array Linear::operator()(const array& x) const {
  return named(weight, [&] {
    auto y = kernels::linear(x, *weight.value);
    return bias ? y + cast_like((*bias)(), y) : y;
  });
}

array Linear::added_to(const array& residual, const array& x) const {
  if (bias) {
    return residual + (*this)(x);
  }
  return named(weight,
               [&] { return kernels::linear_add(residual, x, *weight.value); });
}

Embedding::Embedding(int vocab, int width)
    : weight{.shape = {vocab, width},
             .role = Role::embedding,
             .quantizable = true} {
  add("weight", weight);
}

array Embedding::operator()(const array& ids) const {
  return named(weight, [&] { return kernels::embed(ids, *weight.value); });
}

array Embedding::as_linear(const array& x) const {
  return named(weight, [&] { return kernels::linear(x, *weight.value); });
}

RmsNorm::RmsNorm(int width, float eps, float offset)
    : weight{.shape = {width}, .role = Role::norm}, eps_(eps), offset_(offset) {
  if (offset != 0) {
    weight.gguf_sources = {Source{{"weight"}, {step::add(-offset)}}};
  }
  add("weight", weight);
}

array RmsNorm::operator()(const array& x) const {
  return named(weight, [&] {
    auto [scale, eps] = norm_of(x);
    return kernels::rms_norm(x, scale, eps);
  });
}

kernels::Norm RmsNorm::norm_of(const array& x) const {
  const array& own = weight();
  if (offset_ == 0 && own.dtype() == x.dtype()) {
    return {own, eps_};
  }
  if (scale_ && scale_->from.id() == own.id() &&
      scale_->value.dtype() == x.dtype()) {
    return {scale_->value, eps_};
  }
  auto scale = cast_like(own, x);
  if (offset_ != 0) {
    scale = scale + array(offset_, x.dtype());
  }
  if (!own.is_tracer()) {  // what is traced belongs to one trace
    scale_ = Scale{own, scale};
  }
  return {scale, eps_};
}

array normed(const array& x, const RmsNorm* norm) {
  return norm != nullptr ? (*norm)(x) : x;
}

std::optional<kernels::Norm> norm_of(const array& x, const RmsNorm* norm) {
  return norm != nullptr ? std::optional(norm->norm_of(x)) : std::nullopt;
}

LayerNorm::LayerNorm(int width, float eps)
    : weight{.shape = {width}, .role = Role::norm},
      bias{.shape = {width}, .role = Role::norm},
      eps_(eps) {
  add("weight", weight);
  add("bias", bias);
}

array LayerNorm::operator()(const array& x) const {
  return named(weight, [&] {
    return mx::fast::layer_norm(
        x, cast_like(weight(), x), cast_like(bias(), x), eps_);
  });
}

Activation activation_from_name(const std::string& name,
                                const std::string& where) {
  if (name == "silu" || name == "swish") {
    return Activation::silu;
  }
  if (name == "gelu") {
    return Activation::gelu;
  }
  if (name == "gelu_pytorch_tanh" || name == "gelu_new" ||
      name == "gelu_fast") {
    return Activation::gelu_tanh;
  }
  if (name == "relu") {
    return Activation::relu;
  }
  if (name == "relu2") {
    return Activation::relu_squared;
  }
  fail("config.invalid-value",
       where,
       "silu, gelu, gelu_pytorch_tanh, relu or relu2",
       "'" + name + "'");
}

array activate(Activation activation, const array& x) {
  auto constant = [&](double value) {
    return array(static_cast<float>(value), x.dtype());
  };
  switch (activation) {
    case Activation::silu:
      return x * mx::sigmoid(x);
    case Activation::gelu:  // x Phi(x)
      return x * constant(0.5) *
             (constant(1) + mx::erf(x * constant(std::sqrt(0.5))));
    case Activation::gelu_tanh: {
      auto cubed = x * x * x;
      auto inner = constant(std::sqrt(2 / std::numbers::pi)) *
                   (x + constant(0.044715) * cubed);
      return constant(0.5) * x * (constant(1) + mx::tanh(inner));
    }
    case Activation::relu:
      return mx::maximum(x, constant(0));
    case Activation::relu_squared: {
      auto positive = mx::maximum(x, constant(0));
      return positive * positive;
    }
  }
  throw std::logic_error("unknown activation");
}

array gated(Activation activation, const array& gate, const array& up) {
  return activation == Activation::silu ? kernels::silu_gate(gate, up)
                                        : activate(activation, gate) * up;
}

GatedMlp::GatedMlp(int width, int inner, Activation activation, bool bias)
    : gate(width, inner, {.bias = bias}),
      up(width, inner, {.bias = bias}),
      down(inner, width, {.bias = bias}),
      activation_(activation) {
  add("gate_proj", gate, {.gguf = "ffn_gate"});
  add("up_proj", up, {.gguf = "ffn_up"});
  add("down_proj", down, {.gguf = "ffn_down"});
}

array GatedMlp::inner(const array& x, const RmsNorm* norm) const {
  if (activation_ != Activation::silu || gate.bias || up.bias) {
    auto in = normed(x, norm);
    return gated(activation_, gate(in), up(in));
  }
  return named(gate.weight, [&] {
    return kernels::linear_silu_gate(
        x, *gate.weight.value, *up.weight.value, norm_of(x, norm));
  });
}

array GatedMlp::operator()(const array& x) const {
  return down(inner(x, nullptr));
}

array GatedMlp::added_to(const array& x, const RmsNorm& norm) const {
  bool plain =
      activation_ == Activation::silu && !gate.bias && !up.bias && !down.bias;
  if (plain && node_.takes(x,
                           norm.norm_of(x),
                           *gate.weight.value,
                           *up.weight.value,
                           *down.weight.value)) {
    return node_(x);
  }
  return down.added_to(x, inner(x, &norm));
}

}  // namespace assay::nn
