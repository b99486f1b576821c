#pragma once

/* C interface of the Rust library `assay_text`: the `tokenizers` and
 * `minijinja` crates. No panic crosses it; every failure has a message. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Bytes (UTF-8) that Rust allocated; give them back with
 * assay_text_bytes_free. `data` is not null-terminated. */
typedef struct {
  uint8_t* data;
  size_t size;
  size_t capacity;
} assay_text_bytes;

/** Token ids that Rust allocated; give them back with assay_text_ids_free. */
typedef struct {
  uint32_t* data;
  size_t size;
  size_t capacity;
} assay_text_ids;

typedef struct assay_text_tokenizer assay_text_tokenizer;

/* Where a function takes `error`: on failure it holds the message, which the
 * caller frees; on success it is left alone. `out` is the other way round. */

void assay_text_bytes_free(assay_text_bytes bytes);
void assay_text_ids_free(assay_text_ids ids);

/** A tokenizer from the text of a tokenizer.json, or null. Its truncation and
 * padding settings are dropped: they are the caller's affair. */
assay_text_tokenizer* assay_text_tokenizer_from_json(const uint8_t* json,
                                                     size_t size,
                                                     assay_text_bytes* error);
void assay_text_tokenizer_free(assay_text_tokenizer* tokenizer);

bool assay_text_tokenizer_encode(const assay_text_tokenizer* tokenizer,
                                 const uint8_t* text,
                                 size_t size,
                                 bool add_special,
                                 assay_text_ids* out,
                                 assay_text_bytes* error);

/** Ids that the vocabulary lacks are left out. */
bool assay_text_tokenizer_decode(const assay_text_tokenizer* tokenizer,
                                 const uint32_t* ids,
                                 size_t size,
                                 bool skip_special,
                                 assay_text_bytes* out,
                                 assay_text_bytes* error);

/** The largest id (added tokens count) + 1. */
size_t assay_text_tokenizer_vocab_size(const assay_text_tokenizer* tokenizer);

/** False if there is no such token. */
bool assay_text_tokenizer_token_to_id(const assay_text_tokenizer* tokenizer,
                                      const uint8_t* token,
                                      size_t size,
                                      uint32_t* id);

/** False if there is no such id. */
bool assay_text_tokenizer_id_to_token(const assay_text_tokenizer* tokenizer,
                                      uint32_t id,
                                      assay_text_bytes* out);

/** JSON: {"model": "BPE", "added": [{"id", "content", "special"}...]}, the
 * tokens by id. */
bool assay_text_tokenizer_describe(const assay_text_tokenizer* tokenizer,
                                   assay_text_bytes* out,
                                   assay_text_bytes* error);

/** Renders a chat template with `context`, a JSON object (messages, tools,
 * bos_token...). Work, memory, output and depth are bounded. */
bool assay_text_chat_render(const uint8_t* source,
                            size_t source_size,
                            const uint8_t* context,
                            size_t context_size,
                            assay_text_bytes* out,
                            assay_text_bytes* error);

#ifdef __cplusplus
}
#endif
