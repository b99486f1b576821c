// Folders that mlx_lm.convert wrote, with the float32 logits that mlx-lm
// computes (tools/golden/make_mlx_lm_goldens.py), and what recipes choose.

#include <fmt/format.h>

#include "assay/formats/quantization_config.h"

#include "golden.h"

using namespace assay;
using namespace assay::test;

namespace {

std::vector<fs::path> mlx_lm_folders() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(kGolden / "mlx_lm")) {
    folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

// Settings of each module that has scales.
std::map<std::string, std::string> settings_of(const fs::path& folder) {
  auto model = open_model(folder);
  auto config = quantization_config(model.config, "").value();
  std::map<std::string, std::string> settings;
  for (const auto& tensor : model.tensors) {
    if (tensor.name.ends_with(".scales")) {
      auto path = tensor.name.substr(0, tensor.name.rfind('.'));
      auto q = config.of(path).value();
      settings[path] = fmt::format("{} {} {}", q.mode, q.bits, q.group_size);
    }
  }
  return settings;
}

}  // namespace

TEST_CASE("folders written by mlx-lm give mlx-lm's logits") {
  auto folders = mlx_lm_folders();
  CHECK(folders.size() >= 4);
  for (const auto& folder : folders) {
    CAPTURE(folder.filename().string());
    CHECK(logits_error(folder, folder / "golden.safetensors") <= 1e-3f);
  }
}

TEST_CASE("the same request gives the very tensors that mlx-lm writes") {
  TemporaryFolder temporary("as-mlx-lm");
  auto check = [&](const char* name, const ConvertOptions& options) {
    CAPTURE(name);
    auto to = temporary / name;
    convert(kLlama, to, options);
    auto written = kGolden / "mlx_lm" / name;
    CHECK(settings_of(to) == settings_of(written));
    bool same = tensors_of(to) == tensors_of(written);
    CHECK(same);
  };
  ConvertOptions options;
  options.verify = false;
  options.bits = 4;
  options.group_size = 32;
  check("llama-4bit-g32", options);
  options.group_size = 64;
  check("llama-4bit-g64", options);
  options.bits = 0;
  options.group_size = 32;
  options.recipe = "mixed_3_6";
  check("llama-mixed_3_6", options);
  options = {};
  options.verify = false;
  options.mode = "mxfp4";
  check("llama-mxfp4", options);
}
