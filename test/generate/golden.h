#pragma once

// The tiny golden models, and what transformers goes on with.

#include <filesystem>
#include <string>
#include <vector>

#include <mlx/mlx.h>

#include "assay/generate/generate.h"

namespace golden {

inline std::filesystem::path folder(const std::string& name = "") {
  return std::filesystem::path(ASSAY_TEST_DIR) / "golden/arch" / name;
}

inline std::vector<int32_t> to_ids(const mlx::core::array& ids) {
  auto x = mlx::core::contiguous(mlx::core::astype(ids, mlx::core::int32));
  mlx::core::eval(x);
  return {x.data<int32_t>(), x.data<int32_t>() + x.size()};
}

struct Continuation {
  std::vector<int32_t> prompt, greedy;
  mlx::core::array logits;  ///< [16, vocab]
};

inline Continuation continuation(const std::filesystem::path& folder) {
  auto file = (folder / "golden.safetensors").string();
  auto tensors = mlx::core::load_safetensors(file).first;
  return {to_ids(tensors.at("input_ids")),
          to_ids(tensors.at("greedy")),
          tensors.at("greedy_logits")};
}

inline assay::GenerateOptions greedy(int tokens) {
  assay::GenerateOptions options;
  options.max_tokens = tokens;
  return options;
}

inline bool has_finding(const assay::Generation& generation,
                        const std::string& id) {
  for (const auto& finding : generation.findings) {
    if (finding.id == id) {
      return true;
    }
  }
  return false;
}

}  // namespace golden
