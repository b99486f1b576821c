#pragma once

// The layers that architectures are made of. Each names its parameters once,
// and computes. Activations are [batch, length, width] unless said otherwise.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mlx/array.h>
#include <mlx/ops.h>

#include "assay/kernels/decoder_block.h"
#include "assay/kernels/fused.h"
#include "assay/nn/module.h"

namespace assay::nn {

using mlx::core::array;

/** What a Linear is for, and how other formats hold it. */
struct LinearOptions {
  bool bias = false;
  Role role = Role::mlp;
  bool quantizable = true;
  /** Steps from the format's tensor to weight [out, in] (and to bias, where
   * they are steps on rows). */
  std::vector<Step> hf_steps = {};
  std::vector<Step> gguf_steps = {};
};

/** y = x W^T + b; weight [out, in], bias [out]. */
class Linear : public Module {
 public:
  Linear(int in, int out, const LinearOptions& options = {});
  array operator()(const array& x) const;
  /** residual + y. */
  array added_to(const array& residual, const array& x) const;

  Parameter weight;
  std::optional<Parameter> bias;
};

/** Token embedding, weight [vocab, width]; also the output head of models
 * that tie the two. */
class Embedding : public Module {
 public:
  Embedding(int vocab, int width);
  /** ids [batch, length] to [batch, length, width], in `dtype`. */
  array operator()(const array& ids) const;
  /** x [..., width] to logits [..., vocab]. */
  array as_linear(const array& x) const;

  Parameter weight;
};

/** Root mean square norm (Zhang and Sennrich 2019): x / rms(x) * (offset + w).
 * Gemma stores w with offset 1; its GGUFs hold 1 + w. */
class RmsNorm : public Module {
 public:
  RmsNorm(int width, float eps, float offset = 0);
  array operator()(const array& x) const;
  /** Its weight in the type of x and its epsilon, for a node that norms x
   * itself. Not for several threads at once. */
  kernels::Norm norm_of(const array& x) const;

  Parameter weight;

 private:
  // What the weight was made into for a type: computed once, and a constant
  // from the second step on.
  struct Scale {
    array from, value;
  };
  mutable std::optional<Scale> scale_;
  float eps_, offset_;
};

/** x as it is where there is no norm. */
array normed(const array& x, const RmsNorm* norm);
/** For a node that norms x itself, or takes it as it is. */
std::optional<kernels::Norm> norm_of(const array& x, const RmsNorm* norm);

class LayerNorm : public Module {
 public:
  LayerNorm(int width, float eps);
  array operator()(const array& x) const;

  Parameter weight, bias;

 private:
  float eps_;
};

enum class Activation { silu, gelu, gelu_tanh, relu, relu_squared };

/** By the name in config.json ("silu", "gelu_pytorch_tanh"...). Throws Error
 * config.invalid-value. */
Activation activation_from_name(const std::string& name,
                                const std::string& where);
array activate(Activation activation, const array& x);
/** activate(gate) * up. */
array gated(Activation activation, const array& gate, const array& up);

/** down(act(gate(x)) * up(x)): the gated MLP of Llama and its kin. */
class GatedMlp : public Module {
 public:
  GatedMlp(int width, int inner, Activation activation, bool bias = false);
  array operator()(const array& x) const;
  /** x + the MLP's result for the normed x. */
  array added_to(const array& x, const RmsNorm& norm) const;

  Linear gate, up, down;

 private:
  /** What `down` takes, from x or from the normed x. */
  array inner(const array& x, const RmsNorm* norm) const;

  Activation activation_;
  mutable kernels::GatedMlpNode node_;  // for a few rows
};

/** The type in which `x` is computed with: parameters that are not matrices
 * are cast to it. */
array cast_like(const array& parameter, const array& x);

}  // namespace assay::nn
