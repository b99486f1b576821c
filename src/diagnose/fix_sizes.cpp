// Sizes of a config that the tensors prove. A field and a value are proposed
// by how the declared shapes depend on the field; the tree then says whether
// all stored tensors are as declared. No name or shape is written here.

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/language_rules.h"
#include "assay/check/rules.h"
#include "assay/diagnose/repairs.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/class_defaults.h"
#include "assay/inspect/declared.h"

namespace assay::repair {
namespace {

constexpr auto kSizesDocument = "config.json";
constexpr int kMaxSteps = 6;
constexpr size_t kMaxValues = 64;
constexpr int64_t kLargest = int64_t{1} << 31;
// Absent, they follow from the number of heads.
constexpr std::array kRuled = {"num_key_value_heads", "head_dim"};

using Path = std::vector<std::string>;

/** How far the files are from what a config declares. */
struct Distance {
  size_t wrong = 0;  ///< missing, or of another shape
  size_t unexpected = 0;
  auto operator<=>(const Distance&) const = default;
  bool none() const { return wrong == 0 && unexpected == 0; }
};

struct Held {
  Distance distance;
  std::map<std::string, Shape> declared;
  /** Declared and stored, where these differ. */
  std::vector<std::pair<std::string, Shape>> stored;
};

struct Proposal {
  Path path;
  Json value;
  Distance distance;
};

const Json* at(const Json& config, const Path& path) {
  const Json* value = &config;
  for (const auto& key : path) {
    auto entry = value->is_object() ? value->find(key) : value->end();
    if (!value->is_object() || entry == value->end()) {
      return nullptr;
    }
    value = &*entry;
  }
  return value;
}

Json with(const Json& config, const Path& path, const Json& value) {
  Json changed = config;
  Json* place = &changed;
  for (const auto& key : path) {
    place = &(*place)[key];
  }
  *place = value;
  return changed;
}

std::string dotted(const Path& path) {
  return fmt::format("{}", fmt::join(path, "."));
}

class Search {
 public:
  explicit Search(Workbench& bench)
      : bench_(bench),
        model_(open_model(bench.draft.folder())),
        where_((bench.draft.model() / kSizesDocument).string()) {}

  void run() {
    if (model_.container != Container::safetensors ||
        !model_.config.is_object()) {
      leave("its settings lie inside the file of weights");
      return;
    }
    auto start = model_.config;
    auto config = start;
    if (!buildable(config)) {
      return;
    }
    auto held = hold(config);
    if (held && held->distance.none() && found_.empty()) {
      leave("every tensor has the declared shape: none of them shows it");
      return;
    }
    constexpr Distance kNotBuildable{std::numeric_limits<size_t>::max(), 0};
    auto first = held && found_.empty() ? held->distance : kNotBuildable;
    std::vector<Proposal> steps;
    while (held && !held->distance.none() && steps.size() < kMaxSteps) {
      auto step = best(config, *held);
      if (!step) {
        break;
      }
      config = with(config, step->path, step->value);
      held = hold(config);
      steps.push_back(std::move(*step));
    }
    if (!held || held->distance.wrong > 0 || held->distance >= first) {
      leave(reason_.empty() ? "no single value of one field makes all tensors "
                              "fit"
                            : reason_);
      return;
    }
    accept(start, config, steps);
  }

 private:
  void leave(const std::string& why) {
    for (const auto& one : repairs()) {
      if (one.run == sizes) {
        bench_.leave(one.id, why);
      }
    }
  }

  std::optional<Held> hold(const Json& config) const {
    try {
      auto tree = arch::build_tree(config, where_);
      auto declared = hold_against_tree(tree, model_);
      Held held;
      held.distance.wrong = declared.missing.size();
      held.distance.unexpected = declared.unexpected.size();
      for (const auto* copy : rules::head_copies(declared)) {
        // A tied matrix that is stored twice proves nothing.
        auto place = std::ranges::find(declared.unexpected, copy);
        held.distance.unexpected -= place != declared.unexpected.end() ? 1 : 0;
      }
      for (const auto& match : declared.matches) {
        if (match.shape != match.spec->shape()) {
          ++held.distance.wrong;
          held.stored.emplace_back(match.spec->name, match.shape);
        }
      }
      for (const auto& spec : tree.parameters) {
        held.declared.emplace(spec.name, spec.shape());
      }
      return held;
    } catch (const Error&) {
      return std::nullopt;
    } catch (const std::exception&) {
      return std::nullopt;  // shapes that MLX's own arithmetic refuses
    }
  }

