#pragma once

// The halves of a decoder block, each one node of the graph on the CPU for one
// position a step: making, queueing and giving back nodes takes a tenth of a
// decode step, and the threads wait meanwhile. Elsewhere, and for weights that
// one node cannot hold, the nodes of projections and cached_attention serve;
// gradients are theirs.

#include <memory>

#include <mlx/array.h>

#include "assay/kernels/cached_attention.h"
#include "assay/kernels/fused.h"
#include "assay/kernels/linear.h"

namespace assay::kernels {

struct GatedMlpWork;
struct SelfAttentionWork;

/** x + linear(silu_gate(linear(n, gate), linear(n, up)), down) where n is the
 * normed x. Not for several threads at once. */
class GatedMlpNode {
 public:
  /** Whether one node can compute this for x [..., width]; it then keeps the
   * weights until it is asked for others. */
  bool takes(const mlx::core::array& x,
             const Norm& norm,
             const Weight& gate,
             const Weight& up,
             const Weight& down);
  /** The node for an x that it takes. */
  mlx::core::array operator()(const mlx::core::array& x) const;

 private:
  std::shared_ptr<const GatedMlpWork> work_;
};

/** The weights of a self-attention without biases: heads * dim, kv_heads * dim
 * and kv_heads * dim rows, and the way back. */
struct SelfAttentionWeights {
  const Weight &q, &k, &v, &out;
  int heads = 0;
  int kv_heads = 0;
};

/** x + linear(cached_attention(q, k, v), out) where q, k and v are those of the
 * normed x. Not for several threads at once. */
class SelfAttentionNode {
 public:
  /** As in GatedMlpNode, for x [batch, 1, width]. */
  bool takes(const mlx::core::array& x,
             const Norm& norm,
             const SelfAttentionWeights& weights);
  /** The node for an x that it takes, and the stores. Throws
   * std::invalid_argument for a step that does not fit. */
  CachedAttention operator()(const mlx::core::array& x,
                             const CacheStep& step) const;

 private:
  std::shared_ptr<const SelfAttentionWork> work_;
};

}  // namespace assay::kernels
