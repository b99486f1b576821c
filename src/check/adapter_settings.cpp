#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/adapter.h"
#include "assay/check/module_pattern.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

// Rank, scale and method: what a config or metadata says of them against what
// the tensors show. Fields are those of PEFT's LoraConfig, mlx_lm.lora's
// arguments, diffusers' "lora_adapter_metadata" and kohya's ss_*.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;
using Method = AdapterModule::Method;

const Json* field(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto entry = object.find(name);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

std::string shown_value(const Json* value) {
  return value == nullptr ? "none" : quote(value->dump(-1, ' ', true));
}

/** The rank that settings give a module; nothing where they cannot be told. */
std::optional<int64_t> stated_rank(const Json& settings,
                                   std::string_view module) {
  if (const auto* patterns = field(settings, "rank_pattern");
      patterns != nullptr && patterns->is_object()) {
    for (const auto& [key, rank] : patterns->items()) {
      // As PEFT reads a key: the end of a path, after a dot.
      auto pattern = ModulePattern::read("(.*\\.)?(" + key + ")");
      if (!pattern) {
        return std::nullopt;
      }
      if (pattern->matches(module)) {
        return rank.is_number_integer() ? std::optional(rank.get<int64_t>())
                                        : std::nullopt;
      }
    }
  }
  const auto* rank = field(settings, "r");
  return rank != nullptr && rank->is_number_integer()
             ? std::optional(rank->get<int64_t>())
             : std::nullopt;
}

// Several expert matrices in one pair have their ranks one after another.
bool is_rank(int64_t shows, int64_t says, bool many) {
  return shows == says || (many && says > 0 && shows % says == 0);
}

void hold_rank(Findings& findings,
               const Json& settings,
               const std::string& where,
               std::string_view module,
               const AdapterModule& shows) {
  auto says = stated_rank(settings, module);
  bool many = field(settings, "target_parameters") != nullptr;
  if (says && shows.down_rank && !is_rank(*shows.down_rank, *says, many)) {
    findings.push_back(make_finding(
        "adapter.rank-config",
        where,
        fmt::format("{}, as {} shows", *shows.down_rank, quote(module)),
        fmt::format("{}", *says)));
  }
}

std::string_view without_prefix(std::string_view text,
                                std::string_view prefix) {
  return text.starts_with(prefix) ? text.substr(prefix.size()) : text;
}

void invalid(Findings& findings,
             const std::string& where,
             std::string expected,
             const Json* value) {
  findings.push_back(make_finding(
      "adapter.invalid-value", where, std::move(expected), shown_value(value)));
}

bool is_positive(const Json* value) {
  return value != nullptr && value->is_number() && value->get<double>() > 0;
}

bool is_positive_integer(const Json* value) {
  return is_positive(value) && value->is_number_integer();
}

void dora(Findings& findings, const Adapter& adapter, bool uses) {
  auto pairs = std::ranges::count_if(adapter.modules, [](const auto& one) {
    return one.method == Method::lora && one.down != nullptr;
  });
  auto with = std::ranges::count_if(adapter.modules, [](const auto& one) {
    return one.method == Method::lora && one.magnitude != nullptr;
  });
  if (uses ? with < pairs : with > 0) {
    findings.push_back(
        make_finding("adapter.dora",
                     adapter.config_path.string(),
                     uses ? fmt::format("magnitudes of {} pairs", pairs)
                          : "no magnitudes, as the config says",
                     fmt::format("{}", with)));
  }
}

// The methods of PEFT 0.21.
bool is_peft_type(std::string_view name) {
  constexpr auto kTypes = std::to_array<std::string_view>({
      "PROMPT_TUNING",
      "MULTITASK_PROMPT_TUNING",
      "P_TUNING",
      "PREFIX_TUNING",
      "LORA",
      "ADALORA",
      "ADAMSS",
      "BOFT",
      "ADAPTION_PROMPT",
      "IA3",
      "BEFT",
      "LILY",
      "LOHA",
      "LOKR",
      "OFT",
      "POLY",
      "LN_TUNING",
      "VERA",
      "FROD",
      "PVERA",
      "FOURIERFT",
      "GLORA",
      "XLORA",
      "HRA",
      "VBLORA",
      "UNILORA",
      "CPT",
      "MISS",
      "RANDLORA",
      "ROAD",
      "TRAINABLE_TOKENS",
      "HIRA",
      "SHIRA",
      "C3A",
      "WAVEFT",
      "OSF",
      "DELORA",
      "GRALORA",
      "CARTRIDGE",
      "TINYLORA",
      "PSOFT",
      "PEANUT",
      "SHADOW",
      "SUPERTUNING",
      "DEFT",
  });
  return std::ranges::find(kTypes, name) != kTypes.end();
}

// What PEFT refuses, or computes other numbers from.
void peft(Findings& findings, const Adapter& adapter) {
  const auto& config = adapter.config;
  auto where = adapter.config_path.string();
  const auto* type = field(config, "peft_type");
  if (type == nullptr || !type->is_string()) {
    invalid(findings, where + ": peft_type", "the method, as LORA", type);
    return;
  }
  if (!is_peft_type(type->get<std::string>())) {
    invalid(findings, where + ": peft_type", "a method of PEFT", type);
    return;
  }
  // AdaLoRA has a vector of singular values beside every pair.
  bool singular =
      std::ranges::any_of(adapter.files.tensors, [](const TensorInfo& tensor) {
        return tensor.name.find("lora_E") != std::string::npos;
      });
  bool pairs = std::ranges::any_of(adapter.modules, [](const auto& one) {
    return one.method == Method::lora;
  });
  if (*type == "ADALORA" && pairs && !singular) {
    invalid(findings,
            where + ": peft_type",
            "LORA, since no pair has AdaLoRA's lora_E",
            type);
    return;
  }
  if (*type != "LORA") {
    findings.push_back(make_finding("adapter.method",
                                    where + ": peft_type",
                                    "LORA",
                                    quote(type->get<std::string>())));
    return;
  }
  if (const auto* rank = field(config, "r"); !is_positive_integer(rank)) {
    invalid(findings, where + ": r", "a rank of 1 or more", rank);
  }
  const auto* alpha = field(config, "lora_alpha");
  if (alpha == nullptr) {
    findings.push_back(
        make_finding("adapter.scale-missing", where, "lora_alpha", "none"));
  } else if (!alpha->is_number()) {
    invalid(findings, where + ": lora_alpha", "a number", alpha);
  } else if (alpha->get<double>() <= 0) {
    findings.push_back(make_finding("adapter.alpha",
                                    where + ": lora_alpha",
                                    "more than 0",
                                    shown_value(alpha)));
  }
  const auto* bias = field(config, "bias");
  if (bias != nullptr && *bias != "none" && *bias != "all" &&
      *bias != "lora_only") {
    invalid(findings, where + ": bias", "none, all or lora_only", bias);
  }
  const auto* dropout = field(config, "lora_dropout");
  if (dropout != nullptr &&
      (!dropout->is_number() ||
       !(dropout->get<double>() >= 0 && dropout->get<double>() <= 1))) {
    invalid(findings, where + ": lora_dropout", "0 to 1", dropout);
  }
  for (const auto* flag : {"use_rslora", "use_dora"}) {
    const auto* value = field(config, flag);
    if (value != nullptr && !value->is_boolean()) {
      invalid(
          findings, fmt::format("{}: {}", where, flag), "true or false", value);
    }
  }
  Findings ranks;
  for (const auto& module : adapter.modules) {
    if (module.method == Method::lora) {
      hold_rank(ranks,
                config,
                where + ": r",
                without_prefix(module.target, "base_model.model."),
                module);
    }
  }
  std::ranges::move(shorten(std::move(ranks)), std::back_inserter(findings));
  const auto* uses_dora = field(config, "use_dora");
  bool is_dora = uses_dora != nullptr && *uses_dora == true;
  dora(findings, adapter, is_dora);
  const auto* lora_bias = field(config, "lora_bias");
  if (is_dora && lora_bias != nullptr && *lora_bias == true) {
    invalid(findings,
            where + ": lora_bias",
            "false, as PEFT takes it with use_dora",
            lora_bias);
  }
}

void mlx(Findings& findings, const Adapter& adapter) {
  const auto& config = adapter.config;
  auto where = adapter.config_path.string();
  const auto* type = field(config, "fine_tune_type");
  if (type != nullptr && *type != "lora" && *type != "dora" &&
      *type != "full") {
    invalid(findings, where + ": fine_tune_type", "lora, dora or full", type);
  }
  if (type != nullptr && *type == "full") {
    if (!adapter.modules.empty()) {
      invalid(findings,
              where + ": fine_tune_type",
              "lora or dora, since the tensors are pairs",
              type);
    }
    return;
  }
  const auto* settings = field(config, "lora_parameters");
  if (settings == nullptr || !settings->is_object()) {
    invalid(findings,
            where + ": lora_parameters",
            "an object with rank, scale and dropout",
            settings);
    return;
  }
  const auto* scale = field(*settings, "scale");
  if (scale == nullptr) {
    const auto* alpha = field(*settings, "alpha");
    findings.push_back(make_finding(
        "adapter.scale-missing",
        where + ": lora_parameters",
        "scale",
        alpha == nullptr ? "none" : "alpha " + shown_value(alpha)));
  } else if (!scale->is_number()) {
    invalid(findings, where + ": lora_parameters.scale", "a number", scale);
  } else if (scale->get<double>() == 0) {
    findings.push_back(make_finding("adapter.alpha",
                                    where + ": lora_parameters.scale",
                                    "another number than 0",
                                    shown_value(scale)));
  }
  // mlx_lm.tuner.utils reads these without a value to fall back on.
  const auto* dropout = field(*settings, "dropout");
  if (dropout == nullptr || !dropout->is_number() ||
      !(dropout->get<double>() >= 0 && dropout->get<double>() < 1)) {
    invalid(findings,
            where + ": lora_parameters.dropout",
            "a number from 0 to 1",
            dropout);
  }
  if (const auto* layers = field(config, "num_layers");
      layers == nullptr || !layers->is_number_integer()) {
    invalid(findings,
            where + ": num_layers",
            "how many of the last layers are adapted",
            layers);
  }
  const auto* rank = field(*settings, "rank");
  if (!is_positive_integer(rank)) {
    invalid(findings,
            where + ": lora_parameters.rank",
            "a rank of 1 or more",
            rank);
  } else {
    Findings ranks;
    for (const auto& module : adapter.modules) {
      if (module.down_rank && *module.down_rank != rank->get<int64_t>()) {
        ranks.push_back(make_finding(
            "adapter.rank-config",
            where + ": lora_parameters.rank",
            fmt::format(
                "{}, as {} shows", *module.down_rank, quote(module.target)),
            shown_value(rank)));
      }
    }
    std::ranges::move(shorten(std::move(ranks)), std::back_inserter(findings));
  }
  dora(findings, adapter, type != nullptr && *type == "dora");
}

// The config of PEFT for each component, as huggingface/diffusers reads it
// (src/diffusers/loaders/lora_base.py).
void diffusers(Findings& findings, const Adapter& adapter) {
  auto where = adapter.files.files.front().string() + ": lora_adapter_metadata";
  Findings ranks;
  for (const auto& [part, settings] : component_settings(adapter)) {
    auto field_name = [&](std::string_view name) {
      return fmt::format("{}: {}.{}", where, part, name);
    };
    if (const auto* rank = field(settings, "r");
        rank != nullptr && !is_positive_integer(rank)) {
      invalid(findings, field_name("r"), "a rank of 1 or more", rank);
    }
    if (const auto* alpha = field(settings, "lora_alpha");
        alpha != nullptr && !is_positive(alpha)) {
      findings.push_back(make_finding("adapter.alpha",
                                      field_name("lora_alpha"),
                                      "more than 0",
                                      shown_value(alpha)));
    }
    size_t with = 0, pairs = 0;
    for (const auto& module : adapter.modules) {
      if (module.target.starts_with(part + ".")) {
        ++pairs;
        with += module.magnitude != nullptr ? 1 : 0;
        hold_rank(ranks,
                  settings,
                  field_name("r"),
                  std::string_view(module.target).substr(part.size() + 1),
                  module);
      }
    }
    const auto* dora = field(settings, "use_dora");
    bool uses = dora != nullptr && *dora == true;
    if (dora != nullptr && (uses ? with < pairs : with > 0)) {
      findings.push_back(
          make_finding("adapter.dora",
                       field_name("use_dora"),
                       uses ? fmt::format("magnitudes of {} pairs", pairs)
                            : "no magnitudes, as the metadata says",
                       fmt::format("{}", with)));
    }
  }
  std::ranges::move(shorten(std::move(ranks)), std::back_inserter(findings));
}

std::optional<double> number_in(const Adapter& adapter,
                                const std::string& key) {
  const auto& metadata = adapter.files.safetensors_metadata;
  auto entry = metadata.find(key);
  if (entry == metadata.end()) {
    return std::nullopt;
  }
  char* end = nullptr;
  double value = std::strtod(entry->second.c_str(), &end);
  bool whole = end != entry->second.c_str() && *end == '\0';
  return whole ? std::optional(value) : std::nullopt;
}

// "Dynamic" where the adapter was resized; convolutions may have another rank.
void kohya(Findings& findings, const Adapter& adapter) {
  auto rank = number_in(adapter, "ss_network_dim");
  bool lora = std::ranges::any_of(adapter.modules, [](const auto& one) {
    return one.method == Method::lora && one.down_rank;
  });
  if (!rank || !lora) {
    return;
  }
  bool seen = std::ranges::any_of(adapter.modules, [&](const auto& one) {
    return one.down_rank && static_cast<double>(*one.down_rank) == *rank;
  });
  if (!seen) {
    auto first = std::ranges::find_if(adapter.modules, [](const auto& one) {
      return one.down_rank.has_value();
    });
    findings.push_back(make_finding(
        "adapter.metadata",
        adapter.files.files.front().string() + ": ss_network_dim",
        fmt::format("{}, as {} shows", *first->down_rank, quote(first->target)),
        fmt::format("{}", *rank)));
  }
}

void alphas(Findings& findings, const Adapter& adapter) {
  TensorData data(adapter.files);
  Findings bad;
  size_t pairs = 0;
  size_t with = 0;
  for (const auto& module : adapter.modules) {
    pairs += module.down != nullptr ? 1 : 0;
    if (module.alpha == nullptr) {
      continue;
    }
    ++with;
    auto where = fmt::format("{}: {}",
                             adapter.files.files.front().string(),
                             quote(module.alpha->name));
    if (element_count(module.alpha->shape) != 1) {
      bad.push_back(make_finding("adapter.alpha",
                                 where,
                                 "one number",
                                 to_string(module.alpha->shape)));
      continue;
    }
    auto value = scalar_value(data, *module.alpha);
    if (value && !(std::isfinite(*value) && *value > 0)) {
      bad.push_back(make_finding("adapter.alpha",
                                 where,
                                 "a number more than 0",
                                 fmt::format("{}", *value)));
    }
  }
  if (adapter.dialect == AdapterDialect::kohya && with == 0 && pairs > 0) {
    bad.push_back(make_finding("adapter.alpha-absent",
                               adapter.files.files.front().string(),
                               "an alpha for each pair",
                               fmt::format("none for {} pairs", pairs)));
  }
  std::ranges::move(shorten(std::move(bad)), std::back_inserter(findings));
}

void gguf(Findings& findings, const Adapter& adapter) {
  if (!adapter.files.gguf) {
    return;
  }
  auto where = adapter.files.files.front().string();
  auto alpha = adapter.files.gguf->number("adapter.lora.alpha");
  if (!alpha) {
    findings.push_back(make_finding(
        "adapter.scale-missing", where, "key 'adapter.lora.alpha'", "none"));
  } else if (!(*alpha > 0)) {
    findings.push_back(make_finding("adapter.alpha",
                                    where + ": adapter.lora.alpha",
                                    "more than 0",
                                    fmt::format("{}", *alpha)));
  }
  if (auto type = adapter.files.gguf->text("adapter.type");
      type && *type != "lora") {
    findings.push_back(make_finding("adapter.invalid-value",
                                    where + ": adapter.type",
                                    "lora, the only kind llama.cpp reads",
                                    quote(*type)));
  }
}

}  // namespace

