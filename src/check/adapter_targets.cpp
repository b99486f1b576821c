#include <algorithm>
#include <array>
#include <set>
#include <span>

#include <fmt/format.h>

#include "assay/check/adapter.h"
#include "assay/check/module_pattern.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

// The modules that a config names, and those that have tensors.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

/** An entry that is a list of texts; nothing otherwise. */
std::optional<std::vector<std::string>> texts(const Json& config,
                                              std::string_view name) {
  if (!config.is_object() || !config.contains(name) ||
      !config[name].is_array()) {
    return std::nullopt;
  }
  std::vector<std::string> list;
  for (const auto& entry : config[name]) {
    if (!entry.is_string()) {
      return std::nullopt;
    }
    list.push_back(entry.get<std::string>());
  }
  return list;
}

std::string dumped(const Json& value) {
  return quote(value.dump(-1, ' ', true));
}

void unused(Findings& findings,
            const Adapter& adapter,
            std::string_view field,
            const std::string& entry) {
  findings.push_back(
      make_finding("adapter.target-unused",
                   fmt::format("{}: {}", adapter.config_path.string(), field),
                   "tensors for " + quote(entry),
                   "none"));
}

void unlisted(Findings& findings,
              const Adapter& adapter,
              std::string_view field,
              const std::string& target) {
  findings.push_back(
      make_finding("adapter.target-unlisted",
                   fmt::format("{}: {}", adapter.config_path.string(), field),
                   "an entry for " + quote(target),
                   "none"));
}

// layers_to_transform is one number or a list.
std::optional<std::set<int64_t>> chosen_layers(const Json& config) {
  auto value = config.value("layers_to_transform", Json());
  std::set<int64_t> layers;
  if (value.is_number_integer()) {
    layers.insert(value.get<int64_t>());
  } else if (value.is_array()) {
    for (const auto& entry : value) {
      if (entry.is_number_integer()) {
        layers.insert(entry.get<int64_t>());
      }
    }
  }
  return layers.empty() ? std::nullopt : std::optional(layers);
}

// A module that exclude_modules names is never adapted, whatever else does.
void peft_excluded(Findings& findings, const Adapter& adapter) {
  auto value = adapter.config.value("exclude_modules", Json());
  auto pattern = value.is_string()
                     ? ModulePattern::read(value.get<std::string>())
                     : std::nullopt;
  auto list = texts(adapter.config, "exclude_modules")
                  .value_or(std::vector<std::string>());
  for (const auto& module : adapter.modules) {
    auto path = module_in_base(module.target);
    bool excluded = (pattern && pattern->matches(path)) ||
                    std::ranges::any_of(list, [&](const auto& entry) {
                      return matches_module(path, entry);
                    });
    if (excluded) {
      findings.push_back(
          make_finding("adapter.target-unlisted",
                       adapter.config_path.string() + ": exclude_modules",
                       "no entry for " + quote(module.target),
                       dumped(value)));
    }
  }
}

// Keys of rank_pattern and alpha_pattern, as PEFT matches them: a regular
// expression for the end of a path.
void peft_patterns(Findings& findings,
                   const Adapter& adapter,
                   std::string_view field) {
  auto patterns = adapter.config.value(field, Json());
  auto where =
      fmt::format("{}: {}", adapter.config_path.string(), std::string(field));
  if (!patterns.is_object()) {
    return;
  }
  for (const auto& [key, value] : patterns.items()) {
    if (!value.is_number() || !(value.get<double>() > 0)) {
      findings.push_back(make_finding("adapter.invalid-value",
                                      where + "." + quote(key),
                                      "a number above 0",
                                      dumped(value)));
    }
    auto pattern = ModulePattern::read("(.*\\.)?(" + key + ")");
    bool used = !pattern || adapter.modules.empty() ||
                std::ranges::any_of(adapter.modules, [&](const auto& module) {
                  return pattern->matches(module_in_base(module.target));
                });
    if (!used) {
      unused(findings, adapter, field, key);
    }
  }
}

void peft_pairs(Findings& findings,
                const Adapter& adapter,
                const std::vector<std::string>& targets) {
  auto parameters = texts(adapter.config, "target_parameters");
  auto layers = chosen_layers(adapter.config);
  std::set<std::string> used;
  for (const auto& module : adapter.modules) {
    auto path = module_in_base(module.target);
    bool listed = parameters && !parameters->empty();
    for (const auto& entry : targets) {
      if (matches_module(path, entry)) {
        used.insert(entry);
        listed = true;
      }
    }
    auto layer = layer_of(path);
    if (listed && layers && layer && !layers->contains(*layer)) {
      unlisted(findings, adapter, "layers_to_transform", module.target);
    } else if (!listed) {
      unlisted(findings, adapter, "target_modules", module.target);
    }
  }
  for (const auto& entry : targets) {
    if (!used.contains(entry)) {
      unused(findings, adapter, "target_modules", entry);
    }
  }
}