  /** Fields that are absent or of another kind are the first to be found. */
  bool buildable(Json& config) {
    for (int i = 0; i < kMaxSteps; ++i) {
      std::string field;
      std::string id;
      try {
        arch::build_tree(config, where_);
        return true;
      } catch (const Error& error) {
        id = error.finding().id;
        field = field_of(error.finding());
      }
      growth_.clear();
      auto proposals = id == "arch.unsupported" || field == "model_type"
                           ? types(config)
                           : values_for(config, {field});
      if (field.empty() || proposals.size() != 1) {
        leave(field.empty() || proposals.empty()
                  ? fmt::format("no value of {} makes all tensors fit",
                                field.empty() ? "any field" : field)
                  : fmt::format("the tensors do not show {}: they fit with "
                                "{} and with {}",
                                field,
                                proposals[0].value.dump(),
                                proposals[1].value.dump()));
        return false;
      }
      config = with(config, proposals[0].path, proposals[0].value);
      found_.push_back(proposals[0]);
    }
    return false;
  }

  // "config.missing-field" names the field in `expected` (with others that
  // would do), "config.invalid-value" in `where`.
  static std::string field_of(const Finding& finding) {
    if (finding.id == "arch.unsupported") {
      return "model_type";
    }
    if (finding.id == "config.missing-field") {
      return finding.expected.substr(0, finding.expected.find(" or "));
    }
    auto colon = finding.where.rfind(": ");
    return finding.id == "config.invalid-value" && colon != std::string::npos
               ? finding.where.substr(colon + 2)
               : "";
  }

  /** Architectures of the class that the config names. */
  std::vector<Proposal> types(const Json& config) const {
    std::vector<Proposal> fitting;
    auto classes = config.value("architectures", Json());
    for (const auto& one : arch::architectures()) {
      bool named = classes.is_array() && classes.size() == 1 &&
                   classes[0] == one.class_name;
      auto type = Json(one.model_type);
      if (!named) {
        continue;
      }
      auto held = hold(with(config, {"model_type"}, type));
      if (held && held->distance.none()) {
        fitting.push_back({{"model_type"}, type, held->distance});
      }
    }
    return fitting;
  }

  /** False for a value with which the tree would be far larger than the files:
   * a width as a number of layers. */
  bool affordable(const Json& config, const Path& path, int64_t value) const {
    auto count = [&](int64_t one) -> int64_t {
      auto held = hold(with(config, path, one));
      return held ? static_cast<int64_t>(held->declared.size()) : 0;
    };
    auto [entry, fresh] = growth_.emplace(dotted(path), 0);
    if (fresh) {
      auto one = count(1);
      auto two = count(2);
      entry->second = one > 0 && two > one ? two - one : 0;
    }
    auto limit = 4 * static_cast<int64_t>(model_.tensors.size()) + 1000;
    return entry->second == 0 || value <= limit / entry->second;
  }

  /** Values of one field with which all tensors are as declared. */
  std::vector<Proposal> values_for(const Json& config, const Path& path) const {
    std::vector<Json> values = {false, true};
    for (auto number : numbers()) {
      values.emplace_back(number);
    }
    for (int seed : {1, 2, 4, 8}) {
      if (auto held = hold(with(config, path, seed))) {
        for (auto value : by_shapes(config, path, seed, *held)) {
          values.emplace_back(value);
        }
      }
      values.emplace_back(seed);
    }
    std::vector<Proposal> fitting;
    for (const auto& value : values) {
      bool again = std::ranges::any_of(
          fitting, [&](const Proposal& one) { return one.value == value; });
      if (again || (value.is_number() &&
                    !affordable(config, path, value.get<int64_t>()))) {
        continue;
      }
      auto held = hold(with(config, path, value));
      if (held && held->distance.wrong == 0) {
        fitting.push_back({path, value, held->distance});
      }
    }
    auto nearest = std::ranges::min_element(fitting, {}, &Proposal::distance);
    if (nearest != fitting.end()) {
      auto least = nearest->distance;
      std::erase_if(fitting,
                    [&](const Proposal& one) { return one.distance > least; });
    }
    return fitting;
  }

