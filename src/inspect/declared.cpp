#include "assay/inspect/declared.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "assay/nn/steps.h"
#include "assay/nn/tensor_scale.h"

namespace assay {
namespace {

// The shape of a parameter as the stored tensors have it.
Shape stored_shape(const nn::ParameterSpec& spec,
                   const nn::Location& location) {
  std::vector<Shape> shapes;
  for (const auto* tensor : location.tensors) {
    shapes.push_back(tensor->shape);
  }
  if (location.source.encoding == nn::Encoding::mxfp4_blocks) {
    shapes.resize(1);  // [..., n, 16] bytes are [..., 32 n] values
    if (shapes[0].size() < 2) {
      return spec.shape();
    }
    shapes[0].pop_back();
    shapes[0].back() *= 32;
  }
  if (location.scales != nullptr) {
    if (!location.quantization || shapes[0].empty()) {
      return spec.shape();
    }
    shapes[0].back() = shapes[0].back() * 32 / location.quantization->bits;
  }
  return nn::apply_steps(location.source.steps, shapes).value_or(spec.shape());
}

bool is_ignored(const arch::Architecture& architecture, std::string_view name) {
  return std::ranges::any_of(
      architecture.ignored_suffixes,
      [&](std::string_view suffix) { return name.ends_with(suffix); });
}

void sort_out_rest(Declared& declared,
                   const arch::Architecture& architecture,
                   const ModelFiles& model,
                   const std::unordered_set<const TensorInfo*>& used) {
  for (const auto& tensor : model.tensors) {
    if (used.contains(&tensor)) {
      continue;
    }
    if (is_ignored(architecture, tensor.name)) {
      declared.ignored.push_back(&tensor);
      continue;
    }
    declared.unexpected.push_back(&tensor);
    declared.findings.push_back(make_finding(
        "tensor.unexpected",
        tensor.name,
        fmt::format("only tensors that {} has", architecture.model_type),
        fmt::format("{} {}", name(tensor.dtype), to_string(tensor.shape))));
  }
}

}  // namespace

std::vector<const TensorInfo*> tensors_of(const ModelFiles& model,
                                          const nn::Location& location) {
  auto tensors = location.tensors;
  for (const auto* tensor : location.tensors) {
    if (const auto* scales = model.find(tensor->name + "_scale_inv")) {
      tensors.push_back(scales);
    }
    if (const auto* scale = nn::tensor_scale(model, *tensor)) {
      tensors.push_back(scale);
    }
  }
  for (const auto* extra : {location.scales, location.biases}) {
    if (extra != nullptr) {
      tensors.push_back(extra);
    }
  }
  return tensors;
}

std::vector<Finding> shorten(std::vector<Finding> findings, size_t shown) {
  std::map<std::string, size_t> counts;
  std::vector<Finding> kept;
  std::map<std::string, size_t> last;
  for (auto& finding : findings) {
    if (++counts[finding.id] <= shown) {
      last[finding.id] = kept.size();
      kept.push_back(std::move(finding));
    }
  }
  // From the back, so that positions before stay right.
  std::vector<std::pair<size_t, std::string>> ends;
  for (const auto& [id, position] : last) {
    ends.emplace_back(position, id);
  }
  std::ranges::sort(ends, std::greater<>{});
  for (const auto& [position, id] : ends) {
    if (counts[id] > shown) {
      auto rest = kept[position];
      rest.where = fmt::format("{} more", counts[id] - shown);
      rest.expected = "as above";
      rest.actual = "alike";
      kept.insert(kept.begin() + static_cast<std::ptrdiff_t>(position) + 1,
                  std::move(rest));
    }
  }
  return kept;
}

std::optional<int64_t> layer_of(std::string_view name) {
  while (!name.empty()) {
    auto dot = name.find('.');
    auto segment = name.substr(0, dot);
    int64_t value = 0;
    auto [end, error] =
        std::from_chars(segment.data(), segment.data() + segment.size(), value);
    if (error == std::errc() && end == segment.data() + segment.size()) {
      return value;
    }
    name = dot == std::string_view::npos ? "" : name.substr(dot + 1);
  }
  return std::nullopt;
}

Declared hold_against_tree(const arch::Tree& tree, const ModelFiles& model) {
  auto reader = nn::WeightReader(model, tree.config);
  Declared declared;
  std::unordered_set<const TensorInfo*> used;
  for (const auto& spec : tree.parameters) {
    auto location = reader.locate(spec);
    if (!location) {
      if (!spec.optional()) {
        declared.missing.push_back(&spec);
        declared.findings.push_back(make_finding(
            "tensor.missing",
            spec.name,
            fmt::format("a tensor {} in the files", to_string(spec.shape())),
            "none"));
      }
      continue;
    }
    auto findings = reader.check(spec, *location);
    std::ranges::move(findings, std::back_inserter(declared.findings));
    for (const auto* tensor : tensors_of(model, *location)) {
      used.insert(tensor);
    }
    auto shape = stored_shape(spec, *location);
    declared.matches.push_back({&spec, std::move(*location), std::move(shape)});
  }
  sort_out_rest(declared, *tree.architecture, model, used);
  std::ranges::stable_sort(
      declared.findings, std::ranges::greater{}, &Finding::severity);
  declared.findings = shorten(std::move(declared.findings));
  return declared;
}

}  // namespace assay