// One text is a regular expression for whole paths, as re.fullmatch takes it.
void peft_pattern(Findings& findings,
                  const Adapter& adapter,
                  const std::string& text) {
  auto pattern = ModulePattern::read(text);
  if (!pattern) {
    findings.push_back(make_finding(
        "adapter.pattern-unread",
        adapter.config_path.string() + ": target_modules",
        "a regular expression without look-around and back-references",
        quote(text)));
    return;
  }
  for (const auto& module : adapter.modules) {
    if (!pattern->matches(module_in_base(module.target))) {
      unlisted(findings, adapter, "target_modules", module.target);
    }
  }
}

bool ends_in(std::string_view module, std::span<const std::string_view> names) {
  return std::ranges::any_of(
      names, [&](auto name) { return matches_module(module, name); });
}

/** A tensor that is no factor: the path of its module, and its own name. */
struct WholeTensor {
  explicit WholeTensor(std::string_view tensor)
      : path(module_in_base(tensor)), leaf(path.substr(path.rfind('.') + 1)) {
    module =
        path.substr(0, path.size() - std::min(path.size(), leaf.size() + 1));
    // What an adapted embedding was before.
    constexpr std::string_view kBefore = ".base_layer";
    if (module.ends_with(kBefore)) {
      module.remove_suffix(kBefore.size());
    }
  }
  std::string_view path, leaf, module;
};

constexpr auto kInputs = std::to_array<std::string_view>(
    {"embed_tokens", "wte", "embed_in", "word_embeddings", "shared"});
constexpr auto kHeads =
    std::to_array<std::string_view>({"lm_head", "embed_out"});

// Embeddings that were adapted or resized are saved without being named; the
// head, where it was adapted, or beside the embedding
// (get_peft_model_state_dict in huggingface/peft,
// src/peft/utils/save_and_load.py).
bool saved_along(const Adapter& adapter, const WholeTensor& tensor) {
  if (!ends_in(tensor.module, kHeads)) {
    return ends_in(tensor.module, kInputs);
  }
  return std::ranges::any_of(adapter.modules,
                             [&](const auto& module) {
                               return module_in_base(module.target) ==
                                      tensor.module;
                             }) ||
         std::ranges::any_of(adapter.others, [](const auto* other) {
           return ends_in(WholeTensor(other->name).module, kInputs);
         });
}

// Modules that were trained whole, and the biases and embeddings that PEFT
// saves along.
void peft_others(Findings& findings, const Adapter& adapter) {
  auto whole = texts(adapter.config, "modules_to_save")
                   .value_or(std::vector<std::string>());
  auto bias = adapter.config.value("bias", Json());
  auto tokens = adapter.config.value("trainable_token_indices", Json());
  std::set<std::string> used;
  for (const auto* other : adapter.others) {
    WholeTensor tensor(other->name);
    bool known =
        (tensor.leaf == "bias" && (bias == "all" || bias == "lora_only")) ||
        saved_along(adapter, tensor) ||
        (!tokens.is_null() &&
         tensor.path.find("trainable_tokens") != std::string_view::npos);
    for (const auto& entry : whole) {
      // A module that is saved whole may have others inside.
      if (("." + std::string(tensor.path) + ".").find("." + entry + ".") !=
          std::string::npos) {
        used.insert(entry);
        known = true;
      }
    }
    if (!known) {
      findings.push_back(
          make_finding("adapter.other-tensors",
                       adapter.files.files.front().string(),
                       "parts of the adapter, or an entry of modules_to_save",
                       quote(other->name)));
    }
  }
  for (const auto& entry : whole) {
    if (!used.contains(entry)) {
      unused(findings, adapter, "modules_to_save", entry);
    }
  }
}

// mlx-lm takes a key that is a module's whole path, or its whole path inside a
// layer; an ending of either is not enough.
bool is_key(std::string_view target, std::string_view key) {
  if (target == key) {
    return true;
  }
  for (auto rest = target; !rest.empty();) {
    auto dot = rest.find('.');
    auto segment = rest.substr(0, dot);
    rest = dot == std::string_view::npos ? "" : rest.substr(dot + 1);
    if (segment.find_first_not_of("0123456789") == std::string_view::npos) {
      return rest == key;  // after the layer's number
    }
  }
  return false;
}

