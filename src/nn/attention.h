#pragma once

// Scaled dot-product attention over a KV cache (Vaswani et al. 2017), with
// grouped heads, sliding windows, logit soft caps and attention sinks.

#include <optional>

#include <mlx/array.h>

#include "assay/kernels/decoder_block.h"
#include "assay/nn/cache.h"
#include "assay/nn/layers.h"
#include "assay/nn/rope.h"

namespace assay::nn {

struct AttentionSpec {
  float scale = 1;
  /** Queries see only the last `window` positions; 0: all. */
  int window = 0;
  /** Scores become cap * tanh(score / cap); 0: not. */
  float softcap = 0;
  /** One logit a head that takes part in the softmax and has no value
   * (gpt-oss), [heads]. */
  std::optional<array> sinks = std::nullopt;
};

/** q [batch, heads, length, dim], k and v [batch, kv_heads, length, dim].
 * Appends k and v to `cache`, or attends among themselves when it is null.
 * Result [batch, heads, length, value_dim]. */
array attention(const array& q,
                const array& k,
                const array& v,
                KVCache* cache,
                const AttentionSpec& spec);

/** [batch, length, heads * dim] to [batch, heads, length, dim], and back. */
array split_heads(const array& x, int heads);
array join_heads(const array& x);

/** What a self-attention block of the Llama family is made of. */
struct AttentionConfig {
  int width = 0;
  int heads = 0;
  int kv_heads = 0;
  int head_dim = 0;
  float scale = 0;        ///< 0: head_dim^-0.5
  bool qkv_bias = false;  ///< on q, k and v
  bool out_bias = false;
  int window = 0;
  float softcap = 0;
  bool use_rope = true;
  RopeConfig rope = {};
  /** GGUFs of this family hold q and k rows for interleaved rotation. */
  bool gguf_permuted = false;
  /** Norms of q and k: none, one over each head, or one over all heads. */
  enum class Norm { none, per_head, whole };
  Norm qk_norm = Norm::none;
  float norm_eps = 0;
  float norm_offset = 0;
  /** One learned sink a head. */
  bool sinks = false;
  /** q, k and v in one matrix, in this order (phi3). */
  bool fused_qkv = false;
};

/** Self attention with rotary positions: "q_proj", "k_proj", "v_proj",
 * "o_proj" (or "qkv_proj"), "q_norm", "k_norm", "sinks". */
class Attention : public Module {
 public:
  explicit Attention(const AttentionConfig& config);
  array operator()(const array& x, KVCache* cache) const;
  /** x + the result for the normed x. */
  array added_to(const array& x, const RmsNorm& norm, KVCache* cache) const;

  CacheShape cache_shape() const;
  const Rope& rope() const { return rope_; }

 private:
  struct Qkv {
    array q, k, v;
  };
  Qkv project(const array& x) const;
  /** q, k and v split into heads, of x or of the normed x. */
  Qkv project_heads(const array& x, const RmsNorm* norm) const;
  /** What o_proj takes. */
  array attended(const array& x, const RmsNorm* norm, KVCache* cache) const;
  /** The result of attend(step) for `length` more positions, which writes them
   * to the cache itself; nothing, and nothing is done, if they have no room
   * there as they are (KVCache::room). */
  template <class Attend>
  std::optional<array> in_cache(KVCache& cache,
                                int batch,
                                int length,
                                mlx::core::Dtype type,
                                const Attend& attend) const;
  /** x + the result for the normed x in one node, if it can be. */
  std::optional<array> one_node(const array& x,
                                const RmsNorm& norm,
                                KVCache& cache) const;

  AttentionConfig config_;
  std::optional<Linear> q_, k_, v_, qkv_;
  Linear o_;
  std::optional<RmsNorm> q_norm_, k_norm_;
  std::optional<Parameter> sinks_;
  Rope rope_;
  mutable kernels::SelfAttentionNode node_;  // for one position
};

}  // namespace assay::nn
