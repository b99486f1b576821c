#include "assay/formats/component_weights.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

#include "assay/formats/safetensors.h"
#include "assay/formats/torch_tensors.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

// Names under which diffusers and transformers save pickles; what a trainer
// leaves beside them (optimizer.bin) is no weights.
bool is_torch_weights(const fs::path& path) {
  auto name = path.filename().string();
  return path.extension() == ".bin" &&
         (name.starts_with("diffusion_pytorch_model") ||
          name.starts_with("pytorch_model"));
}

bool is_other_format(const fs::path& path) {
  auto suffix = path.extension();
  return suffix == ".bin" || suffix == ".msgpack" || suffix == ".onnx" ||
         suffix == ".h5";
}

/** Files of one format, those that repeat others (model.fp16.safetensors)
 * apart. */
struct Choice {
  std::vector<fs::path> plain, variants;

  void add(const fs::path& path) {
    (path.stem().has_extension() ? variants : plain).push_back(path);
  }
  bool empty() const { return plain.empty() && variants.empty(); }
  std::vector<fs::path> take() {
    auto& chosen = plain.empty() ? variants : plain;
    std::ranges::sort(chosen);
    return std::move(chosen);
  }
};

fs::path index_of(const fs::path& folder, Container container) {
  constexpr std::array kSafetensors = {
      "diffusion_pytorch_model.safetensors.index.json",
      "model.safetensors.index.json"};
  constexpr std::array kTorch = {"diffusion_pytorch_model.bin.index.json",
                                 "pytorch_model.bin.index.json"};
  std::error_code error;
  for (const auto* name :
       container == Container::torch ? kTorch : kSafetensors) {
    if (fs::is_regular_file(folder / name, error)) {
      return folder / name;
    }
  }
  return {};
}

}  // namespace

ComponentFiles component_files(const fs::path& folder) {
  ComponentFiles chosen;
  Choice safetensors;
  Choice torch;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    const auto& path = entry->path();
    if (path.extension() == ".safetensors") {
      safetensors.add(path);
    } else if (is_torch_weights(path)) {
      torch.add(path);
    } else {
      chosen.others = chosen.others || is_other_format(path);
    }
  }
  chosen.index = index_of(folder, Container::safetensors);
  if (safetensors.empty() && chosen.index.empty()) {
    auto index = index_of(folder, Container::torch);
    if (!torch.empty() || !index.empty()) {
      chosen.container = Container::torch;
      chosen.files = torch.take();
      chosen.index = std::move(index);
    }
    return chosen;
  }
  chosen.files = safetensors.take();
  return chosen;
}

std::vector<TensorInfo> component_tensors(const ComponentFiles& chosen,
                                          size_t number,
                                          std::vector<Finding>& findings) {
  const auto& file = chosen.files.at(number);
  std::vector<TensorInfo> tensors;
  if (chosen.container == Container::torch) {
    auto read = read_torch(file);
    std::ranges::move(read.findings, std::back_inserter(findings));
    tensors = std::move(read.tensors);
  } else {
    tensors = read_safetensors(file).tensors;
  }
  for (auto& tensor : tensors) {
    tensor.file = static_cast<uint32_t>(number);
  }
  return tensors;
}

std::vector<TensorInfo> component_tensors(const ComponentFiles& chosen,
                                          std::vector<Finding>& findings) {
  std::vector<TensorInfo> all;
  for (size_t number = 0; number < chosen.files.size(); ++number) {
    auto tensors = component_tensors(chosen, number, findings);
    std::ranges::move(tensors, std::back_inserter(all));
  }
  return all;
}

}  // namespace assay
