#pragma once

// Tokenizer: text to token ids and back, by the `tokenizers` crate, from a
// tokenizer.json or from the vocabulary inside a GGUF.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/formats/model_files.h"

namespace assay {

/** A token beside the model's own vocabulary: matched whole in the text. */
struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool special = false;  ///< left out by decode(..., skip_special)
};

/** Immutable: several threads may use one. */
class Tokenizer {
 public:
  /** From the text of a tokenizer.json; its truncation and padding settings
   * are dropped. `where` names it in findings. Throws Error
   * tokenizer.malformed; ids of 2^24 and more are refused. */
  static Tokenizer from_json(std::string_view json, std::string_view where);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /** `add_special`: let the post-processor add BOS and the like. Special
   * tokens written in the text are recognised either way. Throws Error
   * tokenizer.failed (text that is not UTF-8). */
  std::vector<int32_t> encode(std::string_view text,
                              bool add_special = true) const;
  /** Ids that the vocabulary lacks are left out. */
  std::string decode(std::span<const int32_t> ids,
                     bool skip_special = true) const;

  /** The largest id + 1, added tokens counted. */
  size_t vocab_size() const;
  std::optional<int32_t> token_to_id(std::string_view token) const;
  std::optional<std::string> id_to_token(int32_t id) const;

  /** "BPE", "Unigram", "WordPiece" or "WordLevel". */
  std::string_view model_type() const;
  /** By id. */
  const std::vector<AddedToken>& added_tokens() const;
  bool is_special(int32_t id) const;

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/** Decodes a growing sequence: text comes out as soon as it is whole UTF-8 and
 * what follows can't change it. The pieces together are decode(all ids). Holds
 * a reference to the tokenizer. */
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}
  /** Text that this id completes; may be empty. */
  std::string push(int32_t id);
  /** What is left at the end (an incomplete character as U+FFFD). The decoder
   * is then as new. */
  std::string finish();

 private:
  std::string emit(size_t end);

  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::vector<int32_t> ids_;  ///< what is out and not looked at is dropped
  size_t read_ = 0;           ///< ids before it are out
};

/** Special tokens of a model, out of config.json, generation_config.json,
 * tokenizer_config.json or GGUF metadata. */
struct SpecialTokens {
  std::optional<int32_t> bos, pad, unk;
  std::vector<int32_t> eos;  ///< every id that ends a generation, no id twice
  std::string bos_text, eos_text, pad_text, unk_text;
  /** Other named tokens that templates may use (image_token...). */
  std::vector<std::pair<std::string, std::string>> others;
};

/** The tokenizer of a model: its tokenizer.json, or the one made from its GGUF
 * metadata. Throws Error tokenizer.missing, tokenizer.malformed or
 * tokenizer.unsupported. */
Tokenizer load_tokenizer(const ModelFiles& model);

/** Text from tokenizer_config.json (special_tokens_map.json where that has
 * none), ids from it and from config.json; `eos` joins generation_config.json
 * (else config.json) with the tokenizer's own. From a GGUF: its
 * tokenizer.ggml.*_token_id, end of turn and of message included; where it
 * names no end of turn, the control tokens known as such that its chat
 * template writes. Throws Error config.invalid-value, tokenizer.malformed. */
SpecialTokens special_tokens(const ModelFiles& model,
                             const Tokenizer& tokenizer);
/** Those of a model with `gguf`, for which no tokenizer is needed. */
SpecialTokens gguf_special_tokens(const ModelFiles& model);

/** tokenizer.json (text) equivalent to a GGUF's tokenizer metadata: gpt2
 * (byte-level BPE with its `pre`), llama (SentencePiece BPE with byte
 * fallback; merges are made from the scores where the file has none), gemma4,
 * t5 (unigram), bert (WordPiece). Facts: llama.cpp's llama-vocab.cpp and
 * converter, the converters of transformers. Throws Error tokenizer.missing,
 * tokenizer.malformed, tokenizer.unsupported with the value found. */
std::string tokenizer_json_from_gguf(const GgufMetadata& metadata,
                                     std::string_view where);

/** tokenizer_config.json (text) for the same: special tokens, flags, model
 * maximum length, chat template. */
std::string tokenizer_config_from_gguf(const GgufMetadata& metadata,
                                       std::string_view where);

/** What had to be assumed in making them: tokenizer.pre-assumed where the file
 * does not say how it splits text. */
std::vector<Finding> gguf_tokenizer_findings(const GgufMetadata& metadata,
                                             std::string_view where);

}  // namespace assay
