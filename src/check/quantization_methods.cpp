// Weights in the forms of other quantizers: what stands beside what, and with
// which shapes, as their own libraries write it (AutoGPTQ and GPTQModel,
// AutoAWQ, bitsandbytes, compressed-tensors, transformers' FP8).

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/language_rules.h"
#include "assay/check/quantization_checker.h"

namespace assay::rules {
using namespace fields;
namespace {

// AWQ's own is 4 bits; a GPTQ block without the number is refused.
std::optional<QuantizedPacking> claimed_packing(const Json& block,
                                                bool is_awq) {
  auto bits = integer(block, "bits");
  if (is_awq && member(block, "bits") == nullptr) {
    bits = 4;
  }
  auto group = integer(block, "group_size");
  if (!bits) {
    return std::nullopt;
  }
  return QuantizedPacking{*bits, group && *group > 0 ? *group : 0};
}

int64_t group_of(int64_t width, int64_t groups) {
  return groups <= 1 ? 0 : ceil_div(width, groups);
}

QuantizedModule look_at_gptq(QuantizationChecker& checker,
                             const std::string& path,
                             const TensorInfo& packed,
                             bool& other_layout) {
  QuantizedModule module;
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

void check_rows(QuantizationChecker& checker, bool is_awq) {
  size_t other = 0, all = 0;
  checker.hold_modules(".qweight",
                       claimed_packing(checker.block(), is_awq),
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

}  // namespace

void check_gptq(QuantizationChecker& checker) {
  check_rows(checker, false);
  if (checker.found() && !checker.block().empty() &&
      member(checker.block(), "bits") == nullptr) {
    checker.findings.push_back(make_finding(
        "config.missing-field",
        checker.where() + ".bits",
        fmt::format("{}, which the stored shapes mean", checker.found()->bits),
        "none"));
  }
  if (checker.block().empty()) {
    return;
  }
  // Kernels for symmetric weights leave the zeros out, those for weights in
  // order g_idx. Absent: true and false (GPTQConfig of transformers 5.23).
  if (member(checker.block(), "sym") == nullptr ||
      truth(checker.block(), "sym")) {
    hold_gptq_zeros(checker);
  }
  if (!truth(checker.block(), "desc_act")) {
    hold_order(checker);
  }
}

void check_awq(QuantizationChecker& checker) {
  check_rows(checker, true);
  // Absent: true (AwqConfig of transformers 5.23).
  if (const auto* points = member(checker.block(), "zero_point");
      points != nullptr && *points == false) {
    hold_awq_zeros(checker);
  }
  constexpr auto kLayouts =
      std::to_array<std::string_view>({"gemm", "gemv", "gemv_fast", "llm-awq"});
  for (const auto* field : {"version", "format"}) {
    auto layout = text(checker.block(), field);
    bool known = std::ranges::any_of(kLayouts, [&](auto one) {
      return std::ranges::equal(layout, one, [](unsigned char a, char b) {
        return std::tolower(a) == b;
      });
    });
    const auto* value = member(checker.block(), field);
    if (value != nullptr && !known) {
      checker.findings.push_back(
          make_finding("config.invalid-value",
                       fmt::format("{}.{}", checker.where(), field),
                       fmt::format("{}", fmt::join(kLayouts, ", ")),
                       shown(*value)));
    }
  }
}

namespace {

// What bitsandbytes' settings must be for weights that are stored packed.
void bitsandbytes_settings(QuantizationChecker& checker, bool stored_four) {
  const auto& block = checker.block();
  auto add = [&](const char* id, const char* field, std::string expected) {
    const auto* value = member(block, field);
    checker.findings.push_back(
        make_finding(id,
                     fmt::format("{}.{}", checker.where(), field),
                     std::move(expected),
                     value == nullptr ? "none" : shown(*value)));
  };
  const auto* own = stored_four ? "load_in_4bit" : "load_in_8bit";
  const auto* other = stored_four ? "load_in_8bit" : "load_in_4bit";
  if (!truth(block, own)) {
    add("quantization.wrong-bits", own, "true, as the tensors are stored");
  }
  if (truth(block, other)) {
    add("quantization.wrong-bits", other, "false, as the tensors are stored");
  }
  if (!stored_four && truth(block, "llm_int8_has_fp16_weight")) {
    add("config.contradiction",
        "llm_int8_has_fp16_weight",
        "false: the weights are stored in int8");
  }
  constexpr auto kTypes = std::to_array<std::string_view>(
      {"float16", "bfloat16", "float32", "float64", "int8", "uint8"});
  for (const auto* field :
       {"bnb_4bit_compute_dtype", "bnb_4bit_quant_storage"}) {
    auto type = text(block, field);
    auto plain = std::string_view(type);
    plain.remove_prefix(plain.starts_with("torch.") ? 6 : 0);
    if (!type.empty() && std::ranges::find(kTypes, plain) == kTypes.end()) {
      add("config.invalid-value",
          field,
          fmt::format("{}", fmt::join(kTypes, ", ")));
    }
  }
}

}  // namespace

void check_bitsandbytes(QuantizationChecker& checker) {
  const auto& block = checker.block();
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
  if (!block.empty()) {
    bitsandbytes_settings(checker, stored_four);
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

namespace {

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

QuantizedModule look_at_packed(QuantizationChecker& checker,
                               const std::string& path,
                               const TensorInfo& packed) {
  QuantizedModule module;
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

}  // namespace

void check_compressed(QuantizationChecker& checker) {
  const Json* weights = nullptr;
  if (const auto* groups = member(checker.block(), "config_groups");
      groups != nullptr && groups->is_object() && !groups->empty()) {
    weights = member(groups->begin().value(), "weights");
  }
  auto format = text(checker.block(), "format");
  std::optional<QuantizedPacking> claimed;
  if (weights != nullptr) {
    if (auto bits = integer(*weights, "num_bits")) {
      auto group = integer(*weights, "group_size").value_or(0);
      claimed = QuantizedPacking{*bits, group > 0 ? group : 0};
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
  check_compressed_targets(checker);
}

namespace {

// transformers 5.23 leaves what is not FP8 as it is stored, and without a GPU
// dequantizes the rest to the type named: the two do not multiply.
void hold_plain_type(QuantizationChecker& checker) {
  auto [field, named] = named_type(checker.model().config);
  constexpr auto kTypes = std::to_array<std::string_view>(
      {"float64", "float32", "float16", "bfloat16"});
  if (std::ranges::find(kTypes, named) == kTypes.end()) {
    return;  // nothing that tensors have; other rules name what is no type
  }
  const TensorInfo* other = nullptr;
  for (const auto& tensor : checker.model().tensors) {
    auto stored = torch_name(tensor.dtype);
    if (stored.empty() || tensor.shape.size() != 2 ||
        !tensor.name.ends_with(".weight")) {
      continue;
    }
    if (named == stored) {
      return;
    }
    other = &tensor;
  }
  if (other != nullptr) {
    checker.findings.push_back(make_finding(
        "quantization.other-type",
        fmt::format(
            "{}: {}", (checker.model().path / "config.json").string(), field),
        fmt::format(
            "{}, as {} is stored", torch_name(other->dtype), other->name),
        named));
  }
}

}  // namespace

void check_fp8(QuantizationChecker& checker) {
  const auto* scheme = member(checker.block(), "activation_scheme");
  if (scheme != nullptr && *scheme != "dynamic" && *scheme != "static") {
    checker.findings.push_back(
        make_finding("config.invalid-value",
                     checker.where() + ".activation_scheme",
                     "dynamic or static",
                     shown(*scheme)));
  }
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
  hold_plain_type(checker);
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

void check_mxfp4(QuantizationChecker& checker) {
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
}  // namespace assay::rules
