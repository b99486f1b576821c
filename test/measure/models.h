#pragma once

// Tiny models, and copies of them with one thing changed.

#include <filesystem>
#include <functional>
#include <string>

#include <mlx/mlx.h>

#include "assay/core/file.h"
#include "assay/core/json.h"

namespace test {

namespace fs = std::filesystem;
using Tensors = std::unordered_map<std::string, mlx::core::array>;

inline fs::path golden_model(const std::string& name) {
  return fs::path(ASSAY_TEST_DIR) / "golden/arch" / name;
}

/** An empty folder of that name, below the build folder. */
inline fs::path fresh_folder(const std::string& name) {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "test-output" / name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

/** With metadata, as mlx-lm does. */
inline void save(const fs::path& file, const Tensors& tensors) {
  mlx::core::save_safetensors(file.string(), tensors, {{"format", "mlx"}});
}

/** A copy of a model's config and weights, changed. */
inline fs::path changed_model(const std::string& name,
                              const fs::path& source,
                              const std::function<void(Tensors&)>& change) {
  auto folder = fresh_folder(name);
  for (const char* file : {"config.json", "generation_config.json"}) {
    if (fs::exists(source / file)) {
      fs::copy_file(source / file, folder / file);
    }
  }
  auto tensors =
      mlx::core::load_safetensors((source / "model.safetensors").string())
          .first;
  change(tensors);
  save(folder / "model.safetensors", tensors);
  return folder;
}

inline void change_config(const fs::path& model,
                          const std::function<void(assay::Json&)>& change) {
  auto file = model / "config.json";
  auto config = assay::parse_json(assay::read_text(file), "config.json");
  change(config);
  assay::write_text(file, assay::to_text(config));
}

}  // namespace test
