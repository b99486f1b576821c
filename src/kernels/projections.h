#pragma once

// Products that belong together as one node of the graph on the CPU: their
// activations are brought into order once, the threads meet once, and what
// follows a product is done while its sums are in the cache. On Metal and CUDA
// they are MLX's operations one by one. Gradients with respect to activations
// are those of the operations that they stand for.

#include <optional>
#include <span>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/fused.h"
#include "assay/kernels/linear.h"

namespace assay::kernels {

/** linear(x, weight) for each of the weights, row-major in `shapes`, each as
 * large as that product; of the normed x where there is a norm. */
std::vector<mlx::core::array> linear_each(
    const mlx::core::array& x,
    std::span<const Weight* const> weights,
    const std::vector<mlx::core::Shape>& shapes,
    const std::optional<Norm>& norm = std::nullopt);

/** silu_gate(linear(x, gate), linear(x, up)), of the normed x where there is a
 * norm. */
mlx::core::array linear_silu_gate(
    const mlx::core::array& x,
    const Weight& gate,
    const Weight& up,
    const std::optional<Norm>& norm = std::nullopt);

/** residual + linear(x, weight); the residual has the shape of the product. */
mlx::core::array linear_add(const mlx::core::array& residual,
                            const mlx::core::array& x,
                            const Weight& weight);

}  // namespace assay::kernels
