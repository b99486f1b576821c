#pragma once

// Matrix products with weights as they are stored. On the CPU these are our
// own MLX primitives (float32 activations and sums, all threads); on Metal and
// CUDA they are MLX's operations as they are. The only place that asks which.
//
// Goals: results that differ from the textbook's float32 product no more than
// another order of the sum makes; weights read once for each product.
// Non-goals: gradients with respect to stored weights.
//
// Nothing here evaluates: shapes and types are checked when the graph is
// built, so all functions work on arrays that have no data. What does not fit
// throws std::invalid_argument in MLX's form: "[linear] Last dimension of x
// with shape (1,63) must match the input width of the weight with shape
// (32,64)".

#include <optional>

#include <mlx/array.h>

#include "assay/core/quantization.h"
#include "assay/kernels/matrix.h"

namespace assay::kernels {

/** A matrix [..., out, in] in one of the forms that files hold. */
struct Weight {
  /** float32, float16, bfloat16, or MLX's packed uint32 when quantized. */
  mlx::core::array data;
  /// [..., out, in / group]; float32, float16 or bfloat16 (affine), else uint8
  std::optional<mlx::core::array> scales = {};
  std::optional<mlx::core::array> biases = {};  ///< affine only, as scales
  Quantization quantization = {};               ///< meaningful with scales
  /** Each bias is exactly -2^(bits - 1) times its scale, as in blocks of Q4_0
   * and Q8_0: a product need not read them. */
  bool symmetric = false;
};

/** x [..., in] times the transpose of weight [out, in]: [..., out]. On the CPU
 * the result is float32 whatever the weight; elsewhere the type of x. */
mlx::core::array linear(const mlx::core::array& x, const Weight& weight);

/** The same with a weight for each expert, [count, out, in]. The batch axes of
 * x [batch..., rows, in] (all but its last two) are broadcast against
 * `experts`, as by MLX's gather_mm without indices for x. Result
 * [broadcast..., rows, out]: with x [tokens, 1, 1, in] and experts
 * [tokens, k] (the k chosen for each token), [tokens, k, 1, out]. An expert
 * that does not exist: std::out_of_range from eval. */
mlx::core::array gather_linear(const mlx::core::array& x,
                               const Weight& weight,
                               const mlx::core::array& experts);

/** Rows of a weight [vocab, width] by id, dequantized: [..., width]. On the
 * CPU float32, and an id that does not exist throws from eval; elsewhere the
 * type that MLX dequantizes to. */
mlx::core::array embed(const mlx::core::array& ids, const Weight& weight);

/** The whole weight as float32 (or `dtype`), computed in float32. */
mlx::core::array dequantize(const Weight& weight,
                            mlx::core::Dtype dtype = mlx::core::float32);

/** True if the default device is the CPU. */
bool on_cpu();

/** Type of activations on the default device, given the type of the weights:
 * float32 on the CPU, the weights' own elsewhere. */
mlx::core::Dtype activation_dtype(mlx::core::Dtype weights);

/** What few rows of activations are on the CPU; int16 unless chosen. */
void set_activations(Activations activations);
Activations activations();

/** Threads of the CPU kernels; 0: one a physical core. Takes effect before the
 * next product. */
void set_threads(int threads);
int threads();

}  // namespace assay::kernels
