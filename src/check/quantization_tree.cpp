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

/** What the names of a tree's layers begin with. */
std::string beginning_of_layers(const arch::Tree& tree) {
  for (const auto& spec : tree.parameters) {
    if (auto number = layer_of(spec.name)) {
      auto mark = fmt::format(".{}.", *number);
      return spec.name.substr(0, spec.name.find(mark) + 1);
    }
  }
  return "";
}

class TreeLook {
 public:
  TreeLook(const ModelFiles& model, const arch::Tree& tree)
      : model_(model), tree_(tree), layers_(beginning_of_layers(tree)) {
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

  std::optional<int64_t> number_of_layer(std::string_view name) const {
    return !layers_.empty() && name.starts_with(layers_) ? layer_of(name)
                                                         : std::nullopt;
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
            fmt::format("{}{}", layers_, number),
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
            fmt::format("{}{}", layers_, number),
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

  const nn::ParameterSpec* of_role(nn::Role role) const {
    auto spec = std::ranges::find_if(
        tree_.parameters, [&](const auto& one) { return one.role() == role; });
    return spec == tree_.parameters.end() ? nullptr : &*spec;
  }

  void head() {
    const auto* head = of_role(nn::Role::head);
    const auto* embedding = of_role(nn::Role::embedding);
    if (head != nullptr) {
      auto path = head->name.substr(0, head->name.rfind('.') + 1);
      if (!begins(path)) {
        add("head.missing",
            head->name,
            to_string(head->shape()),
            "none, and tie_word_embeddings false");
      }
    } else if (embedding != nullptr) {
      tied(model_.find(embedding->name));
    }
  }

  // A tensor beside a tied embedding that is as large, and no parameter.
  void tied(const TensorInfo* embedding) {
    auto copy = std::ranges::find_if(model_.tensors, [&](const auto& tensor) {
      return embedding != nullptr && tensor.name != embedding->name &&
             tensor.shape == embedding->shape &&
             std::ranges::find(
                 tree_.parameters, tensor.name, &nn::ParameterSpec::name) ==
                 tree_.parameters.end();
    });
    if (copy == model_.tensors.end()) {
      return;
    }
    constexpr size_t kSample = 64 << 10;
    TensorData data(model_);
    auto a = data.bytes(*embedding);
    auto b = data.bytes(*copy);
    bool same =
        a.size() == b.size() &&
        std::memcmp(a.data(), b.data(), std::min(a.size(), kSample)) == 0;
    add(same ? "head.tied-copy" : "head.tied-differs",
        copy->name,
        same ? "no output head beside a tied embedding"
             : "the values of " + embedding->name,
        same ? to_string(copy->shape) : "other values");
  }

  const ModelFiles& model_;
  const arch::Tree& tree_;
  std::string layers_;
  std::set<std::string, std::less<>> stored_;
  Findings findings_;
};

}  // namespace

Findings foreign_modules(const ModelFiles& model, const arch::Tree& tree) {
  return TreeLook(model, tree).look();
}

}  // namespace assay::rules
