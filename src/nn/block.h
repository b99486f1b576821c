#pragma once

// The decoder block that most architectures share: norm, attention, norm, MLP,
// each added to what came in.

#include <mlx/ops.h>

#include <memory>
#include <utility>

#include "assay/nn/attention.h"

namespace assay::nn {

/** x + m * attention(norm(x)), then x + m * mlp(norm(x)), with the residual
 * multiplier m. `Mlp` is a Module with `array operator()(const array&) const`.
 */
template <class Mlp>
class PreNormBlock : public Module {
 public:
  /** `mlp_names`: what other formats call the path of the MLP. */
  PreNormBlock(const AttentionConfig& attention,
               float norm_eps,
               std::unique_ptr<Mlp> mlp,
               const char* mlp_name = "mlp",
               float residual_scale = 1)
      : attention_(attention),
        mlp_(std::move(mlp)),
        attention_norm_(attention.width, norm_eps),
        mlp_norm_(attention.width, norm_eps),
        residual_scale_(residual_scale) {
    add("self_attn", attention_, {.gguf = ""});
    add(mlp_name, *mlp_, {.gguf = ""});
    add("input_layernorm", attention_norm_, {.gguf = "attn_norm"});
    add("post_attention_layernorm", mlp_norm_, {.gguf = "ffn_norm"});
  }

  array operator()(const array& x, KVCache* cache) const {
    auto h = residual(x, attention_(attention_norm_(x), cache));
    return residual(h, (*mlp_)(mlp_norm_(h)));
  }

  CacheShape cache_shape() const { return attention_.cache_shape(); }
  const Rope& rope() const { return attention_.rope(); }

 private:
  array residual(const array& x, const array& y) const {
    return residual_scale_ == 1 ? x + y
                                : x + y * array(residual_scale_, y.dtype());
  }

  Attention attention_;
  std::unique_ptr<Mlp> mlp_;
  RmsNorm attention_norm_, mlp_norm_;
  float residual_scale_;
};

}  // namespace assay::nn
