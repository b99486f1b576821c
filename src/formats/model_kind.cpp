#include "assay/formats/model_kind.h"

#include <array>
#include <string>

#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/json.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxConfig = 16u << 20;

bool holds(const fs::path& folder, std::string_view file) {
  std::error_code error;
  return fs::is_regular_file(folder / file, error);
}

// diffusers names the class of every model it saves.
bool names_class(const fs::path& config) {
  try {
    auto document = parse_json(read_text(config, kMaxConfig), config.string());
    return document.is_object() && document.contains("_class_name");
  } catch (const Error&) {
    return false;  // the rules say what is wrong with it
  }
}

// Names under which PEFT, mlx-lm and diffusers save adapters.
bool holds_adapter(const fs::path& folder) {
  constexpr std::array<std::string_view, 5> kNames = {
      "adapter_config.json",
      "adapter_model.safetensors",
      "adapter_model.bin",
      "adapters.safetensors",
      "pytorch_lora_weights.safetensors"};
  for (auto name : kNames) {
    if (holds(folder, name)) {
      return true;
    }
  }
  return false;
}

bool holds_only_onnx(const fs::path& folder) {
  bool onnx = false;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    auto suffix = entry->path().extension();
    onnx = onnx || suffix == ".onnx";
    if (suffix == ".safetensors" || suffix == ".gguf" || suffix == ".bin" ||
        suffix == ".pt" || suffix == ".pth" || suffix == ".ckpt") {
      return false;
    }
  }
  return onnx;
}

ModelKind kind_of_folder(const fs::path& folder) {
  if (holds(folder, "model_index.json")) {
    return ModelKind::pipeline;
  }
  if (holds(folder, "modules.json")) {
    return ModelKind::embedding;
  }
  bool config = holds(folder, "config.json");
  if (config && names_class(folder / "config.json")) {
    return ModelKind::component;
  }
  if (!config && holds(folder, "scheduler_config.json")) {
    return ModelKind::scheduler;
  }
  // Beside a config.json with weights of its own an adapter is a by-product.
  if (holds_adapter(folder) &&
      !(config && (holds(folder, "model.safetensors") ||
                   holds(folder, "model.safetensors.index.json")))) {
    return ModelKind::adapter;
  }
  return holds_only_onnx(folder) ? ModelKind::onnx : ModelKind::model;
}

}  // namespace

std::string_view name(ModelKind kind) {
  switch (kind) {
    case ModelKind::model:
      return "model";
    case ModelKind::pipeline:
      return "pipeline";
    case ModelKind::component:
      return "component";
    case ModelKind::scheduler:
      return "scheduler";
    case ModelKind::adapter:
      return "adapter";
    case ModelKind::embedding:
      return "embedding";
    case ModelKind::onnx:
      return "onnx";
  }
  return "";
}

ModelKind kind_of(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    return kind_of_folder(path);
  }
  return path.extension() == ".onnx" ? ModelKind::onnx : ModelKind::model;
}

}  // namespace assay
