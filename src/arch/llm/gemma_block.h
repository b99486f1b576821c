#pragma once

// What Gemma 2 and 3 share: the block, with norms before and after both
// attention and MLP, each stored as its difference from one; the frame, with
// scaled embeddings and soft caps.

#include <optional>

#include "assay/arch/llm/common.h"
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

/** The model of either version. `qk_norm`: norms of q and k, or none. `rule`:
 * which layers slide where the config has no list. `sliding_rope`: rotary
 * settings of these layers, if they have their own. */
std::unique_ptr<nn::LanguageModel> build_gemma(
    const ConfigReader& config,
    nn::AttentionConfig::Norm qk_norm,
    bool (*rule)(const ConfigReader&, int layer),
    const std::optional<nn::RopeConfig>& sliding_rope);

/** The scale of queries is not in GGUF metadata: it is that of the head, but
 * for the 27B model (told by its layers), whose heads are narrower than the
 * width would make them. */
void gemma_query_scale_from_gguf(Json& config, int layers_of_27b);

}  // namespace assay::arch
