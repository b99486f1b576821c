#include "assay/check/published.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/declared_shapes.h"
#include "assay/formats/json_fields.h"
#include "assay/inspect/class_defaults.h"

namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;

// Spellings of one field, by library version and class.
using Names = std::vector<std::string_view>;

bool same(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    double x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) <= 1e-6 * std::abs(y);
  }
  return a.is_array() && b.is_array() ? std::ranges::equal(a, b, same) : a == b;
}

Json numbers(std::string_view list) {
  auto text = fmt::format("[{}]", list);
  return Json::parse(text);
}

void add_new(Json& list, const Json& more) {
  for (const auto& value : more) {
    bool known = std::ranges::any_of(
        list, [&](const Json& one) { return same(one, value); });
    if (!known) {
      list.push_back(value);
    }
  }
}

class PublishedLook {
 public:
  explicit PublishedLook(const ConfigPart& part) : part_(part) {}

  // `fixed`: only what a class has whoever trained the model.
  Findings by_class(std::string_view name, bool fixed = false) {
    constexpr auto kFixed =
        std::to_array<std::string_view>({"activation_function",
                                         "hidden_act",
                                         "hidden_activation",
                                         "swiglu_alpha",
                                         "swiglu_limit",
                                         "use_bidirectional_attention"});
    for (const auto& entry : published_classes()) {
      if (entry.name == name) {
        auto values = Json::parse(entry.values);
        for (const auto& [field, allowed] : values.items()) {
          if (!fixed || std::ranges::find(kFixed, field) != kFixed.end()) {
            hold({field}, allowed, entry.name);
          }
        }
      }
    }
    return std::move(findings_);
  }

  bool known_size() const {
    return std::ranges::any_of(published_models(),
                               [&](const PublishedModel& model) {
                                 return model.type == type() && is_of(model);
                               });
  }

  // A norm that no published model of the type has, and is no slip of the
  // hand either: a power of ten.
  bool has_own_norm() const {
    auto epsilon = number(part_.fields, "rms_norm_eps");
    double power = epsilon ? std::log10(*epsilon) : 0;
    if (!epsilon || std::abs(power - std::round(power)) > 1e-6) {
      return false;
    }
    bool any = false;
    for (const auto& model : published_models()) {
      if (model.type == type() && !model.epsilons.empty()) {
        any = true;
        for (const auto& value : numbers(model.epsilons)) {
          if (same(value, *epsilon)) {
            return false;
          }
        }
      }
    }
    return any;
  }

  // By size; where the size is of no published model, rotations and norms are
  // still those of some model of the type. A part of a vision-language model
  // must have those, a model by itself may have those of another kind: the
  // table does not know all models.
  Findings by_size(OwnValues own) {
    std::vector<const PublishedModel*> alike, sized;
    for (const auto& model : published_models()) {
      if (model.type == type()) {
        alike.push_back(&model);
        if (is_of(model)) {
          sized.push_back(&model);
        }
      }
    }
    if (alike.empty()) {
      return {};
    }
    auto what = sized.empty() ? fmt::format("{} models", type())
                              : std::string(sized.front()->names);
    const auto& models = sized.empty() ? alike : sized;
    Json thetas = Json::array(), epsilons = Json::array();
    for (const auto* model : models) {
      add_new(thetas, numbers(model->thetas));
      add_new(epsilons, numbers(model->epsilons));
    }
    unknown_ = own == OwnValues::allowed && sized.empty();
    of_any_kind_ = of_any(&PublishedModel::thetas);
    hold_spread({"rope_theta",
                 "rope_parameters.rope_theta",
                 "rope_parameters.full_attention.rope_theta"},
                thetas,
                what,
                sized.empty());
    of_any_kind_ = of_any(&PublishedModel::epsilons);
    hold_spread({"rms_norm_eps", "layer_norm_eps", "norm_eps"},
                epsilons,
                what,
                sized.empty());
    if (!sized.empty()) {
      hold_heads(sized, what);
    }
    return std::move(findings_);
  }

 private:
  // A text part's rows are those of the language model that it is.
  std::string_view type() const {
    std::string_view type = part_.type;
    if (type == "qwen2_vl_text" || type == "qwen2_5_vl_text") {
      return "qwen2";
    }
    return type == "qwen3_vl_text" ? "qwen3" : type;
  }

  std::optional<int64_t> size(std::initializer_list<const char*> names) const {
    for (const auto* name : names) {
      if (auto value = integer(part_.fields, name)) {
        return value;
      }
    }
    return std::nullopt;
  }

