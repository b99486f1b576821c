#pragma once

// What nodes of products compute: the weights that they keep, the norm before
// and what follows a product. Nodes of one product and nodes that hold a part
// of a decoder block (projections, decoder_block) are made of the same.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/fused.h"
#include "assay/kernels/linear.h"
#include "assay/kernels/matrix.h"
#include "assay/kernels/node.h"
#include "assay/kernels/strided.h"

namespace assay::kernels {

/** A weight of a node: data, or data and scales, or these and biases. Constant
 * ones the node keeps for itself: every input is counted, sought and kept alive
 * at each step by MLX, which for the arrays of weights costs more than a small
 * product. Others stand among its inputs. */
struct Projection {
  Matrix matrix;
  Quantization quantization;
  size_t arrays = 1;
  Arrays constant;
  size_t first = 0;  ///< input, where they are not constant

  /** Whether it is this weight's, and keeps its arrays. */
  bool keeps(const Weight& weight) const;
  Weight weight(const Arrays& inputs) const;
  /** The matrix where it lies now; copies that it needs go to `kept`. */
  Matrix bound(const Arrays& inputs, std::vector<RowMajor>& kept) const;

 private:
  const mlx::core::array& part(const Arrays& inputs, size_t i) const {
    return constant.empty() ? inputs[first + i] : constant[i];
  }
};

/** Appends the weight's arrays to the inputs, unless they are constant. Throws
 * std::invalid_argument for what is no weight, or none for x. */
Projection project(const char* operation, const Weight& weight, Arrays& inputs);
Projection project(const char* operation,
                   const mlx::core::array& x,
                   const Weight& weight,
                   Arrays& inputs);

/** Whether one node can hold these products: on the CPU, of weights that meet
 * activations in the same order. */
bool one_node(std::span<const Weight* const> weights);

/** Whether a node would keep all arrays of the weight for itself. */
bool is_constant(const Weight& weight);
bool is_constant(const mlx::core::array& a);

/** The shape of x [..., in] times the weight: [..., out]. */
mlx::core::Shape product_shape(const mlx::core::array& x,
                               const Projection& projection);

/** The norm of a node, whose weight stands last among its inputs if it is not
 * constant. */
struct NormBefore {
  float eps = 0;
  std::optional<mlx::core::array> constant;

  const mlx::core::array& weight(const Arrays& inputs) const {
    return constant ? *constant : inputs.back();
  }
};

/** Appends the norm's weight to the inputs, unless it is constant. */
std::optional<NormBefore> norm_before(const mlx::core::array& x,
                                      const std::optional<Norm>& norm,
                                      Arrays& inputs);

/** Products of the rows of inputs[0], or of these normed. */
struct EachWork {
  std::vector<Projection> projections;
  std::optional<NormBefore> norm;

  void operator()(const Arrays& inputs, Arrays& outputs) const;
  /** Into `outputs`, one a product. */
  void compute(const Arrays& inputs, std::span<float* const> outputs) const;
};

/** silu_gate of two products of the rows of inputs[0], or of these normed. */
struct SiluWork {
  Projection gate, up;
  std::optional<NormBefore> norm;

  void operator()(const Arrays& inputs, mlx::core::array& out) const;
  void compute(const Arrays& inputs, float* out) const;
};

/** The last input and the product of the first one's rows. */
struct AddWork {
  Projection projection;

  void operator()(const Arrays& inputs, mlx::core::array& out) const;
  /** Of `rows` rows; `inputs` are for weights that are not constant. */
  void compute(const Arrays& inputs,
               const float* x,
               const float* residual,
               size_t rows,
               float* out) const;
};

}  // namespace assay::kernels
