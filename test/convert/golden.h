#pragma once

// Golden models, temporary folders and comparisons for the tests of convert.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include <doctest/doctest.h>
#include <mlx/mlx.h>
#include <nlohmann/json.hpp>

#include "assay/arch/loaded_model.h"
#include "assay/convert/convert.h"
#include "assay/core/file.h"

namespace assay::test {

namespace fs = std::filesystem;
namespace mx = mlx::core;

inline const fs::path kGolden = fs::path(ASSAY_TEST_DIR) / "golden";
inline const fs::path kLlama = kGolden / "arch/llama";

/** An empty folder of its own, removed at the end. */
class TemporaryFolder {
 public:
  explicit TemporaryFolder(const std::string& name)
      : path_(fs::path(ASSAY_BUILD_DIR) / "convert-test" / name) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TemporaryFolder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

inline std::vector<fs::path> golden_models() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(kGolden / "arch")) {
    folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

/** The largest difference of a model's logits from golden ones. */
inline float logits_error(const fs::path& model, const fs::path& golden) {
  auto tensors = mx::load_safetensors(golden).first;
  auto ids = tensors.at("input_ids");
  mx::eval(ids);
  auto loaded = arch::load_model(model);
  auto logits =
      arch::logits(loaded.model(), {ids.data<int32_t>(), ids.size()}, 4096);
  return mx::max(mx::abs(logits - tensors.at("logits"))).item<float>();
}

/** The bytes of every tensor, with name, type and shape. */
inline std::map<std::string, std::string> tensors_of(const fs::path& path) {
  auto model = open_model(path);
  auto data = TensorData(model);
  std::map<std::string, std::string> tensors;
  for (const auto& tensor : model.tensors) {
    auto bytes = data.bytes(tensor);
    auto key = tensor.name + " " + std::string(name(tensor.dtype)) + " " +
               to_string(tensor.shape);
    tensors[key] = {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  return tensors;
}

/** Every file below a folder, with its content. */
inline std::map<std::string, std::string> files_below(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) {
      files[fs::relative(entry.path(), folder).string()] =
          read_text(entry.path());
    }
  }
  return files;
}

inline std::string error_id(const std::function<void()>& job) {
  try {
    job();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "none";
}

/** A model whose values are float32, float by float equal in two folders. */
inline bool same_values(const fs::path& a, const fs::path& b) {
  auto first = arch::load_model(a, {.keep_quantized = false});
  auto second = arch::load_model(b, {.keep_quantized = false});
  if (first.tree.parameters.size() != second.tree.parameters.size()) {
    return false;
  }
  for (size_t i = 0; i < first.tree.parameters.size(); ++i) {
    const auto& x = first.tree.parameters[i].parameter->value;
    const auto& y = second.tree.parameters[i].parameter->value;
    if (x.has_value() != y.has_value() ||
        (x && !mx::array_equal(mx::astype(x->data, mx::float32),
                               mx::astype(y->data, mx::float32))
                   .item<bool>())) {
      MESSAGE(first.tree.parameters[i].name);
      return false;
    }
  }
  return true;
}

}  // namespace assay::test
