#pragma once

// Mixture of experts: products with one matrix an expert. Routing belongs to
// each architecture.

#include <functional>

#include "assay/nn/layers.h"

namespace assay::nn {

/** How a format spells the experts of one projection, relative to the owner of
 * the experts: one tensor an expert, or one tensor for all. */
struct ExpertNames {
  std::vector<Source> weight_hf = {}, weight_gguf = {};
  std::vector<Source> bias_hf = {}, bias_gguf = {};
};

/** Weights without biases, in the usual spelling: "experts.0.HF.weight"... in
 * Hugging Face files, one tensor "GGUF.weight" for all in GGUFs. */
ExpertNames expert_names(int experts,
                         const std::string& hf,
                         const std::string& gguf);

/** A Linear for each expert: weight [experts, out, in], bias [experts, out]. */
class SwitchLinear : public Module {
 public:
  SwitchLinear(int experts, int in, int out, bool bias, ExpertNames names);
  /** x [..., rows, in] (rows usually 1), experts [..., k]; see
   * kernels::gather_linear. */
  array operator()(const array& x, const array& experts) const;

  Parameter weight;
  std::optional<Parameter> bias;
};

/** Which activation joins gate and up. */
using GluFunction = std::function<array(const array& gate, const array& up)>;
array swiglu(const array& gate, const array& up);

struct SwitchGluConfig {
  int experts = 0;
  int width = 0;
  int inner = 0;
  bool bias = false;
  GluFunction glu = swiglu;
  ExpertNames gate, up, down;
};

/** The gated MLP of every expert: "gate_proj", "up_proj", "down_proj". Its
 * owner adds it with an empty path in the other formats. */
class SwitchGlu : public Module {
 public:
  explicit SwitchGlu(SwitchGluConfig config);
  /** x [batch, length, width], experts [batch, length, k]:
   * [batch, length, k, width]. */
  array operator()(const array& x, const array& experts) const;

 private:
  GluFunction glu_;
  SwitchLinear gate_, up_, down_;
};

/** Indices of the k largest of the last axis, [..., k], in no order. */
array top_k(const array& scores, int k);

/** Sum over experts of y [..., k, width] by weights [..., k]. */
array mix(const array& y, const array& weights);

}  // namespace assay::nn
