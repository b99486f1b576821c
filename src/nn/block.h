#pragma once

// The decoder block that most architectures share: norm, attention, norm, MLP,
// each added to what came in.

#include <memory>
#include <utility>

#include <mlx/ops.h>

#include "assay/nn/attention.h"

namespace assay::nn {

struct BlockOptions {
  const char* mlp_name = "mlp";
  /** What GGUFs call the norm before the MLP. */
  const char* gguf_mlp_norm = "ffn_norm";
  float residual_scale = 1;
};

/** x + m * attention(norm(x)), then x + m * mlp(norm(x)), with the residual
 * multiplier m. `Mlp` is a Module with `array operator()(const array&) const`.
 */
template <class Mlp>
class PreNormBlock : public Module {
 public:
  PreNormBlock(const AttentionConfig& attention,
               float norm_eps,
               std::unique_ptr<Mlp> mlp,
               const BlockOptions& options = {})
      : attention_(attention),
        mlp_(std::move(mlp)),
        attention_norm_(attention.width, norm_eps),
        mlp_norm_(attention.width, norm_eps),
        residual_scale_(options.residual_scale) {
    add("self_attn", attention_, {.gguf = ""});
    add(options.mlp_name, *mlp_, {.gguf = ""});
    add("input_layernorm", attention_norm_, {.gguf = "attn_norm"});
    add("post_attention_layernorm", mlp_norm_, {.gguf = options.gguf_mlp_norm});
  }

  array operator()(const array& x, KVCache* cache) const {
    auto h = residual_scale_ == 1
                 ? attention_.added_to(x, attention_norm_, cache)
                 : residual(x, attention_(attention_norm_(x), cache));
    if constexpr (requires { mlp_->added_to(h, mlp_norm_); }) {
      if (residual_scale_ == 1) {
        return mlp_->added_to(h, mlp_norm_);
      }
    }
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