  /** Numbers that the files show: dimensions, and how many of each numbered
   * part there are. */
  std::set<int64_t> numbers() const {
    std::set<int64_t> found;
    for (const auto& tensor : model_.tensors) {
      found.insert(tensor.shape.begin(), tensor.shape.end());
      if (found.size() > kMaxValues) {
        break;
      }
    }
    auto counts = counted();
    found.insert(counts.begin(), counts.end());
    std::erase_if(found, [](int64_t value) { return value < 1; });
    return found;
  }

  /** One more than the largest number at each place of the tensors' names. */
  std::set<int64_t> counted() const {
    std::map<std::string, int64_t> largest;
    for (const auto& tensor : model_.tensors) {
      std::string prefix;
      std::string_view rest = tensor.name;
      while (!rest.empty()) {
        auto dot = std::min(rest.find('.'), rest.size());
        std::string part(rest.substr(0, dot));
        int64_t number = 0;
        const auto* end = part.data() + part.size();
        bool whole = !part.empty() &&
                     std::from_chars(part.data(), end, number).ptr == end &&
                     number >= 0 && number < kLargest;
        prefix += whole ? "#." : part + ".";
        if (whole) {
          auto& most = largest[prefix];
          most = std::max(most, number + 1);
        }
        rest.remove_prefix(std::min(dot + 1, rest.size()));
      }
    }
    std::set<int64_t> counts;
    for (const auto& [prefix, count] : largest) {
      counts.insert(count);
    }
    return counts;
  }

  /** Values of a field that would turn a declared dimension into the stored
   * one: by the slope of the dimension over the field, and where the dimension
   * is inverse to it. */
  std::set<int64_t> by_shapes(const Json& config,
                              const Path& path,
                              int64_t value,
                              const Held& held) const {
    std::set<int64_t> values;
    std::optional<Held> other;
    int64_t step = 0;
    for (auto change : {value, int64_t{1}, -value / 2, int64_t{2}}) {
      if (change == 0) {
        continue;
      }
      other = hold(with(config, path, value + change));
      if (other) {
        step = change;
        break;
      }
    }
    auto add = [&](int64_t found) {
      if (found > 0 && found != value && found < kLargest &&
          values.size() < kMaxValues) {
        values.insert(found);
      }
    };
    for (const auto& [name, stored] : held.stored) {
      const auto& declared = held.declared.at(name);
      auto moved = other ? other->declared.find(name) : held.declared.end();
      bool known = other && moved != other->declared.end() &&
                   moved->second.size() == declared.size();
      for (size_t i = 0; i < std::min(declared.size(), stored.size()); ++i) {
        auto gap = stored[i] - declared[i];
        if (gap == 0) {
          continue;
        }
        if (known && moved->second[i] != declared[i]) {
          auto slope = moved->second[i] - declared[i];
          if (gap * step % slope == 0) {
            add(value + gap * step / slope);
          }
        }
        for (auto [by, of] : {std::pair(stored[i], declared[i]),
                              std::pair(declared[i], stored[i])}) {
          if (of > 0 && value * by % of == 0) {
            add(value * by / of);
          }
        }
      }
    }
    return values;
  }

  /** The field and value that come nearest; nothing where none does, or two
   * come as near. */
  std::optional<Proposal> best(const Json& config, const Held& held) {
    std::vector<Proposal> nearest;
    auto counts = counted();
    auto consider = [&](const Path& path, const Json& value) {
      auto next = hold(with(config, path, value));
      if (!next || next->distance >= held.distance) {
        return;
      }
      if (!nearest.empty() && next->distance < nearest[0].distance) {
        nearest.clear();
      }
      if (nearest.empty() || next->distance == nearest[0].distance) {
        nearest.push_back({path, value, next->distance});
      }
    };
    for (const auto& path : fields(config)) {
      const auto& value = *at(config, path);
      if (value.is_boolean()) {
        consider(path, !value.get<bool>());
        continue;
      }
      auto number = value.get<int64_t>();
      auto values = by_shapes(config, path, number, held);
      if (held.stored.size() < held.distance.wrong ||
          held.distance.unexpected > 0) {
        values.insert(counts.begin(), counts.end());
      }
      values.erase(number);
      for (auto one : values) {
        if (affordable(config, path, one)) {
          consider(path, one);
        }
      }
    }
    bool whole = !nearest.empty() && nearest[0].distance.none();
    if (auto absent = whole ? std::vector<Proposal>() : of_absent(config, held);
        !absent.empty()) {
      nearest = std::move(absent);
    }
    if (nearest.size() > 1) {
      reason_ = fmt::format(
          "the tensors fit with {} {} as well as with {} {}: which was meant "
          "cannot be told",
          dotted(nearest[0].path),
          nearest[0].value.dump(),
          dotted(nearest[1].path),
          nearest[1].value.dump());
    }
    return nearest.size() == 1 ? std::optional(nearest[0]) : std::nullopt;
  }

