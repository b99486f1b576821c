#pragma once

// The settings of a model as GGUF metadata and as Hugging Face's config.json:
// one table, read in both directions. What is particular to an architecture
// is in rows that its own file passes in.
// Facts: gguf-py's constants.py and llama.cpp's converter.

#include <span>
#include <string_view>

#include "assay/core/json.h"
#include "assay/formats/gguf.h"

namespace assay {

/** One setting in both spellings. */
struct GgufKey {
  enum class Kind {
    integer,  ///< u32; an array of integers where it differs by layer
    number,   ///< f32
    boolean,
    text,
    gating,  ///< 1, 2 <-> "softmax", "sigmoid"
  };
  /** "{arch}.context_length"; "{arch}" stands for general.architecture. */
  std::string_view gguf;
  /** "hidden_size", "rope_scaling.factor"; empty in an extra row: the key is
   * left alone in both directions. */
  std::string_view config;
  Kind kind = Kind::integer;
  /** Numbers: value in config.json = value in GGUF * scale. */
  double scale = 1;
  /** JSON text of what GGUF's readers take when the key is absent ("10000.0");
   * empty: the field is then left out. Only for defaults that the format or
   * its reference reader defines. */
  std::string_view absent = "";
};

/** The rows that hold for every architecture. */
std::span<const GgufKey> gguf_keys();

/** A config.json out of metadata, in the spelling of transformers 4
 * (`rope_theta`, `rope_scaling`). A row of `extra` replaces the general rows
 * with the same GGUF key or the same config field. Beyond the rows:
 * - num_key_value_heads is num_attention_heads where head_count_kv is absent
 *   (the format defines it so);
 * - vocab_size is the length of tokenizer.ggml.tokens where there is no key;
 * - partial_rotary_factor is rope.dimension_count over the head dimension
 *   where they differ;
 * - rope_scaling is left out for "none", and is "linear" for a factor alone.
 * A float32 becomes the shortest decimal that means the same float32: 1e-06,
 * not 9.999999974752427e-07. Fields that GGUF has no key for (model_type,
 * hidden_act, tie_word_embeddings...) are the caller's. Throws Error
 * gguf.no-architecture, gguf.metadata-type. */
Json config_from_gguf(const GgufMetadata& metadata,
                      std::span<const GgufKey> extra = {});

/** The way back: metadata with general.architecture = `gguf_arch` and every
 * row whose field `config` has. Takes both spellings of RoPE settings
 * (`rope_parameters`, per layer type too). Of several eos_token_id the first
 * is written. RoPE of type "llama3" has no keys: its factors are a tensor, the
 * caller's. Throws Error config.invalid-value for a value of another kind,
 * gguf.no-equivalent for RoPE scaling that GGUF cannot say. */
GgufMetadata metadata_from_config(const Json& config,
                                  std::string_view gguf_arch,
                                  std::span<const GgufKey> extra = {});

}  // namespace assay
