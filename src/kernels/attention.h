#pragma once

// Scaled dot-product attention over keys and values as a cache holds them. On
// the CPU one node of the graph: grouped heads share what they read, scores are
// never stored whole, quantized and half-precision caches are decoded a tile at
// a time. On Metal and CUDA it is MLX's own.

#include <optional>

#include <mlx/array.h>

#include "assay/kernels/linear.h"

namespace assay::kernels {

struct AttentionInputs {
  mlx::core::array q;  ///< [batch, heads, length, dim]
  /// [batch, kv_heads, positions, dim and value_dim], plain or affine-quantized
  Weight keys, values;
  /** Boolean, broadcastable to [batch, heads, length, positions]: where a query
   * may look. */
  std::optional<mlx::core::array> mask = {};
  /** Query i of the last `length` positions looks no further than its own. */
  bool causal = false;
  /** [heads]: a logit that takes part in the softmax and has no value. */
  std::optional<mlx::core::array> sinks = {};
  float scale = 1;
  float softcap = 0;  ///< scores become cap * tanh(score / cap); 0: not
};

/** [batch, heads, length, value_dim]; float32 on the CPU, else the type of q.
 * A query that may look nowhere gives NaN, or zero if there are sinks. */
mlx::core::array attention(const AttentionInputs& inputs);

}  // namespace assay::kernels
