#pragma once

// What kind of thing a path holds, told by file names and small documents
// alone, so that each kind meets the rules that are meant for it.

#include <filesystem>
#include <string_view>

namespace assay {

enum class ModelKind {
  model,      ///< weights with or without a config.json; the default
  pipeline,   ///< a diffusers folder: model_index.json
  component,  ///< one model of a pipeline: config.json with "_class_name"
  scheduler,  ///< scheduler_config.json, no weights
  adapter,    ///< LoRA and its kin: adapter_config.json, or their file names
  embedding,  ///< a sentence-transformers folder: modules.json
  onnx,       ///< *.onnx and no other weights
};

/** "pipeline". */
std::string_view name(ModelKind kind);

/** Never throws for what is found: what cannot be told is a `model`. */
ModelKind kind_of(const std::filesystem::path& path);

}  // namespace assay
