#pragma once

// What an architecture's tree declares, held against what the headers list:
// the declared check. inspect takes sizes and roles from it, check findings.

#include <string>
#include <vector>

#include "assay/arch/architecture.h"
#include "assay/core/finding.h"
#include "assay/nn/loader.h"

namespace assay {

/** A parameter and the tensors that hold it. */
struct Match {
  const nn::ParameterSpec* spec = nullptr;
  nn::Location location;
  /** What the stored shapes give; that declared where they do not apply. */
  Shape shape;
};

struct Declared {
  std::vector<Match> matches;                     ///< in the order of the tree
  std::vector<const nn::ParameterSpec*> missing;  ///< not the optional ones
  /** Stored tensors that no parameter is made of and the architecture does
   * not know as superfluous. */
  std::vector<const TensorInfo*> unexpected;
  /** Those that it knows as superfluous. */
  std::vector<const TensorInfo*> ignored;
  /** tensor.missing, tensor.unexpected, shape.mismatch, tensor.dtype,
   * quantization.*. Of many alike, the first few and a count. */
  std::vector<Finding> findings;
};

/** `tree` and `model` must outlive the result. Throws Error for a
 * quantization block that can't be read (quantization.unsupported,
 * config.invalid-value). */
Declared hold_against_tree(const arch::Tree& tree, const ModelFiles& model);

/** Every tensor that a location names: sources, scales, biases. */
std::vector<const TensorInfo*> tensors_of(const ModelFiles& model,
                                          const nn::Location& location);

/** Keeps the first `shown` findings of an id; the rest become one that counts
 * them. */
std::vector<Finding> shorten(std::vector<Finding> findings, size_t shown = 5);

/** The number in a tensor's or parameter's name that says which layer it is
 * of: its first path segment of digits; nothing if there is none. */
std::optional<int64_t> layer_of(std::string_view name);

}  // namespace assay
