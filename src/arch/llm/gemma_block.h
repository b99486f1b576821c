#pragma once

// The block of Gemma 2 and 3: norms before and after both attention and MLP,
// each stored as its difference from one.

#include "assay/nn/attention.h"

namespace assay::arch {

class GemmaBlock : public nn::Module {
 public:
  GemmaBlock(const nn::AttentionConfig& attention,
             std::unique_ptr<nn::GatedMlp> mlp)
      : attention_(attention),
        mlp_(std::move(mlp)),
        before_attention_(attention.width, attention.norm_eps, 1),
        after_attention_(attention.width, attention.norm_eps, 1),
        before_mlp_(attention.width, attention.norm_eps, 1),
        after_mlp_(attention.width, attention.norm_eps, 1) {
    add("self_attn", attention_, {.gguf = ""});
    add("mlp", *mlp_, {.gguf = ""});
    add("input_layernorm", before_attention_, {.gguf = "attn_norm"});
    add("post_attention_layernorm",
        after_attention_,
        {.gguf = "post_attention_norm"});
    add("pre_feedforward_layernorm", before_mlp_, {.gguf = "ffn_norm"});
    add("post_feedforward_layernorm", after_mlp_, {.gguf = "post_ffw_norm"});
  }

  nn::array operator()(const nn::array& x, nn::KVCache* cache) const {
    auto h = x + after_attention_(attention_(before_attention_(x), cache));
    return h + after_mlp_((*mlp_)(before_mlp_(h)));
  }

  nn::CacheShape cache_shape() const { return attention_.cache_shape(); }
  const nn::Rope& rope() const { return attention_.rope(); }

 private:
  nn::Attention attention_;
  std::unique_ptr<nn::GatedMlp> mlp_;
  nn::RmsNorm before_attention_, after_attention_, before_mlp_, after_mlp_;
};

}  // namespace assay::arch