std::map<std::string, Json> component_settings(const Adapter& adapter) {
  std::map<std::string, Json> parts;
  const auto& metadata = adapter.files.safetensors_metadata;
  auto entry = metadata.find("lora_adapter_metadata");
  if (entry == metadata.end()) {
    return parts;
  }
  auto all = parse_json(
      entry->second,
      adapter.files.files.front().string() + ": lora_adapter_metadata");
  if (all.is_object()) {
    for (const auto& [key, value] : all.items()) {
      auto dot = key.find('.');
      if (dot != std::string::npos) {
        parts[key.substr(0, dot)][key.substr(dot + 1)] = value;
      }
    }
  }
  return parts;
}

std::vector<Finding> adapter_settings(const Adapter& adapter) {
  Findings findings;
  bool has_config = adapter.config.is_object();
  if (!has_config && !adapter.config.is_null()) {
    invalid(
        findings, adapter.config_path.string(), "an object", &adapter.config);
    return findings;
  }
  switch (adapter.dialect) {
    case AdapterDialect::peft:
      if (has_config) {
        peft(findings, adapter);
      }
      break;
    case AdapterDialect::mlx:
      if (has_config) {
        mlx(findings, adapter);
      }
      break;
    case AdapterDialect::diffusers:
      diffusers(findings, adapter);
      break;
    case AdapterDialect::kohya:
      kohya(findings, adapter);
      break;
    case AdapterDialect::gguf:
      gguf(findings, adapter);
      break;
    case AdapterDialect::xlabs:
      break;
  }
  // A file by itself may lack its config only because it was given alone.
  auto file = adapter.files.files.front().filename();
  bool needs =
      file == "adapter_model.safetensors" || file == "adapters.safetensors";
  if (adapter.config.is_null() && needs && adapter.path != adapter.files.path) {
    findings.push_back(make_finding("adapter.config-missing",
                                    adapter.path.string(),
                                    "adapter_config.json",
                                    "no such file"));
  }
  alphas(findings, adapter);
  return findings;
}

}  // namespace assay::rules
