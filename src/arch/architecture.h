#pragma once

// Architectures: the explicit list of those that have a module tree, and how a
// model's files find theirs. A new one is a file in llm/ and a line in
// architecture.cpp.

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/formats/config_reader.h"
#include "assay/formats/gguf_config.h"
#include "assay/formats/model_files.h"
#include "assay/nn/language_model.h"

namespace assay::arch {

struct Architecture {
  /** config.json's "model_type". */
  std::string_view model_type;
  /** config.json's "architectures", as transformers writes it. */
  std::string_view class_name;
  /** GGUF's "general.architecture". */
  std::string_view gguf;
  /** Where several architectures share a GGUF name: true if it is this one.
   * Null: always. */
  bool (*claims_gguf)(const GgufMetadata&) = nullptr;
  /** The tree, from a config.json in either spelling. */
  std::unique_ptr<nn::LanguageModel> (*build)(const ConfigReader&) = nullptr;
  /** GGUF metadata that only this architecture has. */
  std::vector<GgufKey> gguf_keys = {};
  /** Config fields that its GGUFs leave out because the architecture fixes
   * them (an activation, a flag); a JSON object as text. */
  std::string_view gguf_constants = "{}";
  /** Config fields that come out of several metadata values or tensors. */
  void (*finish_gguf)(Json& config, const ModelFiles& model) = nullptr;
  /** Prefixes under which Hugging Face files may hold the tree. */
  std::vector<std::string> hf_roots = {""};
  /** Tensors that files may hold and the tree does not need: the end of their
   * names. */
  std::vector<std::string_view> ignored_suffixes = {};
};

/** Every architecture, in the order of the list. */
std::span<const Architecture> architectures();

/** By model_type; null if it has no tree. */
const Architecture* find_architecture(std::string_view model_type);

/** What a model's files say they are; null if it has no tree. */
const Architecture* architecture_of(const ModelFiles& model);

/** config.json as it is, or the same made from a GGUF's metadata (null if
 * there is neither). */
Json config_of(const ModelFiles& model);

/** The tree of a model. Throws Error arch.unsupported or config.*. */
struct Tree {
  const Architecture* architecture = nullptr;
  Json config;
  std::unique_ptr<nn::LanguageModel> model;
  std::vector<nn::ParameterSpec> parameters;
};
Tree build_tree(const ModelFiles& model);
Tree build_tree(const Json& config, const std::string& where);

}  // namespace assay::arch