  bool is_of(const PublishedModel& model) const {
    return size({"embed_dim", "hidden_size"}) == model.width &&
           size({"num_hidden_layers", "depth"}) == model.layers &&
           size({"intermediate_size"}).value_or(0) == model.inner;
  }

  static Json of_any(std::string_view PublishedModel::* list) {
    Json values = Json::array();
    for (const auto& model : published_models()) {
      add_new(values, numbers(model.*list));
    }
    return values;
  }

  // The spelling that the file has, or the one its class has.
  std::string_view spelled(const Names& names) const {
    for (const auto* object : {&part_.stored, &part_.fields}) {
      for (auto name : names) {
        if (member_at(*object, name) != nullptr) {
          return name;
        }
      }
    }
    return names.front();
  }

  void hold_spread(const Names& names,
                   Json allowed,
                   std::string_view what,
                   bool any_size) {
    if (allowed.empty()) {
      return;
    }
    auto name = spelled(names);
    bool stated = part_.states(name);
    if (any_size) {
      auto defaults = class_defaults(part_.type);
      const auto* usual = member_at(defaults, name);
      if (!stated && allowed.size() == 1 && usual == nullptr) {
        return;
      }
      if (!stated && allowed.size() > 1) {
        findings_.push_back(field_finding(
            "config.missing-field",
            part_,
            name,
            fmt::format("one of {}, as {} have", shown(allowed), what)));
        return;
      }
      if (usual != nullptr) {
        add_new(allowed, Json::array({*usual}));
      }
    }
    hold({name}, allowed, what);
  }

  void hold_heads(const std::vector<const PublishedModel*>& models,
                  std::string_view what) {
    struct Count {
      Names names;
      int64_t PublishedModel::* value;
    };
    for (const auto& count :
         {Count{{"num_attention_heads", "num_heads", "attention_heads"},
                &PublishedModel::heads},
          Count{{"num_key_value_heads"}, &PublishedModel::kv_heads},
          Count{{"head_dim"}, &PublishedModel::head_dim}}) {
      Json allowed = Json::array();
      for (const auto* model : models) {
        if (model->*count.value > 0) {
          add_new(allowed, Json::array({model->*count.value}));
        }
      }
      auto name = spelled(count.names);
      if (!allowed.empty() && member_at(part_.fields, name) != nullptr) {
        hold({name}, allowed, what);
      }
    }
  }

  void hold(const Names& names, const Json& allowed, std::string_view what) {
    auto name = spelled(names);
    const auto* value = member_at(part_.fields, name);
    bool published = std::ranges::any_of(allowed, [&](const Json& one) {
      return value == nullptr ? one.is_null() : same(one, *value);
    });
    if (!published && (value != nullptr || !allowed.empty())) {
      auto list = shown(allowed.size() == 1 ? allowed[0] : allowed);
      bool elsewhere = unknown_ && value != nullptr &&
                       std::ranges::any_of(of_any_kind_, [&](const Json& one) {
                         return same(one, *value);
                       });
      findings_.push_back(field_finding(
          elsewhere ? "config.unknown-size" : "config.unpublished-value",
          part_,
          name,
          fmt::format(
              "{}, as in {}{}",
              list,
              what,
              unknown_ ? ", of which none of this shape is known" : "")));
    }
  }

  const ConfigPart& part_;
  bool unknown_ = false;  ///< a model by itself, of a size not in the table
  Json of_any_kind_ = Json::array();  ///< what any published model has
  Findings findings_;
};

}  // namespace

Findings published_values(const ConfigPart& part, std::string_view name) {
  return PublishedLook(part).by_class(name);
}

bool is_published_size(const ConfigPart& part) {
  return PublishedLook(part).known_size();
}

Findings published_values(const ConfigPart& part, OwnValues own) {
  PublishedLook look(part);
  if (own == OwnValues::allowed && !look.known_size() && look.has_own_norm()) {
    return PublishedLook(part).by_class(part.type, true);
  }
  auto findings = PublishedLook(part).by_class(part.type);
  std::ranges::move(PublishedLook(part).by_size(own),
                    std::back_inserter(findings));
  return findings;
}

ConfigPart language_config(const Json& config, const std::string& where) {
  ConfigPart part{text(config, "model_type"), where, config, {}};
  part.fields = config;
  return part;
}

}  // namespace assay::rules
