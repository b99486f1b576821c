// The tree of an architecture against weights in another quantizer's form:
// which modules are there, since their tensors have other names and shapes.

#include <algorithm>
#include <cstring>
#include <set>

#include <fmt/format.h>

#include "assay/check/language_rules.h"
#include "assay/check/quantization_checker.h"
#include "assay/inspect/declared.h"

namespace assay::rules {
namespace {

constexpr std::string_view kLayers = "model.layers.";

std::optional<int64_t> number_of_layer(std::string_view name) {
  return name.starts_with(kLayers) ? layer_of(name) : std::nullopt;
}

class TreeLook {
 public:
  TreeLook(const ModelFiles& model, const arch::Tree& tree)
      : model_(model), tree_(tree) {
    for (const auto& tensor : model.tensors) {
      stored_.insert(tensor.name);
    }
  }

  Findings look() {
    layers();
    biases();
    head();
    return shorten(std::move(findings_));
  }

 private:
  bool begins(const std::string& path) const {
    auto first = stored_.lower_bound(path);
    return first != stored_.end() && first->starts_with(path);
  }

  void add(const char* id,
           std::string where,
           std::string expected,
           std::string actual) {
    findings_.push_back(make_finding(
        id, std::move(where), std::move(expected), std::move(actual)));
  }

  void layers() {
    std::set<int64_t> declared, stored;
    for (const auto& spec : tree_.parameters) {
      if (auto number = number_of_layer(spec.name)) {
        declared.insert(*number);
      }
    }
    for (const auto& name : stored_) {
      if (auto number = number_of_layer(name)) {
        stored.insert(*number);
      }
    }
    if (stored.empty()) {
      return;  // a file of other names
    }
    auto says = fmt::format("{} layers, as the config says", declared.size());
    for (auto number : declared) {
      if (!stored.contains(number)) {
        add("tensor.missing",
            fmt::format("{}{}", kLayers, number),
            says,
            "none");
      }
    }
    auto more = tree_.config.is_object()
                    ? fields::integer(tree_.config, "num_nextn_predict_layers")
                    : std::nullopt;
    auto end = static_cast<int64_t>(declared.size()) + more.value_or(0);
    for (auto number : stored) {
      if (!declared.contains(number) && number >= end) {
        add("tensor.unexpected",
            fmt::format("{}{}", kLayers, number),
            says,
            "tensors of it");
      }
    }
  }

  // Some quantizers write a bias everywhere, none leaves one out.
  void biases() {
    constexpr std::string_view kBias = "bias";
    for (const auto& spec : tree_.parameters) {
      if (!spec.name.ends_with(".bias") || stored_.contains(spec.name)) {
        continue;
      }
      auto path = spec.name.substr(0, spec.name.size() - kBias.size());
      if (begins(path)) {
        add("tensor.missing", spec.name, to_string(spec.shape()), "none");
      }
    }
  }

  void head() {
    const std::string path = "lm_head.";
    auto declared = std::ranges::any_of(tree_.parameters, [](const auto& spec) {
      return spec.role() == nn::Role::head;
    });
    if (declared && !begins(path)) {
      add("head.missing",
          path + "weight",
          "an output head",
          "none, and tie_word_embeddings false");
    }
    const auto* copy = declared ? nullptr : model_.find(path + "weight");
    const auto* tied = model_.find("model.embed_tokens.weight");
    if (copy == nullptr || tied == nullptr || copy->shape != tied->shape) {
      return;
    }
    constexpr size_t kSample = 64 << 10;
    TensorData data(model_);
    auto a = data.bytes(*tied);
    auto b = data.bytes(*copy);
    bool same =
        a.size() == b.size() &&
        std::memcmp(a.data(), b.data(), std::min(a.size(), kSample)) == 0;
    add(same ? "head.tied-copy" : "head.tied-differs",
        copy->name,
        same ? "no output head beside a tied embedding"
             : "the values of " + tied->name,
        same ? to_string(copy->shape) : "other values");
  }

  const ModelFiles& model_;
  const arch::Tree& tree_;
  std::set<std::string, std::less<>> stored_;
  Findings findings_;
};

}  // namespace

Findings foreign_modules(const ModelFiles& model, const arch::Tree& tree) {
  return TreeLook(model, tree).look();
}

}  // namespace assay::rules
