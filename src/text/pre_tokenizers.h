#pragma once

// How byte-level BPE vocabularies split text before merging, by the name that
// GGUF has for it (tokenizer.ggml.pre). GGUF keeps the name alone, so the
// expressions have to be known here. Facts: the published tokenizer.json of
// the models that each name stands for; llama.cpp's llama-vocab.cpp.

#include <span>
#include <string_view>

namespace assay {

struct PreTokenizer {
  /** Expressions that split one after the other, each match a piece. */
  std::span<const std::string_view> splits = {};
  /** Then every digit alone. */
  bool digits = false;
  /** Last, ByteLevel: with the expression of GPT-2, or only as an alphabet. */
  bool gpt2_split = false;
  /** Text is brought to NFC first. */
  bool nfc = false;
  /** A piece that is a token is taken whole, merges or not. */
  bool ignore_merges = false;
  /** BOS is added unless the file says otherwise. */
  bool add_bos = false;
  /** A JSON array of pre-tokenizers that replaces all of the above. */
  std::string_view json = {};
};

/** Null for a name that is not known. */
const PreTokenizer* find_pre_tokenizer(std::string_view name);

}  // namespace assay
