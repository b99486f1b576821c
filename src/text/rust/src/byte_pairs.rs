//! Byte-pair models read straight from the file. The crate reads every model
//! through a tree of JSON values, which costs more than the model itself.
//! What is not plainly such a model is an error here, and the crate's to read
//! or to refuse.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::de::{
    Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor,
};
use tokenizers::models::bpe::{BpeBuilder, BpeTrainer, Merges, Vocab, BPE};
use tokenizers::models::ModelWrapper;
use tokenizers::{
    DecoderWrapper, Model, NormalizerWrapper, PostProcessorWrapper,
    PreTokenizerWrapper, Result, Token, TokenizerImpl,
};

/// A tokenizer.json whose model is one of byte pairs.
pub type BytePairTokenizer = TokenizerImpl<
    BytePairs,
    NormalizerWrapper,
    PreTokenizerWrapper,
    PostProcessorWrapper,
    DecoderWrapper,
>;

pub struct BytePairs {
    model: BPE,
    /// The largest id + 1.
    ids: usize,
}

impl BytePairs {
    pub fn ids(&self) -> usize {
        self.ids
    }
}

impl From<BytePairs> for ModelWrapper {
    fn from(pairs: BytePairs) -> Self {
        ModelWrapper::BPE(pairs.model)
    }
}

impl Model for BytePairs {
    type Trainer = BpeTrainer;

    fn tokenize(&self, sequence: &str) -> Result<Vec<Token>> {
        self.model.tokenize(sequence)
    }

    fn token_to_id(&self, token: &str) -> Option<u32> {
        self.model.token_to_id(token)
    }

    fn id_to_token(&self, id: u32) -> Option<String> {
        self.model.id_to_token(id)
    }

    fn get_vocab(&self) -> HashMap<String, u32> {
        self.model.get_vocab()
    }

    fn get_vocab_size(&self) -> usize {
        self.model.get_vocab_size()
    }

    fn save(
        &self,
        folder: &Path,
        prefix: Option<&str>,
    ) -> Result<Vec<PathBuf>> {
        self.model.save(folder, prefix)
    }

    fn get_trainer(&self) -> BpeTrainer {
        self.model.get_trainer()
    }
}

impl<'de> Deserialize<'de> for BytePairs {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_map(ModelVisitor)
    }
}

struct ModelVisitor;

impl<'de> Visitor<'de> for ModelVisitor {
    type Value = BytePairs;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a model of byte pairs")
    }

    fn visit_map<A: MapAccess<'de>>(
        self,
        mut map: A,
    ) -> std::result::Result<BytePairs, A::Error> {
        let mut builder = BpeBuilder::new();
        let mut entries: Option<Entries> = None;
        let mut merges: Option<Pairs> = None;
        while let Some(key) = map.next_key::<Cow<str>>()? {
            match key.as_ref() {
                "type" => {
                    if map.next_value::<Cow<str>>()? != "BPE" {
                        return Err(A::Error::custom("another model"));
                    }
                }
                "dropout" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.dropout(value);
                    }
                }
                "unk_token" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.unk_token(value);
                    }
                }
                "continuing_subword_prefix" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.continuing_subword_prefix(value);
                    }
                }
                "end_of_word_suffix" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.end_of_word_suffix(value);
                    }
                }
                "fuse_unk" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.fuse_unk(value);
                    }
                }
                "byte_fallback" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.byte_fallback(value);
                    }
                }
                "ignore_merges" => {
                    if let Some(value) = map.next_value()? {
                        builder = builder.ignore_merges(value);
                    }
                }
                "vocab" => entries = Some(map.next_value()?),
                "merges" => merges = Some(map.next_value()?),
                _ => return Err(A::Error::custom("a field of another model")),
            }
        }
        let (Some(entries), Some(merges)) = (entries, merges) else {
            return Err(A::Error::custom("no vocabulary, or no merges"));
        };
        let ids = entries.0.iter().map(|(_, id)| *id as usize + 1).max();
        let mut vocab = Vocab::with_capacity(entries.0.len());
        vocab.extend(entries.0);
        let model = builder
            .vocab_and_merges(vocab, merges.0)
            .build()
            .map_err(A::Error::custom)?;
        Ok(BytePairs { model, ids: ids.unwrap_or(0) })
    }
}

/// The vocabulary in the order of the file, so that its map is made once, at
/// its size.
struct Entries(Vec<(String, u32)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("tokens with their ids")
            }

            fn visit_map<A: MapAccess<'de>>(
                self,
                mut map: A,
            ) -> std::result::Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}

/// Merges as pairs, or as texts with a space in between; all in one way.
struct Pairs(Merges);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        struct PairsVisitor;
        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("merges")
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Pairs, A::Error> {
                let mut merges = Merges::new();
                let mut texts = 0;
                while let Some(merge) = list.next_element::<Merge>()? {
                    texts += usize::from(merge.is_text);
                    merges.push(merge.pair);
                }
                if texts != 0 && texts != merges.len() {
                    return Err(A::Error::custom("merges of two kinds"));
                }
                Ok(Pairs(merges))
            }
        }
        deserializer.deserialize_seq(PairsVisitor)
    }
}

struct Merge {
    pair: (String, String),
    is_text: bool,
}

impl<'de> Deserialize<'de> for Merge {
    fn deserialize<D: Deserializer<'de>>(
        deserializer: D,
    ) -> std::result::Result<Self, D::Error> {
        struct MergeVisitor;
        impl<'de> Visitor<'de> for MergeVisitor {
            type Value = Merge;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("two tokens")
            }

            fn visit_str<E: Error>(
                self,
                text: &str,
            ) -> std::result::Result<Merge, E> {
                let mut parts = text.split(' ');
                match (parts.next(), parts.next(), parts.next()) {
                    // The crate leaves a line "#version" out.
                    (Some(a), Some(b), None) if !a.starts_with("#version") => {
                        Ok(Merge {
                            pair: (a.to_string(), b.to_string()),
                            is_text: true,
                        })
                    }
                    _ => Err(E::custom("another merge")),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(
                self,
                mut list: A,
            ) -> std::result::Result<Merge, A::Error> {
                let (a, b) = (list.next_element()?, list.next_element()?);
                let (Some(a), Some(b)) = (a, b) else {
                    return Err(A::Error::custom("fewer than two tokens"));
                };
                Ok(Merge { pair: (a, b), is_text: false })
            }
        }
        deserializer.deserialize_any(MergeVisitor)
    }
}