  /** Fields that are not there, so that a default stands for them, with the
   * values that make all tensors fit. */
  std::vector<Proposal> of_absent(const Json& config, const Held& held) const {
    std::vector<Proposal> fitting;
    for (const auto& path : absent_fields(config)) {
      auto shown = [&](int64_t value) {
        auto other = hold(with(config, path, value));
        return other && other->declared != held.declared;
      };
      if (!shown(1) && !shown(2)) {
        continue;  // no shape depends on it
      }
      auto values = values_for(config, path);
      std::erase_if(values, [](const Proposal& one) {
        return !one.distance.none() || !one.value.is_number();
      });
      std::ranges::move(values, std::back_inserter(fitting));
    }
    return fitting;
  }

  /** Whole numbers that the config leaves out: those that its class has a
   * default for, and those for whose absence it has a rule. */
  static std::vector<Path> absent_fields(const Json& config) {
    std::vector<Path> found;
    auto add = [&](const Json& part, const Path& above) {
      auto type = part.value("model_type", Json());
      if (!type.is_string()) {
        return;
      }
      auto defaults = class_defaults(type.get<std::string>());
      for (const auto* key : kRuled) {
        defaults[key] = 0;
      }
      for (const auto& [key, value] : defaults.items()) {
        if (value.is_number_integer() && !key.ends_with("_token_id") &&
            part.value(key, Json()).is_null()) {
          found.push_back(above);
          found.back().push_back(key);
        }
      }
    };
    add(config, {});
    for (const auto& [key, value] : config.items()) {
      if (value.is_object() && key.ends_with("_config") &&
          !key.starts_with("quantization")) {
        add(value, {key});
      }
    }
    return found;
  }

  /** Whole positive numbers and switches, of the config and its parts. */
  static std::vector<Path> fields(const Json& config) {
    std::vector<Path> found;
    auto add = [&](const Path& path, const Json& value) {
      if (value.is_boolean() ||
          (value.is_number_integer() && value.get<int64_t>() > 0 &&
           value.get<int64_t>() < kLargest)) {
        found.push_back(path);
      }
    };
    for (const auto& [key, value] : config.items()) {
      add({key}, value);
      if (value.is_object() && key.ends_with("_config") &&
          !key.starts_with("quantization")) {
        for (const auto& [inner, part] : value.items()) {
          add({key, inner}, part);
        }
      }
    }
    return found;
  }

  // A config that says more layers than an incomplete set of shards shows may
  // well be right.
  bool files_incomplete() const {
    return std::ranges::any_of(model_.findings, [](const Finding& finding) {
      return finding.id == "index.missing-shard" ||
             finding.id == "index.stale-entry";
    });
  }

  size_t contradictions(const Json& config) {
    model_.config = config;
    auto facts = inspect(model_);
    auto found = rules::config_fields(model_, config, facts).size();
    return found;
  }

  void accept(const Json& start,
              const Json& config,
              const std::vector<Proposal>& steps) {
    if (files_incomplete()) {
      leave("shards are missing: the config may be right and the files not");
      return;
    }
    auto before = contradictions(start);
    if (contradictions(config) > before) {
      leave(fmt::format("{} {} would contradict another field of the config",
                        dotted(steps.empty() ? found_[0].path : steps[0].path),
                        (steps.empty() ? found_[0] : steps[0]).value.dump()));
      return;
    }
    auto all = found_;
    all.insert(all.end(), steps.begin(), steps.end());
    for (const auto& step : all) {
      bench_.draft.set(
          kSizesDocument,
          step.path,
          step.value,
          fmt::format("{}: with {} every tensor has the declared shape",
                      dotted(step.path),
                      step.value.dump()));
    }
  }

  Workbench& bench_;
  ModelFiles model_;
  std::string where_;
  std::string reason_;
  std::vector<Proposal> found_;  ///< of fields without which there is no tree
  /** By field: how many parameters one more of it adds. */
  mutable std::map<std::string, int64_t> growth_;
};

}  // namespace

void sizes(Workbench& bench) {
  if (!bench.draft.exists(kSizesDocument)) {
    return;
  }
  Search(bench).run();
}

}  // namespace assay::repair
