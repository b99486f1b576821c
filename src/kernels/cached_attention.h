#pragma once

// Attention that writes to the cache it reads: rotation of queries and keys,
// the new positions' place in the cache and the attention itself, one node of
// the graph on the CPU. A cache is written to where it lies; with MLX's own
// operations, which copy what a step still under way may read, every token
// would copy it whole. On Metal and CUDA they are MLX's operations.

#include <optional>

#include <mlx/array.h>

#include "assay/kernels/fused.h"

namespace assay::kernels {

/** `store` [batch, heads, capacity, dim] with `fresh` [batch, heads, length,
 * dim] at `position`, cast to its type. `unread`: nothing that is still to run
 * reads what is written over, so that even a store that others hold need not be
 * copied. */
mlx::core::array append(const mlx::core::array& store,
                        const mlx::core::array& fresh,
                        int position,
                        bool unread);

/** A cache and what attention makes of it. */
struct CacheStep {
  /// [batch, kv_heads, capacity, dim and value_dim], float32, float16 or bf16
  mlx::core::array keys, values;
  int position = 0;     ///< where the new keys and values go
  int remembered = 0;   ///< positions of the stores in use, these among them
  bool unread = false;  ///< see append
  std::optional<RopeAt> rope = {};  ///< of queries and new keys
  std::optional<mlx::core::array> sinks = {};
  float scale = 1;
  float softcap = 0;
};

struct CachedAttentionInputs {
  /// [batch, heads or kv_heads, length, dim and value_dim]
  mlx::core::array q, k, v;
  CacheStep step;
};

struct CachedAttention {
  mlx::core::array out;  ///< [batch, length, heads * value_dim], float32
  mlx::core::array keys, values;  ///< the stores with k and v in them
};

/** Attention to all that is remembered; of several positions none looks past
 * itself, and they are the last ones. */
CachedAttention cached_attention(const CachedAttentionInputs& inputs);

}  // namespace assay::kernels
