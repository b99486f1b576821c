#include "assay/formats/quantization_config.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/formats/config_reader.h"

namespace assay {
namespace {

bool known(const Quantization& q) {
  auto in = [](int value, auto... allowed) {
    return ((value == allowed) || ...);
  };
  if (q.mode == "affine") {
    return in(q.bits, 2, 3, 4, 5, 6, 8) && in(q.group_size, 32, 64, 128);
  }
  return (q.mode == "mxfp4" && q.bits == 4 && q.group_size == 32) ||
         (q.mode == "mxfp8" && q.bits == 8 && q.group_size == 32) ||
         (q.mode == "nvfp4" && q.bits == 4 && q.group_size == 16);
}

Quantization read(const ConfigReader& block) {
  Quantization q;
  q.group_size = block.dimension("group_size");
  q.bits = block.dimension("bits");
  q.mode = block.maybe_text("mode").value_or("affine");
  if (!known(q)) {
    fail("config.invalid-value",
         block.where(),
         "a mode, bits and group_size that MLX has (affine 2-6, 8 bits in "
         "groups of 32, 64, 128; mxfp4, mxfp8, nvfp4)",
         fmt::format("{} {} bits, group {}", q.mode, q.bits, q.group_size));
  }
  return q;
}

Json to_json(const Quantization& q) {
  return {{"group_size", q.group_size}, {"bits", q.bits}, {"mode", q.mode}};
}

// A block of another library; those that only describe how single tensors are
// encoded are no obstacle.
void check_foreign(const ConfigReader& block) {
  auto method = block.maybe_text("quant_method");
  if (!method || *method == "fp8" || *method == "mxfp4") {
    return;
  }
  fail("quantization.unsupported",
       block.where(),
       "weights as they are, MLX's own quantization, fp8 or mxfp4",
       fmt::format("quant_method '{}'", *method));
}

}  // namespace

std::optional<Quantization> QuantizationConfig::of(
    std::string_view path) const {
  auto module = modules.find(path);
  return module == modules.end() ? std::optional(standard) : module->second;
}

std::optional<QuantizationConfig> quantization_config(const Json& config,
                                                      std::string_view where) {
  if (!config.is_object()) {
    return std::nullopt;
  }
  auto fields = ConfigReader(config, std::string(where));
  const char* name =
      fields.find("quantization") ? "quantization" : "quantization_config";
  if (fields.find(name) == nullptr) {
    return std::nullopt;
  }
  auto block = fields.child(name);
  if (block.find("group_size") == nullptr ||
      block.find("quant_method") != nullptr) {
    check_foreign(block);
    return std::nullopt;
  }
  QuantizationConfig result{read(block), {}};
  for (const auto& [path, value] : block.json().items()) {
    if (value.is_object()) {
      result.modules[path] = read(block.child(path));
    } else if (value.is_boolean()) {
      result.modules[path] =
          value.get<bool>() ? std::optional(result.standard) : std::nullopt;
    }
  }
  return result;
}

Json to_json(const QuantizationConfig& config) {
  auto block = to_json(config.standard);
  for (const auto& [path, setting] : config.modules) {
    block[path] = setting ? to_json(*setting) : Json(false);
  }
  return block;
}

}  // namespace assay
