// compressed-tensors: which modules its block says are quantized, against
// those that are stored so.

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/module_pattern.h"
#include "assay/check/quantization_checker.h"

namespace assay::rules {
using namespace fields;
namespace {

enum class Chosen { no, yes, unknown };

/** Of a list of names, classes and patterns ("re:..."), as compressed-tensors
 * takes them: whole names, the beginning by a pattern. */
Chosen chooses(const Json* list, const std::string& path) {
  if (list == nullptr || !list->is_array()) {
    return Chosen::no;
  }
  auto chosen = Chosen::no;
  for (const auto& entry : *list) {
    auto name = entry.is_string() ? entry.get<std::string>() : "";
    if (name == path || name == "Linear") {
      return Chosen::yes;
    }
    if (!name.starts_with("re:")) {
      continue;
    }
    auto pattern = ModulePattern::read("(" + name.substr(3) + ").*");
    if (!pattern) {
      chosen = Chosen::unknown;
    } else if (pattern->matches(path)) {
      return Chosen::yes;
    }
  }
  return chosen;
}

class TargetsLook {
 public:
  explicit TargetsLook(QuantizationChecker& checker) : checker_(checker) {}

  void look() {
    if (!stored()) {
      return;
    }
    status();
    if (!groups()) {
      return;
    }
    for (const auto& [name, shape] : checker_.declared_shapes()) {
      constexpr std::string_view kLeaf = ".weight";
      bool linear = name.ends_with(kLeaf) && shape.size() == 2 &&
                    name.find("embed") == std::string::npos;
      if (linear && !hold(name.substr(0, name.size() - kLeaf.size()))) {
        return;
      }
    }
  }

 private:
  bool packed(const std::string& path) const {
    return checker_.model().find(path + ".weight_packed") != nullptr ||
           checker_.model().find(path + ".weight_scale") != nullptr;
  }

  bool stored() const {
    return std::ranges::any_of(
        checker_.model().tensors, [](const auto& tensor) {
          return tensor.name.ends_with(".weight_packed") ||
                 tensor.name.ends_with(".weight_scale");
        });
  }

  void add(const char* id,
           std::string_view field,
           std::string expected,
           std::string actual) {
    checker_.findings.push_back(
        make_finding(id,
                     fmt::format("{}.{}", checker_.where(), field),
                     std::move(expected),
                     std::move(actual)));
  }

  // Without it the codes are not unpacked. llm-compressor wrote "frozen" once.
  void status() {
    constexpr const char* kField = "quantization_status";
    const auto* value = member(checker_.block(), kField);
    auto state = text(checker_.block(), kField);
    if (state != "compressed" && state != "frozen") {
      add(value == nullptr ? "config.missing-field" : "config.invalid-value",
          kField,
          "compressed, as the weights are stored",
          value == nullptr ? "none" : shown(*value));
    }
  }

  bool groups() {
    groups_ = member(checker_.block(), "config_groups");
    bool any = false, whole = true;
    if (groups_ != nullptr && groups_->is_object()) {
      for (const auto& [name, group] : groups_->items()) {
        const auto* targets = member(group, "targets");
        const auto* weights = member(group, "weights");
        any = any || (weights != nullptr && weights->is_object());
        if (targets == nullptr || !targets->is_array() || targets->empty()) {
          add("config.missing-field",
              fmt::format("config_groups.{}.targets", name),
              "a list of modules or classes, as Linear",
              targets == nullptr ? "none" : shown(*targets));
          whole = false;
        }
      }
    }
    if (!any) {
      add("config.missing-field",
          "config_groups",
          "a group with the form of the weights",
          "none");
    }
    return any && whole;
  }

  /** False where nothing more can be told, or enough was. */
  bool hold(const std::string& path) {
    auto targeted = Chosen::no;
    for (const auto& [name, group] : groups_->items()) {
      auto one = chooses(member(group, "targets"), path);
      targeted = one == Chosen::no ? targeted : one;
    }
    auto ignored = chooses(member(checker_.block(), "ignore"), path);
    if (targeted == Chosen::unknown || ignored == Chosen::unknown) {
      return false;
    }
    bool claimed = targeted == Chosen::yes && ignored == Chosen::no;
    bool plain = checker_.model().find(path + ".weight") != nullptr;
    if (packed(path) && !claimed) {
      add("config.contradiction",
          ignored == Chosen::yes ? "ignore" : "config_groups: targets",
          fmt::format("{} quantized, as it is stored", path),
          ignored == Chosen::yes ? "a list with it" : "no list with it");
      return false;
    }
    if (plain && !packed(path) && claimed) {
      add("config.contradiction",
          "ignore",
          fmt::format("{}, which is stored as it was", path),
          "a list without it");
      return false;
    }
    return true;
  }

  QuantizationChecker& checker_;
  const Json* groups_ = nullptr;
};

}  // namespace

void check_compressed_targets(QuantizationChecker& checker) {
  TargetsLook(checker).look();
}

}  // namespace assay::rules
