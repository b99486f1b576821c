#pragma once

// The way back of tokenizer_json_from_gguf: a tokenizer.json as GGUF metadata.

#include "assay/formats/gguf.h"
#include "assay/formats/model_files.h"

namespace assay {

/** The tokenizer.* metadata of a model with a tokenizer.json: byte-level BPE
 * ("gpt2" with the name of its splitting) and SentencePiece BPE ("llama",
 * scores made from the order of merges). What was written is read back and
 * must encode a test text to the same ids. Throws Error tokenizer.missing,
 * tokenizer.malformed, or tokenizer.unsupported for a tokenizer that GGUF
 * cannot say. */
GgufMetadata tokenizer_to_gguf(const ModelFiles& model);

}  // namespace assay
