#pragma once

// The MLX primitives of this room: they run on CPU streams only, know their
// output's shape without data, and have gradients with respect to x.

#include <utility>
#include <vector>

#include <mlx/array.h>
#include <mlx/primitives.h>

#include "assay/kernels/linear.h"
#include "assay/kernels/matrix.h"

namespace assay::kernels {

/** What the primitives share: a weight among the inputs (data, scales, biases,
 * as many as it has) and the refusals. */
class WeightPrimitive : public mlx::core::Primitive {
 public:
  WeightPrimitive(mlx::core::Stream stream,
                  Matrix matrix,
                  Quantization quantization)
      : Primitive(stream),
        matrix_(matrix),
        quantization_(std::move(quantization)) {}

  void eval_gpu(const std::vector<mlx::core::array>& inputs,
                std::vector<mlx::core::array>& outputs) override;
  bool is_equivalent(const mlx::core::Primitive& other) const override;

 protected:
  /** The weight at inputs[first...]. */
  Weight weight(const std::vector<mlx::core::array>& inputs,
                size_t first) const;
  /** Throws unless the only argument is x, the first input. */
  void only_x(const std::vector<int>& argnums) const;

  Matrix matrix_;
  Quantization quantization_;
};

/** Inputs x, weight... */
class Linear : public WeightPrimitive {
 public:
  using WeightPrimitive::WeightPrimitive;
  const char* name() const override { return "Linear"; }
  std::vector<mlx::core::array> vjp(
      const std::vector<mlx::core::array>& primals,
      const std::vector<mlx::core::array>& cotangents,
      const std::vector<int>& argnums,
      const std::vector<mlx::core::array>& outputs) override;
  std::vector<mlx::core::array> jvp(
      const std::vector<mlx::core::array>& primals,
      const std::vector<mlx::core::array>& tangents,
      const std::vector<int>& argnums) override;
  void eval_cpu(const std::vector<mlx::core::array>& inputs,
                std::vector<mlx::core::array>& outputs) override;
  std::vector<mlx::core::Shape> output_shapes(
      const std::vector<mlx::core::array>& inputs) override;
};

/** Inputs x, experts, weight... */
class GatherLinear : public WeightPrimitive {
 public:
  using WeightPrimitive::WeightPrimitive;
  const char* name() const override { return "GatherLinear"; }
  std::vector<mlx::core::array> vjp(
      const std::vector<mlx::core::array>& primals,
      const std::vector<mlx::core::array>& cotangents,
      const std::vector<int>& argnums,
      const std::vector<mlx::core::array>& outputs) override;
  std::vector<mlx::core::array> jvp(
      const std::vector<mlx::core::array>& primals,
      const std::vector<mlx::core::array>& tangents,
      const std::vector<int>& argnums) override;
  void eval_cpu(const std::vector<mlx::core::array>& inputs,
                std::vector<mlx::core::array>& outputs) override;
  std::vector<mlx::core::Shape> output_shapes(
      const std::vector<mlx::core::array>& inputs) override;
};

/** Inputs ids, weight...: rows by id. */
class Embed : public WeightPrimitive {
 public:
  using WeightPrimitive::WeightPrimitive;
  const char* name() const override { return "Embed"; }
  void eval_cpu(const std::vector<mlx::core::array>& inputs,
                std::vector<mlx::core::array>& outputs) override;
  std::vector<mlx::core::Shape> output_shapes(
      const std::vector<mlx::core::array>& inputs) override;
};

/** Inputs weight...: all rows. */
class Dequantize : public WeightPrimitive {
 public:
  using WeightPrimitive::WeightPrimitive;
  const char* name() const override { return "Dequantize"; }
  void eval_cpu(const std::vector<mlx::core::array>& inputs,
                std::vector<mlx::core::array>& outputs) override;
  std::vector<mlx::core::Shape> output_shapes(
      const std::vector<mlx::core::array>& inputs) override;
};

}  // namespace assay::kernels
