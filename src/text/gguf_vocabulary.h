#pragma once

// A vocabulary as GGUF stores it, checked; what every kind of tokenizer that
// is made from it begins with.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "assay/formats/gguf.h"

namespace assay {

/** tokenizer.ggml.token_type. */
enum class TokenType {
  undefined = 0,
  normal = 1,
  unknown = 2,
  control = 3,
  user_defined = 4,
  unused = 5,
  byte = 6,
};

struct GgufVocabulary {
  struct Token {
    std::string text;
    double score = 0;
    TokenType type = TokenType::normal;
    /** Fills the embedding up to a round size; no token of the tokenizer. */
    bool padding = false;
  };

  std::string where;  ///< for findings
  std::string model;  ///< tokenizer.ggml.model
  std::string architecture;
  std::string pre;  ///< tokenizer.ggml.pre, or empty
  std::vector<Token> tokens;
  bool has_scores = false;
  std::optional<int32_t> bos, eos, unk, pad, sep, mask;
  bool add_bos = false, add_eos = false, add_space_prefix = true;

  /** Of the tokens that are no padding. Views into `tokens`. */
  std::unordered_map<std::string_view, int32_t> ids() const;
  const std::string& text(int32_t id) const;
  bool is_sentencepiece_bpe() const {
    return model == "llama" || model == "gemma4";
  }
};

/** Throws Error tokenizer.missing (no vocabulary in the file),
 * tokenizer.unsupported (model or pre that are not known),
 * tokenizer.malformed (lengths that differ, ids out of range...). */
GgufVocabulary read_gguf_vocabulary(const GgufMetadata& metadata,
                                    std::string_view where);

/** The same without holding the tokens against each other, for what asks for a
 * few of them beside the vocabulary itself. */
GgufVocabulary read_gguf_names(const GgufMetadata& metadata,
                               std::string_view where);

using Merge = std::pair<std::string, std::string>;

/** tokenizer.ggml.merges, each split in two. */
std::vector<Merge> gguf_merges(const GgufMetadata& metadata,
                               const GgufVocabulary& vocabulary);

/** The merges that a SentencePiece BPE vocabulary implies: every cut of a
 * piece into two pieces, best score first; of equal scores longer halves
 * first (as transformers orders them). Pieces that the user defined come
 * before all others, by id: SentencePiece never cuts them. */
std::vector<Merge> merges_from_scores(const GgufVocabulary& vocabulary);

}  // namespace assay