// The last num_layers layers are adapted.
void mlx_targets(Findings& findings, const Adapter& adapter) {
  auto settings = adapter.config.value("lora_parameters", Json());
  auto keys = texts(settings, "keys");
  std::set<int64_t> layers;
  std::set<std::string> used;
  for (const auto& module : adapter.modules) {
    bool whole = keys && std::ranges::find(*keys, module.target) != keys->end();
    if (auto layer = layer_of(module.target); layer && !whole) {
      layers.insert(*layer);
    }
    // An empty list adapts nothing, none at all every layer.
    bool listed = !keys;
    for (const auto& key : keys.value_or(std::vector<std::string>())) {
      if (is_key(module.target, key)) {
        used.insert(key);
        listed = true;
      }
    }
    if (!listed) {
      unlisted(findings, adapter, "lora_parameters.keys", module.target);
    }
  }
  for (const auto& key : keys.value_or(std::vector<std::string>())) {
    if (!used.contains(key)) {
      unused(findings, adapter, "lora_parameters.keys", key);
    }
  }
  auto count = adapter.config.value("num_layers", Json());
  // No layer or fewer stand for all of them, as in a Python slice.
  if (!count.is_number_integer() || count.get<int64_t>() <= 0 ||
      layers.empty()) {
    return;
  }
  auto has = static_cast<int64_t>(layers.size());
  if (has > count.get<int64_t>()) {
    findings.push_back(
        make_finding("adapter.target-unlisted",
                     adapter.config_path.string() + ": num_layers",
                     fmt::format("{}, the layers that have tensors", has),
                     count.dump()));
  }
}

}  // namespace

std::string_view module_in_base(std::string_view target) {
  constexpr std::string_view kPrefix = "base_model.model.";
  return target.starts_with(kPrefix) ? target.substr(kPrefix.size()) : target;
}

bool matches_module(std::string_view path, std::string_view entry) {
  return path == entry ||
         (path.size() > entry.size() && path.ends_with(entry) &&
          path[path.size() - entry.size() - 1] == '.');
}

// A pipeline's metadata has the config of PEFT for each component: "unet.r",
// "unet.target_modules".
void component_targets(Findings& findings, const Adapter& adapter) {
  auto parts = component_settings(adapter);
  for (const auto& [part, settings] : parts) {
    auto targets = texts(settings, "target_modules");
    if (!targets || targets->empty() || targets->front() == "all-linear") {
      continue;
    }
    std::set<std::string> used;
    auto field = fmt::format("{}: lora_adapter_metadata: {}.target_modules",
                             adapter.files.files.front().string(),
                             part);
    for (const auto& module : adapter.modules) {
      auto name = base_name(adapter, module);
      if (!name.starts_with(part + ".")) {
        continue;
      }
      bool listed = false;
      for (const auto& entry : *targets) {
        if (matches_module(name, entry)) {
          used.insert(entry);
          listed = true;
        }
      }
      if (!listed) {
        findings.push_back(make_finding("adapter.target-unlisted",
                                        field,
                                        "an entry for " + quote(module.target),
                                        "none"));
      }
    }
    for (const auto& entry : *targets) {
      if (!used.contains(entry)) {
        findings.push_back(make_finding("adapter.target-unused",
                                        field,
                                        "tensors for " + quote(entry),
                                        "none"));
      }
    }
  }
}

std::vector<Finding> adapter_targets(const Adapter& adapter) {
  Findings findings;
  if (adapter.dialect == AdapterDialect::diffusers) {
    component_targets(findings, adapter);
    return shorten(std::move(findings));
  }
  if (!adapter.config.is_object()) {
    return findings;
  }
  if (adapter.dialect == AdapterDialect::mlx) {
    mlx_targets(findings, adapter);
  } else if (adapter.dialect == AdapterDialect::peft &&
             adapter.config.value("peft_type", Json()) == "LORA") {
    auto targets = texts(adapter.config, "target_modules");
    auto parameters = texts(adapter.config, "target_parameters");
    bool modules_alone = !parameters || parameters->empty();
    if (targets && targets->empty() && modules_alone) {
      findings.push_back(
          make_finding("adapter.invalid-value",
                       adapter.config_path.string() + ": target_modules",
                       "the modules that the adapter is for",
                       "an empty list"));
    }
    if (targets && !targets->empty() &&
        (targets->size() > 1 || targets->front() != "all-linear")) {
      peft_pairs(findings, adapter, *targets);
    }
    auto pattern = adapter.config.value("target_modules", Json());
    if (pattern.is_null() && modules_alone) {
      std::ranges::move(adapter_default_targets(adapter),
                        std::back_inserter(findings));
    }
    if (pattern.is_string() && pattern != "all-linear") {
      peft_pattern(findings, adapter, pattern.get<std::string>());
    }
    peft_excluded(findings, adapter);
    peft_patterns(findings, adapter, "rank_pattern");
    peft_patterns(findings, adapter, "alpha_pattern");
    peft_others(findings, adapter);
  }
  return shorten(std::move(findings));
}

}  // namespace assay::rules
