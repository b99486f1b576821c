//! A tokenizer as Assay needs it: no truncation, no padding, ids that fit a
//! signed 32-bit integer and an embedding that a machine can hold.

use serde_json::json;
use tokenizers::models::ModelWrapper;

use crate::byte_pairs::BytePairTokenizer;

/// No vocabulary comes near it (XLM-V: 901,629); ids beyond are a broken or
/// hostile file, and whoever allocates by vocabulary size would pay for it.
const ID_LIMIT: u32 = 1 << 24;

/// The largest id + 1.
fn vocab_size_of(inner: &tokenizers::Tokenizer) -> Result<usize, String> {
    // Nearly always the ids are 0, 1, 2... as many as tokens. Asking for each
    // is cheaper than a copy of the vocabulary.
    let count = inner.get_vocab_size(true);
    if count <= ID_LIMIT as usize
        && (0..count as u32).all(|id| inner.id_to_token(id).is_some())
    {
        return Ok(count);
    }
    match inner.get_vocab(true).into_iter().max_by_key(|e| e.1) {
        None => Ok(0),
        Some((token, id)) if id >= ID_LIMIT => Err(format!(
            "token {token:?} has id {id}, the limit is {ID_LIMIT}"
        )),
        Some((_, id)) => Ok(id as usize + 1),
    }
}

/// The same where the model is read by `byte_pairs`, which has seen the ids.
fn byte_pairs(json: &[u8]) -> Option<(tokenizers::Tokenizer, usize)> {
    let read = serde_json::from_slice::<BytePairTokenizer>(json).ok()?;
    let added = read.get_added_tokens_decoder();
    let added = added.keys().map(|id| *id as usize + 1).max().unwrap_or(0);
    let vocab_size = read.get_model().ids().max(added);
    (vocab_size <= ID_LIMIT as usize).then(|| (read.into(), vocab_size))
}

pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocab_size: usize,
}

impl Tokenizer {
    pub fn from_json(json: &[u8]) -> Result<Self, String> {
        let (mut inner, vocab_size) = match byte_pairs(json) {
            Some(read) => read,
            None => {
                let inner = tokenizers::Tokenizer::from_bytes(json)
                    .map_err(|e| e.to_string())?;
                let vocab_size = vocab_size_of(&inner)?;
                (inner, vocab_size)
            }
        };
        inner.with_truncation(None).map_err(|e| e.to_string())?;
        inner.with_padding(None);
        Ok(Tokenizer { inner, vocab_size })
    }

    pub fn encode(
        &self,
        text: &str,
        add_special: bool,
    ) -> Result<Vec<u32>, String> {
        let encoding = self
            .inner
            .encode_fast(text, add_special)
            .map_err(|e| e.to_string())?;
        Ok(encoding.get_ids().to_vec())
    }

    pub fn decode(
        &self,
        ids: &[u32],
        skip_special: bool,
    ) -> Result<String, String> {
        self.inner
            .decode(ids, skip_special)
            .map_err(|e| e.to_string())
    }

    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    pub fn token_to_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    pub fn id_to_token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    pub fn describe(&self) -> String {
        let model = match self.inner.get_model() {
            ModelWrapper::BPE(_) => "BPE",
            ModelWrapper::WordPiece(_) => "WordPiece",
            ModelWrapper::WordLevel(_) => "WordLevel",
            ModelWrapper::Unigram(_) => "Unigram",
        };
        let mut added: Vec<_> =
            self.inner.get_added_tokens_decoder().into_iter().collect();
        added.sort_by_key(|(id, _)| *id);
        let added: Vec<_> = added
            .into_iter()
            .map(|(id, t)| json!({"id": id, "content": t.content, "special": t.special}))
            .collect();
        json!({"model": model, "added": added}).to_string()
    }
}
