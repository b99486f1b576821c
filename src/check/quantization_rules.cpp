// Which quantizer's weights these are, and MLX's own block against the shapes.

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/language_rules.h"
#include "assay/check/quantization_checker.h"

namespace assay::rules {
using namespace fields;
namespace {

struct QuantizationMethod {
  std::string_view name;   ///< quant_method
  std::string_view title;  ///< as its authors write it
  std::string_view what;   ///< how it stores weights
  void (*check)(QuantizationChecker&) = nullptr;
  bool loadable = false;
};

constexpr std::array kMethods = {
    QuantizationMethod{"gptq",
                       "GPTQ",
                       "codes packed along the inputs, scales and zeros a "
                       "group, columns maybe reordered",
                       check_gptq},
    QuantizationMethod{"awq",
                       "AWQ",
                       "codes packed along the outputs in an order of their "
                       "own, scales and zeros a group",
                       check_awq},
    QuantizationMethod{"bitsandbytes",
                       "bitsandbytes",
                       "NF4/FP4 codes with block maxima, "
                       "or int8 rows",
                       check_bitsandbytes},
    QuantizationMethod{"compressed-tensors",
                       "compressed-tensors (llm-compressor)",
                       "packed integers or FP8 with scales a row or group",
                       check_compressed},
    QuantizationMethod{
        "fp8", "FP8", "F8_E4M3 with a scale a block", check_fp8, true},
    QuantizationMethod{
        "mxfp4", "MXFP4", "4-bit floats in blocks of 32", check_mxfp4, true},
    QuantizationMethod{
        "fbgemm_fp8", "FBGEMM FP8", "F8_E4M3 with a scale a row"},
    QuantizationMethod{
        "modelopt", "NVIDIA ModelOpt", "FP8 or NVFP4 with scales"},
    QuantizationMethod{"quanto", "quanto", "tensors of its own classes"},
    QuantizationMethod{
        "hqq", "HQQ", "codes with scales and zeros found by optimization"},
    QuantizationMethod{"aqlm", "AQLM", "sums of codebook entries"},
    QuantizationMethod{"torchao", "torchao", "pickled tensor subclasses"},
    QuantizationMethod{"eetq", "EETQ", "int8 in a layout for one GPU kernel"},
    QuantizationMethod{"higgs", "HIGGS", "Hadamard-rotated codes"},
    QuantizationMethod{"vptq", "VPTQ", "vector codebooks"},
    QuantizationMethod{"spqr", "SpQR", "codes with sparse outliers"},
    QuantizationMethod{"quip", "QuIP#", "lattice codebooks"},
    QuantizationMethod{"bitnet", "BitNet", "ternary weights, four to a byte"},
    QuantizationMethod{"quark", "AMD Quark", "FP8 or integers with scales"},
    QuantizationMethod{
        "auto-round", "AutoRound", "codes in GPTQ's or AWQ's layout"},
    QuantizationMethod{
        "intel/auto-round", "AutoRound", "codes in GPTQ's or AWQ's layout"},
    QuantizationMethod{
        "fp_quant", "FP-Quant", "MXFP4/NVFP4 after a Hadamard rotation"},
    QuantizationMethod{"exl2", "EXL2", "codes of several widths in one matrix"},
    QuantizationMethod{"exl3", "EXL3", "trellis codes"},
};

const QuantizationMethod* find_method(std::string_view name) {
  auto found = std::ranges::find(kMethods, name, &QuantizationMethod::name);
  return found == kMethods.end() ? nullptr : &*found;
}

// What names without any block in the config look like.
std::string method_by_names(const ModelFiles& model) {
  for (const auto& tensor : model.tensors) {
    const auto& name = tensor.name;
    if (name.ends_with(".qweight")) {
      const auto* scales =
          model.find(name.substr(0, name.size() - 8) + ".scales");
      bool both = is_matrix(&tensor) && is_matrix(scales);
      return both && packs_outputs(tensor, *scales) ? "awq" : "gptq";
    }
    if (name.ends_with(".weight.absmax") || name.ends_with(".SCB")) {
      return "bitsandbytes";
    }
    if (name.ends_with(".weight_packed")) {
      return "compressed-tensors";
    }
    if (tensor.dtype == DType::f8_e4m3 && name.ends_with(".weight") &&
        model.find(name + "_scale_inv") != nullptr) {
      return "fp8";
    }
    if (name.ends_with(".codebooks")) {
      return "aqlm";
    }
  }
  return "";
}

const Json* find_block(const Json& config, std::string& where) {
  for (const auto* name :
       {"quantization_config", "compression_config", "quantization"}) {
    const auto* block = member(config, name);
    if (block == nullptr) {
      const auto* inner = member(config, "text_config");
      block = inner == nullptr ? nullptr : member(*inner, name);
    }
    if (block != nullptr && member(*block, "quant_method") != nullptr) {
      where += fmt::format(": {}", name);
      return block;
    }
  }
  return nullptr;
}

std::string describe(const QuantizationMethod* method,
                     const std::string& name,
                     const std::optional<QuantizedPacking>& packing) {
  auto title = method == nullptr ? "quant_method '" + name + "'"
                                 : std::string(method->title);
  return packing ? fmt::format("{}, {}", title, words(*packing)) : title;
}

}  // namespace

std::optional<ForeignQuantization> foreign_quantization(
    const ModelFiles& model, const Json& config, const arch::Tree* tree) {
  if (model.container == Container::gguf) {
    return std::nullopt;
  }
  auto where = (model.path / "config.json").string();
  const auto* block = find_block(config, where);
  auto by_names = method_by_names(model);
  if (block == nullptr && by_names.empty()) {
    return std::nullopt;
  }
  static const Json kNone = Json::object();
  auto name = block == nullptr ? by_names : text(*block, "quant_method");
  const auto* method = find_method(name);
  QuantizationChecker checker(
      model, block == nullptr ? kNone : *block, tree, where);
  ForeignQuantization result;
  if (block == nullptr) {
    checker.findings.push_back(
        make_finding("quantization.undeclared",
                     where,
                     "a quantization_config for the packed weights",
                     fmt::format("none, and tensors as {} names them",
                                 describe(method, name, std::nullopt))));
  }
  if (method != nullptr && method->check != nullptr) {
    method->check(checker);
    if (!method->loadable && tree != nullptr) {
      std::ranges::move(foreign_modules(model, *tree),
                        std::back_inserter(checker.findings));
    }
  }
  result.loadable = method != nullptr && method->loadable;
  result.description = describe(method, name, checker.found());
  result.findings = shorten(std::move(checker.findings));
  if (!result.loadable) {
    auto finding =
        make_finding("quantization.unsupported",
                     where,
                     "weights as they are, MLX's own quantization, FP8 with "
                     "block scales, or MXFP4",
                     result.description);
    if (method != nullptr) {
      finding.cause = fmt::format(
          "{} stores {}; MLX has no such form, and another one would round "
          "the weights a second time.",
          method->title,
          method->what);
    }
    result.findings.insert(result.findings.begin(), std::move(finding));
  }
  return result;
}

Findings mlx_quantization(const arch::Tree& tree,
                          const Declared& declared,
                          const std::string& where) {
  std::map<QuantizedPacking, size_t> claimed, stored;
  size_t all = 0, without_biases = 0, affine = 0;
  for (const auto& match : declared.matches) {
    const auto& place = match.location;
    const auto& shape = match.spec->shape();
    if (place.scales == nullptr || !place.quantization || shape.empty()) {
      continue;
    }
    const auto& packed = place.tensors.front()->shape;
    const auto& scales = place.scales->shape;
    if (packed.empty() || scales.empty() || scales.back() <= 0 ||
        packed.back() <= 0) {
      continue;
    }
    auto in = shape.back();
    ++all;
    affine += place.quantization->mode == "affine" ? 1 : 0;
    without_biases += place.biases == nullptr ? 1 : 0;
    ++claimed[{place.quantization->bits, place.quantization->group_size}];
    ++stored[{packed.back() * 32 / in, in / scales.back()}];
  }
  if (all == 0 || stored == claimed) {
    return affine == all && without_biases == all && all > 0
               ? Findings{make_finding("quantization.wrong-method",
                                       where + ": quantization.mode",
                                       "mxfp4, mxfp8 or nvfp4: no biases stand "
                                       "beside the scales",
                                       "affine")}
               : Findings{};
  }
  auto most = [](const auto& votes) {
    return std::ranges::max_element(
               votes, std::less<>{}, [](const auto& v) { return v.second; })
        ->first;
  };
  auto said = most(claimed);
  auto is = most(stored);
  if (said == is || tree.config.is_null()) {
    return {};
  }
  bool bits = said.bits != is.bits;
  return {make_finding(
      bits ? "quantization.wrong-bits" : "quantization.wrong-group",
      where + (bits ? ": quantization.bits" : ": quantization.group_size"),
      fmt::format("{}, which the stored shapes mean", words(is)),
      words(said))};
}

}  // namespace assay::rules
