#pragma once

// inspect: what a model is, from its headers and small JSON alone. No weights
// are read and nothing is computed, so it answers in milliseconds, and for
// architectures that have no module tree too.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/formats/file_safety.h"
#include "assay/formats/model_files.h"

namespace assay {

struct FileSummary {
  std::filesystem::path path;
  uint64_t bytes = 0;
  bool operator==(const FileSummary&) const = default;
};

/** Sizes of the network. Each is what the stored tensors say where a module
 * tree tells which tensor shows it, otherwise what the config says; nothing
 * where neither does. */
struct ModelSizes {
  std::optional<int64_t> layers;
  std::optional<int64_t> hidden;        ///< width of the residual stream
  std::optional<int64_t> intermediate;  ///< inner width of the dense MLP
  std::optional<int64_t> heads;
  std::optional<int64_t> kv_heads;
  std::optional<int64_t> head_dim;    ///< of keys
  std::optional<int64_t> vocabulary;  ///< rows of the embedding
  std::optional<int64_t> experts;     ///< of one MoE layer
  std::optional<int64_t> experts_per_token;
  std::optional<int64_t> expert_intermediate;
  std::optional<int64_t> context;  ///< positions that the model was made for
  /** Positions that layers with a sliding window see, and how many do. */
  std::optional<int64_t> sliding_window;
  int64_t sliding_layers = 0;
};

/** What of the model has one role, or is stored in one way. */
struct Share {
  std::string name;         ///< "attention"; "BF16", "Q4_K", "affine 4 bit..."
  uint64_t tensors = 0;     ///< in the files
  uint64_t parameters = 0;  ///< numbers that they stand for
  uint64_t bytes = 0;       ///< in the files, scales and biases included
  /** 8 * bytes / parameters; 0 where there are no parameters. */
  double bits_per_weight = 0;
};

struct TokenizerSummary {
  bool present = false;
  std::string type;         ///< "BPE", "Unigram", "WordPiece", "WordLevel"
  std::string kind;         ///< its own name: tokenizer_class, GGUF's model/pre
  uint64_t entries = 0;     ///< vocabulary and added tokens
  uint64_t vocabulary = 0;  ///< largest id + 1
  uint64_t added = 0;
  /** "bos", "eos", "pad", "unk": text as far as known, and id. */
  struct Special {
    std::string name;
    std::string text;
    std::optional<int64_t> id;
  };
  std::vector<Special> special;
  bool chat_template = false;
  uint64_t chat_template_bytes = 0;
};

/** A part of a model that is several: a pipeline's component, what a method
 * adapts, a part of a single-file checkpoint, an ONNX graph. */
struct ComponentSummary {
  std::string name;        ///< "unet", "LoRA", "VAE"
  std::string class_name;  ///< or the prefix of its tensors; may be empty
  uint64_t parameters = 0;
  uint64_t bytes = 0;
  std::string detail;  ///< types, ranks, operators: a few words
};

struct ModelReport {
  // Identity.
  std::filesystem::path path;
  /** "model", "pipeline", "component", "scheduler", "adapter", "embedding",
   * "checkpoint", "onnx", "pickle", "vision-language". */
  std::string kind = "model";
  std::string name;       ///< as the files call it; may be empty
  std::string container;  ///< "safetensors", "GGUF"
  std::vector<FileSummary> files;
  uint64_t bytes = 0;  ///< of `files`
  uint64_t tensors = 0;

  // Architecture.
  std::string architecture;  ///< model_type or general.architecture; or empty
  std::string class_name;    ///< of transformers, where known
  bool has_tree = false;     ///< Assay can run it
  ModelSizes sizes;
  /** Rotary settings: {"rope_type", "rope_theta", "factor"...}; per kind of
   * layer where the config has several; null where there are none. */
  Json rope;
  bool tied_embeddings = false;
  /** Fields of the config that hold no list or object, as they are. */
  Json config;

  /** Empty for a model that is one. */
  std::vector<ComponentSummary> components;

  // Numbers. Without a tree there are no roles, and packed integers count as
  // what they are.
  uint64_t parameters = 0;
  /** Parameters that take part in one token: all but the experts not chosen.
   * Equals `parameters` for dense models. */
  uint64_t active_parameters = 0;
  std::vector<Share> roles;   ///< in the order of the forward pass
  std::vector<Share> stored;  ///< by bytes, most first
  double bits_per_weight = 0;
  /** "affine 4 bit, group 64", a quantizer's name, "mostly Q4_K"; or empty. */
  std::string quantization;

  TokenizerSummary tokenizer;

  /** Every pickle at the path, and what loading it would import and call. */
  std::vector<FileSafety> pickles;

  /** What is out of the ordinary; `check` says whether it does harm. */
  std::vector<Finding> unusual;
};

/** Throws nothing for what a model's files can be once open_model accepted
 * them: what can't be read is a finding in `unusual`. */
ModelReport inspect(const ModelFiles& model);

/** The same for any path: pipelines, adapters, single-file checkpoints and
 * ONNX too. Throws Error for what cannot be opened. */
ModelReport inspect_path(const std::filesystem::path& path);

Json to_json(const ModelReport& report);

/** Type, sizes and special tokens, from a tokenizer.json (read in one pass,
 * the merges skipped) or GGUF metadata. What can't be read is added to
 * `findings`. */
TokenizerSummary summarize_tokenizer(const ModelFiles& model,
                                     const Json& config,
                                     std::vector<Finding>& findings);

}  // namespace assay
