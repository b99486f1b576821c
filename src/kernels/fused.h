#pragma once

// Small operations between matrix products, each one node of the graph on the
// CPU, where MLX makes each of many: at one token a step, making and queueing
// nodes costs more than computing them. On Metal and CUDA they are MLX's own.
// Gradients are those of MLX's operations.

#include <optional>
#include <vector>

#include <mlx/array.h>

namespace assay::kernels {

/** x / sqrt(mean(x^2) + eps) * weight, over the last axis (Zhang and Sennrich
 * 2019). weight [width]. */
mlx::core::array rms_norm(const mlx::core::array& x,
                          const mlx::core::array& weight,
                          float eps);

/** The norm that a node does before its own work: rms_norm(x, weight, eps). */
struct Norm {
  mlx::core::array weight;  ///< [width]
  float eps = 0;
};

/** Steps of the angles of rotated pairs, the inverse of frequencies. On a GPU
 * they are one array, made when it is first asked for: making one a token and
 * layer costs more than the rotation. Not for several threads at once. */
class RopePeriods {
 public:
  RopePeriods() = default;
  explicit RopePeriods(std::vector<float> periods)
      : periods_(std::move(periods)) {}

  const std::vector<float>& values() const { return periods_; }
  size_t size() const { return periods_.size(); }
  /** [size()] float32. */
  const mlx::core::array& array() const;

 private:
  std::vector<float> periods_;
  mutable std::optional<mlx::core::array> array_;
};

/** What rope() takes beside x. */
struct RopeAt {
  const RopePeriods& periods;
  bool interleaved = false;
  int offset = 0;
  float scale = 1;
};

/** Rotates x [batch, heads, length, dim] (Su et al. 2021): of the first 2 *
 * periods.size() values of each head, pair i turns by position / periods[i];
 * pairs are neighbours if `interleaved`, else from two halves. Positions are
 * `offset`, `offset` + 1... Rotated values are multiplied by `scale`. */
mlx::core::array rope(const mlx::core::array& x,
                      const RopePeriods& periods,
                      bool interleaved,
                      int offset,
                      float scale);

/** log(sum(exp(x))) over the last axis, which stays as 1 if `keepdims`. On the
 * CPU all threads share it: MLX's is one value at a time on one thread. */
mlx::core::array logsumexp(const mlx::core::array& x, bool keepdims = false);

/** gate * sigmoid(gate) * up, of one shape. */
mlx::core::array silu_gate(const mlx::core::array& gate,
                           const mlx::core::array& up);

}  // namespace assay::kernels
