#include "assay/check/profiles.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto entry = object.find(name);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

// GGUF keeps settings in float32.
bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    auto x = a.get<double>();
    auto y = b.get<double>();
    return std::abs(x - y) <= 1e-6 * std::max(std::abs(x), std::abs(y));
  }
  return a == b;
}

bool allowed(const Json& value, const Json& published) {
  if (!published.is_array()) {
    return same(value, published);
  }
  return std::ranges::any_of(published,
                             [&](const Json& one) { return same(value, one); });
}

std::string words(const Json& published) {
  if (!published.is_array()) {
    return published.dump();
  }
  std::string text;
  for (const auto& one : published) {
    text += (text.empty() ? "" : " or ") + one.dump();
  }
  return text;
}

/** Rotary settings with the sliding layers' base as a field of its own. */
Json flat_rope(const Json& rope) {
  Json flat = rope.is_object() ? rope : Json::object();
  if (const auto* full = member(rope, "full_attention")) {
    flat = *full;
    if (const auto* sliding = member(rope, "sliding_attention")) {
      if (const auto* theta = member(*sliding, "rope_theta")) {
        flat["rope_local_base_freq"] = *theta;
      }
    }
  }
  if (flat.value("rope_type", Json()).is_null()) {
    flat["rope_type"] = "default";
  }
  return flat;
}

/** One published model beside the one looked at. */
class Comparison {
 public:
  Comparison(const Json& profile, const std::string& where)
      : profile_(&profile), where_(where) {}

  void compare(const Json& config, const Json& rope) {
    if (const auto* values = member(*profile_, "values")) {
      for (const auto& [field, published] : values->items()) {
        hold(config, field, published, field);
      }
    }
    static const Json kPlain = Json{{"rope_type", "default"}};
    const auto* published = member(*profile_, "rope");
    for (const auto& [field, value] :
         (published != nullptr ? *published : kPlain).items()) {
      hold(rope, field, value, "rope " + field);
    }
    if (published != nullptr && !published->contains("rope_type")) {
      hold(rope, "rope_type", "default", "rope rope_type");
    }
    auto count = findings.size();
    if (const auto* context = member(*profile_, "context")) {
      for (const auto* name : {"max_position_embeddings", "n_positions"}) {
        hold(config, name, *context, name, "profile.context");
      }
    }
    // Where all else is as published, another context is worth a word only.
    differences = 2 * count + (findings.size() - count);
  }

  Findings findings;
  size_t differences = 0;

 private:
  void hold(const Json& fields,
            const std::string& field,
            const Json& published,
            const std::string& shown,
            const char* id = "profile.unpublished-value") {
    const auto* value = member(fields, field);
    bool none =
        published.is_null() || (published.is_array() &&
                                std::ranges::any_of(published, &Json::is_null));
    if (value == nullptr || allowed(*value, published)) {
      bool absent_rope =
          value == nullptr && shown.starts_with("rope ") && !none;
      if (!absent_rope) {
        return;  // another rule says which fields may be absent
      }
    }
    findings.push_back(
        make_finding(id,
                     fmt::format("{}: {}", where_, shown),
                     fmt::format("{}, as {} ({})",
                                 words(published),
                                 (*profile_)["name"].get<std::string>(),
                                 (*profile_)["source"].get<std::string>()),
                     value == nullptr ? "none" : value->dump().substr(0, 80)));
  }

  const Json* profile_;
  std::string where_;
};

bool has_shape(const Json& profile, const Json& config) {
  auto type = config.value("model_type", "");
  if (profile["type"] != type) {
    return false;
  }
  for (const auto& [field, wanted] : profile["shape"].items()) {
    const auto* value = member(config, field);
    if (value == nullptr || !same(*value, wanted)) {
      return false;
    }
  }
  return true;
}

}  // namespace

std::vector<Finding> published_values(const Json& config,
                                      const ModelReport& report,
                                      const std::string& where) {
  static const Json kProfiles = Json::parse(profile_table());
  if (!config.is_object() || !config.value("model_type", Json()).is_string()) {
    return {};
  }
  auto rope = flat_rope(report.rope);
  std::optional<Comparison> closest;
  for (const auto& profile : kProfiles) {
    if (!has_shape(profile, config)) {
      continue;
    }
    Comparison comparison(profile, where);
    comparison.compare(config, rope);
    if (!closest || comparison.differences < closest->differences) {
      closest.emplace(std::move(comparison));
    }
  }
  return closest ? std::move(closest->findings) : Findings{};
}

}  // namespace assay::rules
