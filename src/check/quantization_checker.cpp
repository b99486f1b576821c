#include "assay/check/quantization_checker.h"

#include <algorithm>

#include <fmt/format.h>

namespace assay::rules {
using namespace fields;

int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

std::string words(const QuantizedPacking& packing) {
  return packing.group == 0
             ? fmt::format("{} bits, one group a row", packing.bits)
             : fmt::format(
                   "{} bits, groups of {}", packing.bits, packing.group);
}

bool is_matrix(const TensorInfo* tensor) {
  return tensor != nullptr && tensor->shape.size() == 2 &&
         tensor->shape[0] > 0 && tensor->shape[1] > 0;
}

bool packs_outputs(const TensorInfo& packed, const TensorInfo& scales) {
  return packed.shape[1] != scales.shape[1];
}

void QuantizationChecker::hold_modules(
    std::string_view ending,
    const std::optional<QuantizedPacking>& claimed,
    const Look& look) {
  std::vector<QuantizedModule> modules;
  std::map<QuantizedPacking, size_t> votes;
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

const TensorInfo* QuantizationChecker::part(const std::string& path,
                                            std::string_view leaf) {
  const auto* tensor = model_.find(path + std::string(leaf));
  if (tensor == nullptr) {
    findings.push_back(make_finding("quantization.part-missing",
                                    path + std::string(leaf),
                                    "a tensor beside the packed weight",
                                    "none"));
  }
  return tensor;
}

void QuantizationChecker::hold_type(const TensorInfo& tensor,
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

std::optional<Shape> QuantizationChecker::declared(
    const std::string& path) const {
  auto spec = declared_.find(path + ".weight");
  return spec == declared_.end() ? std::nullopt : std::optional(spec->second);
}

void QuantizationChecker::hold_use(const std::string& expected) {
  if (count_ == 0) {
    findings.push_back(make_finding(
        "quantization.unused", where_, expected, "no such tensor"));
  }
}

void QuantizationChecker::compare(const QuantizedPacking& claimed,
                                  const QuantizedPacking& most) {
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

void QuantizationChecker::hold_weight(const std::string& path,
                                      const QuantizedModule& module) {
  auto wanted = declared(path);
  if (wanted && module.packing && !module.weight.empty() &&
      module.weight != *wanted) {
    findings.push_back(make_finding(
        "shape.mismatch", path, to_string(*wanted), to_string(module.weight)));
  }
}

void QuantizationChecker::judge(const QuantizedModule& module) {
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

}  // namespace assay::rules
