// Weights in the forms of other quantizers: what stands beside what, and with
// which shapes, as their own libraries write it (AutoGPTQ and GPTQModel,
// AutoAWQ, bitsandbytes, compressed-tensors, transformers' FP8).

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/language_rules.h"

namespace assay::rules {
namespace {

/** Bits and group size, 0 for one group a row; what the shapes mean. */
struct Packing {
  int64_t bits = 0;
  int64_t group = 0;
  auto operator<=>(const Packing&) const = default;
};

/** What one module's shapes tell; nothing where they contradict each other. */
struct Module {
  const TensorInfo* packed = nullptr;
  std::optional<Packing> packing;
  Shape weight;         ///< (out, in) that they stand for
  std::string problem;  ///< why there is no packing
};

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto entry = object.find(name);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

std::optional<int64_t> integer(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_number_integer()
             ? std::optional(value->get<int64_t>())
             : std::nullopt;
}

std::string text(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : "";
}

bool truth(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

std::string words(const Packing& packing) {
  return packing.group == 0
             ? fmt::format("{} bits, one group a row", packing.bits)
             : fmt::format(
                   "{} bits, groups of {}", packing.bits, packing.group);
}

bool is_matrix(const TensorInfo* tensor) {
  return tensor != nullptr && tensor->shape.size() == 2 &&
         tensor->shape[0] > 0 && tensor->shape[1] > 0;
}

/** All that the checks of one method share. */
class Checker {
 public:
  Checker(const ModelFiles& model,
          const Json& block,
          const arch::Tree* tree,
          std::string where)
      : model_(model), block_(block), where_(std::move(where)) {
    if (tree != nullptr) {
      for (const auto& spec : tree->parameters) {
        declared_.emplace(spec.name, spec.shape());
      }
    }
  }

  using Look =
      std::function<Module(const std::string& path, const TensorInfo& packed)>;

  /** Looks at every tensor with that ending, and holds what most modules are
   * against `claimed`. */
  void hold_modules(std::string_view ending,
                    const std::optional<Packing>& claimed,
                    const Look& look) {
    std::vector<Module> modules;
    std::map<Packing, size_t> votes;
    for (const auto& tensor : model_.tensors) {
      if (!tensor.name.ends_with(ending)) {
        continue;
      }
      auto path = tensor.name.substr(0, tensor.name.size() - ending.size());
      auto module = look(path, tensor);
      module.packed = &tensor;
      if (module.packing) {
        ++votes[*module.packing];
      }
      hold_weight(path, module);
      modules.push_back(std::move(module));
    }
    count_ += modules.size();
    if (modules.empty()) {
      return;
    }
    auto most = std::ranges::max_element(
        votes, std::less<>{}, [](const auto& vote) { return vote.second; });
    if (most != votes.end()) {
      found_ = most->first;
      if (claimed) {
        compare(*claimed, most->first);
      }
    }
    for (const auto& module : modules) {
      judge(module);
    }
  }

  const TensorInfo* part(const std::string& path, std::string_view leaf) {
    const auto* tensor = model_.find(path + std::string(leaf));
    if (tensor == nullptr) {
      findings.push_back(make_finding("quantization.part-missing",
                                      path + std::string(leaf),
                                      "a tensor beside the packed weight",
                                      "none"));
    }
    return tensor;
  }

  void hold_type(const TensorInfo& tensor,
                 std::initializer_list<DType> allowed) {
    if (std::ranges::find(allowed, tensor.dtype) != allowed.end()) {
      return;
    }
    std::string names;
    for (auto dtype : allowed) {
      names += (names.empty() ? "" : " or ") + std::string(name(dtype));
    }
    findings.push_back(make_finding(
        "tensor.dtype", tensor.name, names, std::string(name(tensor.dtype))));
  }

  std::optional<Shape> declared(const std::string& path) const {
    auto spec = declared_.find(path + ".weight");
    return spec == declared_.end() ? std::nullopt : std::optional(spec->second);
  }

  /** Where nothing of the method is stored at all. */
  void hold_use(const std::string& expected) {
    if (count_ == 0) {
      findings.push_back(make_finding(
          "quantization.unused", where_, expected, "no such tensor"));
    }
  }

  const ModelFiles& model() const { return model_; }
  const Json& block() const { return block_; }
  const std::string& where() const { return where_; }
  std::optional<Packing> found() const { return found_; }

  Findings findings;

 private:
  void compare(const Packing& claimed, const Packing& most) {
    if (claimed.bits != most.bits) {
      findings.push_back(make_finding("quantization.wrong-bits",
                                      where_ + ".bits",
                                      fmt::format("{} bits, which the stored "
                                                  "shapes mean",
                                                  most.bits),
                                      fmt::format("{}", claimed.bits)));
    } else if (claimed.group != most.group) {
      findings.push_back(make_finding(
          "quantization.wrong-group",
          where_ + ".group_size",
          fmt::format("{}, which the stored shapes mean", words(most)),
          claimed.group == 0 ? "one group a row"
                             : fmt::format("{}", claimed.group)));
    }
  }

  void hold_weight(const std::string& path, const Module& module) {
    auto wanted = declared(path);
    if (wanted && module.packing && !module.weight.empty() &&
        module.weight != *wanted) {
      findings.push_back(make_finding("shape.mismatch",
                                      path,
                                      to_string(*wanted),
                                      to_string(module.weight)));
    }
  }

  void judge(const Module& module) {
    if (!module.packing) {
      if (!module.problem.empty()) {
        findings.push_back(make_finding("quantization.parts-mismatch",
                                        module.packed->name,
                                        "scales and zeros that fit the weight",
                                        module.problem));
      }
    } else if (found_ && *module.packing != *found_) {
      findings.push_back(
          make_finding("quantization.parts-mismatch",
                       module.packed->name,
                       fmt::format("{}, as most modules", words(*found_)),
                       words(*module.packing)));
    }
  }

  const ModelFiles& model_;
  const Json& block_;
  std::string where_;
  std::map<std::string, Shape> declared_;
  std::optional<Packing> found_;
  size_t count_ = 0;
};

std::optional<Packing> claimed_packing(const Json& block) {
  auto bits = integer(block, "bits");
  auto group = integer(block, "group_size");
  if (!bits) {
    return std::nullopt;
  }
  return Packing{*bits, group && *group > 0 ? *group : 0};
}

int64_t group_of(int64_t width, int64_t groups) {
  return groups <= 1 ? 0 : ceil_div(width, groups);
}

/** True if another quantizer's names stand there in AWQ's layout: codes in
 * rows of inputs, eight to an int32 along the outputs. */
bool packs_outputs(const TensorInfo& packed, const TensorInfo& scales) {
  return packed.shape[1] != scales.shape[1];
}

Module look_at_gptq(Checker& checker,
                    const std::string& path,
                    const TensorInfo& packed,
                    bool& other_layout) {
  Module module;
  const auto* scales = checker.part(path, ".scales");
  const auto* zeros = checker.part(path, ".qzeros");
  checker.hold_type(packed, {DType::i32, DType::u32});
  if (!is_matrix(&packed) || !is_matrix(scales) || !is_matrix(zeros)) {
    module.problem = scales == nullptr || zeros == nullptr ? "" : "no matrices";
    return module;
  }
  checker.hold_type(*scales, {DType::f16, DType::bf16, DType::f32});
  int64_t out = scales->shape[1];
  int64_t groups = scales->shape[0];
  int64_t bits = zeros->shape[1] * 32 / out;
  other_layout = packs_outputs(packed, *scales);
  int64_t in =
      other_layout || bits == 0 ? packed.shape[0] : packed.shape[0] * 32 / bits;
  auto fail_with = [&](std::string problem) {
    module.problem = std::move(problem);
    return module;
  };
  auto shapes = fmt::format("qweight {}, qzeros {}, scales {}",
                            to_string(packed.shape),
                            to_string(zeros->shape),
                            to_string(scales->shape));
  if (bits < 2 || bits > 8 || zeros->shape[1] * 32 % out != 0 ||
      zeros->shape[0] != groups ||
      (other_layout && packed.shape[1] != zeros->shape[1])) {
    return fail_with(shapes);
  }
  const auto* order = checker.model().find(path + ".g_idx");
  if (order != nullptr && order->shape != Shape{in}) {
    return fail_with(
        fmt::format("{}, g_idx {}", shapes, to_string(order->shape)));
  }
  module.packing = {bits, group_of(in, groups)};
  module.weight = {out, in};
  return module;
}

void check_gptq(Checker& checker, bool is_awq) {
  size_t other = 0, all = 0;
  checker.hold_modules(".qweight",
                       claimed_packing(checker.block()),
                       [&](const std::string& path, const TensorInfo& packed) {
                         bool packs_out = is_awq;
                         auto module =
                             look_at_gptq(checker, path, packed, packs_out);
                         ++all;
                         other += packs_out != is_awq && module.packing ? 1 : 0;
                         return module;
                       });
  if (other > 0 && other * 2 > all) {
    checker.findings.push_back(
        make_finding("quantization.wrong-method",
                     checker.where() + ".quant_method",
                     is_awq ? "gptq: the codes of one input stand side by side"
                            : "awq: the codes of one output stand side by side",
                     is_awq ? "awq" : "gptq"));
  }
  checker.hold_use("packed weights (.qweight)");
}

void check_bitsandbytes(Checker& checker) {
  const auto& block = checker.block();
  bool four = truth(block, "load_in_4bit") || truth(block, "_load_in_4bit");
  size_t fours = 0, eights = 0;
  std::string kind;
  for (const auto& tensor : checker.model().tensors) {
    fours += tensor.name.ends_with(".weight.absmax") ? 1 : 0;
    eights += tensor.name.ends_with(".SCB") ? 1 : 0;
    constexpr std::string_view kState = ".quant_state.bitsandbytes__";
    auto at = tensor.name.find(kState);
    if (at != std::string::npos) {
      kind = tensor.name.substr(at + kState.size());
    }
  }
  if (fours + eights == 0) {
    checker.hold_use("weights with .absmax or .SCB");
    return;
  }
  bool stored_four = fours >= eights;
  if (stored_four != four) {
    checker.findings.push_back(
        make_finding("quantization.wrong-bits",
                     checker.where(),
                     stored_four ? "load_in_4bit, as the tensors are stored"
                                 : "load_in_8bit, as the tensors are stored",
                     four ? "load_in_4bit" : "load_in_8bit"));
  }
  auto claimed = text(block, "bnb_4bit_quant_type");
  if (stored_four && !claimed.empty() && !kind.empty() && claimed != kind) {
    checker.findings.push_back(
        make_finding("quantization.wrong-method",
                     checker.where() + ".bnb_4bit_quant_type",
                     fmt::format("{}, as the tensors are stored", kind),
                     claimed));
  }
  for (const auto& tensor : checker.model().tensors) {
    bool packed = tensor.name.ends_with(".weight.absmax");
    bool bytes = tensor.name.ends_with(".SCB");
    if (!packed && !bytes) {
      continue;
    }
    auto path = tensor.name.substr(0, tensor.name.size() - (packed ? 14 : 4));
    const auto* weight = checker.part(path, ".weight");
    if (packed) {
      checker.part(path, ".weight.quant_map");
    }
    auto wanted = checker.declared(path);
    if (weight == nullptr) {
      continue;
    }
    checker.hold_type(*weight, {packed ? DType::u8 : DType::i8});
    auto count = static_cast<int64_t>(element_count(weight->shape).value_or(0));
    if (wanted) {
      auto values = static_cast<int64_t>(element_count(*wanted).value_or(0));
      if (count != (packed ? ceil_div(values, 2) : values)) {
        checker.findings.push_back(make_finding(
            "shape.mismatch",
            weight->name,
            fmt::format("{} in {} bits", to_string(*wanted), packed ? 4 : 8),
            to_string(weight->shape)));
      }
    }
    if (bytes && (weight->shape.empty() ||
                  tensor.shape != Shape{weight->shape.front()})) {
      checker.findings.push_back(
          make_finding("quantization.parts-mismatch",
                       tensor.name,
                       "one scale a row of the weight",
                       fmt::format("SCB {}, weight {}",
                                   to_string(tensor.shape),
                                   to_string(weight->shape))));
    }
  }
}

// The two numbers of "weight_shape".
std::optional<Shape> stored_shape(const ModelFiles& model,
                                  const TensorInfo* tensor) {
  if (tensor == nullptr || tensor->dtype != DType::i64 ||
      tensor->shape != Shape{2}) {
    return std::nullopt;
  }
  auto data = TensorData(model);
  auto bytes = data.bytes(*tensor);
  std::array<int64_t, 2> values{};
  std::memcpy(values.data(), bytes.data(), sizeof(values));
  return values[0] > 0 && values[1] > 0
             ? std::optional(Shape{values[0], values[1]})
             : std::nullopt;
}

Module look_at_packed(Checker& checker,
                      const std::string& path,
                      const TensorInfo& packed) {
  Module module;
  const auto* scale = checker.part(path, ".weight_scale");
  auto whole = checker.declared(path);
  if (!whole) {
    whole = stored_shape(checker.model(),
                         checker.model().find(path + ".weight_shape"));
  }
  if (!is_matrix(&packed) || !is_matrix(scale) || !whole ||
      whole->size() != 2) {
    return module;
  }
  auto in = (*whole)[1];
  int64_t cell = packed.dtype == DType::u8 ? 8 : 32;
  int64_t bits = packed.shape[1] * cell / in;
  if (bits < 1 || bits > 8 || packed.shape[0] != (*whole)[0] ||
      scale->shape[0] != (*whole)[0]) {
    module.problem = fmt::format("packed {}, scale {}, weight {}",
                                 to_string(packed.shape),
                                 to_string(scale->shape),
                                 to_string(*whole));
    return module;
  }
  module.packing = {bits, group_of(in, scale->shape[1])};
  return module;
}

void check_compressed(Checker& checker) {
  const Json* weights = nullptr;
  if (const auto* groups = member(checker.block(), "config_groups");
      groups != nullptr && groups->is_object() && !groups->empty()) {
    weights = member(groups->begin().value(), "weights");
  }
  auto format = text(checker.block(), "format");
  std::optional<Packing> claimed;
  if (weights != nullptr) {
    if (auto bits = integer(*weights, "num_bits")) {
      auto group = integer(*weights, "group_size").value_or(0);
      claimed = Packing{*bits, group > 0 ? group : 0};
    }
  }
  checker.hold_modules(".weight_packed",
                       claimed,
                       [&](const std::string& path, const TensorInfo& packed) {
                         return look_at_packed(checker, path, packed);
                       });
  size_t scaled = 0;
  for (const auto& tensor : checker.model().tensors) {
    if (!tensor.name.ends_with(".weight_scale")) {
      continue;
    }
    ++scaled;
    auto path = tensor.name.substr(0, tensor.name.size() - 13);
    const auto* weight = checker.model().find(path + ".weight");
    if (weight != nullptr) {
      checker.hold_type(*weight, {DType::f8_e4m3, DType::i8});
      int64_t bits = 8;
      if (claimed && claimed->bits != bits) {
        checker.findings.push_back(
            make_finding("quantization.wrong-bits",
                         checker.where() + ".num_bits",
                         "8 bits, as the tensors are stored",
                         fmt::format("{}", claimed->bits)));
        claimed.reset();
      }
    } else {
      checker.part(path, ".weight_packed");
    }
  }
  if (scaled == 0) {
    checker.hold_use(fmt::format("weights with .weight_scale ({})", format));
  }
}

void check_fp8(Checker& checker) {
  Shape size;
  if (const auto* block = member(checker.block(), "weight_block_size");
      block != nullptr && block->is_array() && block->size() == 2 &&
      (*block)[0].is_number_integer() && (*block)[1].is_number_integer()) {
    size = {(*block)[0].get<int64_t>(), (*block)[1].get<int64_t>()};
  }
  size_t all = 0, wrong = 0;
  const TensorInfo* first = nullptr;
  for (const auto& tensor : checker.model().tensors) {
    if (!tensor.name.ends_with(".weight") || tensor.shape.size() != 2) {
      continue;
    }
    const auto* scale = checker.model().find(tensor.name + "_scale_inv");
    if (scale == nullptr) {
      continue;
    }
    ++all;
    if (tensor.dtype != DType::f8_e4m3 && !is_floating(tensor.dtype)) {
      continue;  // another rule's
    }
    if (size.empty() || size[0] <= 0 || size[1] <= 0) {
      continue;
    }
    auto wanted = Shape{ceil_div(tensor.shape[0], size[0]),
                        ceil_div(tensor.shape[1], size[1])};
    if (scale->shape != wanted) {
      ++wrong;
      first = first == nullptr ? scale : first;
    }
  }
  if (all == 0) {
    checker.hold_use("F8_E4M3 weights with .weight_scale_inv");
    return;
  }
  if (size.empty() && member(checker.block(), "weight_block_size") != nullptr) {
    checker.findings.push_back(
        make_finding("config.invalid-value",
                     checker.where() + ".weight_block_size",
                     "two numbers of rows and columns",
                     member(checker.block(), "weight_block_size")->dump()));
  }
  if (wrong > 0) {
    checker.findings.push_back(make_finding(
        wrong * 2 > all ? "quantization.wrong-group"
                        : "quantization.parts-mismatch",
        wrong * 2 > all ? checker.where() + ".weight_block_size" : first->name,
        fmt::format(
            "one scale a block of {} in {} weights", to_string(size), all),
        fmt::format(
            "{} of another shape, as {}", wrong, to_string(first->shape))));
  }
}

void check_mxfp4(Checker& checker) {
  size_t all = 0;
  for (const auto& tensor : checker.model().tensors) {
    if (!tensor.name.ends_with("_blocks")) {
      continue;
    }
    ++all;
    auto path = tensor.name.substr(0, tensor.name.size() - 7);
    const auto* scales = checker.part(path, "_scales");
    checker.hold_type(tensor, {DType::u8});
    auto groups = tensor.shape;
    if (!groups.empty()) {
      groups.pop_back();
    }
    if (scales != nullptr) {
      checker.hold_type(*scales, {DType::u8});
      if (scales->shape != groups) {
        checker.findings.push_back(make_finding("quantization.parts-mismatch",
                                                scales->name,
                                                to_string(groups),
                                                to_string(scales->shape)));
      }
    }
  }
  if (all == 0) {
    checker.hold_use("experts in _blocks and _scales");
  }
}

struct Method {
  std::string_view name;   ///< quant_method
  std::string_view title;  ///< as its authors write it
  std::string_view what;   ///< how it stores weights
  void (*check)(Checker&) = nullptr;
  bool loadable = false;
};

constexpr std::array kMethods = {
    Method{"gptq",
           "GPTQ",
           "codes packed along the inputs, scales and zeros a "
           "group, columns maybe reordered",
           [](Checker& checker) { check_gptq(checker, false); }},
    Method{"awq",
           "AWQ",
           "codes packed along the outputs in an order of their "
           "own, scales and zeros a group",
           [](Checker& checker) { check_gptq(checker, true); }},
    Method{"bitsandbytes",
           "bitsandbytes",
           "NF4/FP4 codes with block maxima, "
           "or int8 rows",
           check_bitsandbytes},
    Method{"compressed-tensors",
           "compressed-tensors (llm-compressor)",
           "packed integers or FP8 with scales a row or group",
           check_compressed},
    Method{"fp8", "FP8", "F8_E4M3 with a scale a block", check_fp8, true},
    Method{"mxfp4", "MXFP4", "4-bit floats in blocks of 32", check_mxfp4, true},
    Method{"fbgemm_fp8", "FBGEMM FP8", "F8_E4M3 with a scale a row"},
    Method{"modelopt", "NVIDIA ModelOpt", "FP8 or NVFP4 with scales"},
    Method{"quanto", "quanto", "tensors of its own classes"},
    Method{"hqq", "HQQ", "codes with scales and zeros found by optimization"},
    Method{"aqlm", "AQLM", "sums of codebook entries"},
    Method{"torchao", "torchao", "pickled tensor subclasses"},
    Method{"eetq", "EETQ", "int8 in a layout for one GPU kernel"},
    Method{"higgs", "HIGGS", "Hadamard-rotated codes"},
    Method{"vptq", "VPTQ", "vector codebooks"},
    Method{"spqr", "SpQR", "codes with sparse outliers"},
    Method{"quip", "QuIP#", "lattice codebooks"},
    Method{"bitnet", "BitNet", "ternary weights, four to a byte"},
    Method{"quark", "AMD Quark", "FP8 or integers with scales"},
    Method{"auto-round", "AutoRound", "codes in GPTQ's or AWQ's layout"},
    Method{"intel/auto-round", "AutoRound", "codes in GPTQ's or AWQ's layout"},
    Method{"fp_quant", "FP-Quant", "MXFP4/NVFP4 after a Hadamard rotation"},
    Method{"exl2", "EXL2", "codes of several widths in one matrix"},
    Method{"exl3", "EXL3", "trellis codes"},
};

const Method* find_method(std::string_view name) {
  auto found = std::ranges::find(kMethods, name, &Method::name);
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

std::string describe(const Method* method,
                     const std::string& name,
                     const std::optional<Packing>& packing) {
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
  Checker checker(model, block == nullptr ? kNone : *block, tree, where);
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
  std::map<Packing, size_t> claimed, stored;
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
