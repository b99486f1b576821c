#pragma once

// What top-p (nucleus) sampling keeps of a row of log-probabilities, without
// sorting all of it on the CPU. On Metal and CUDA it is MLX's sort.

#include <mlx/array.h>

namespace assay::kernels {

/** The smallest that is kept, [1]: of `logprobs` [n], the likeliest that
 * together have the share `top_p` of all probability, among them the one that
 * reaches it (Holtzman et al. 2020). All of them, minus infinity, where one is
 * no number. */
mlx::core::array least_in_top_p(const mlx::core::array& logprobs, float top_p);

}  // namespace assay::kernels
