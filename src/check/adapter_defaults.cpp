#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/adapter.h"
#include "assay/check/module_pattern.h"
#include "assay/core/file.h"
#include "assay/formats/quote.h"

// What PEFT adapts where a config names no modules: TRANSFORMERS_MODELS_TO_
// LORA_TARGET_MODULES_MAPPING in huggingface/peft (src/peft/utils/constants.py,
// 0.21.2), by the model_type of the base; for other types it stops
// (_prepare_adapter_config in tuners/tuners_utils.py).
namespace assay::rules {
namespace {

struct DefaultTargets {
  std::vector<std::string_view> modules;  ///< ends of names, or one pattern
  std::vector<std::string_view> types;
  bool pattern = false;
};

const std::vector<DefaultTargets>& default_targets() {
  static const std::vector<DefaultTargets> table = {
      {{"q", "v"}, {"t5", "mt5"}},
      {{"q", "v", "q_proj", "v_proj"}, {"blip-2"}},
      {{"q_proj", "v_proj"},
       {"bart",
        "opt",
        "gptj",
        "gpt_neo",
        "llama",
        "llama4",
        "mistral",
        "mixtral",
        "stablelm",
        "gemma",
        "gemma2",
        "gemma3_text",
        "qwen2",
        "qwen3"}},
      {{R"(.*language_model\..*\.(q_proj|v_proj))"}, {"gemma4"}, true},
      {{"q_proj", "v_proj", "fc1", "fc2"}, {"phi"}},
      {{"q_proj", "k_proj", "v_proj", "o_proj"}, {"nemotron_h"}},
      {{"r_proj", "k_proj", "v_proj", "o_proj", "key", "value"}, {"rwkv7"}},
      {{"key", "value", "receptance", "output"}, {"rwkv"}},
      {{"query", "value"},
       {"bert", "roberta", "xlm-roberta", "electra", "layoutlm"}},
      {{"query_proj", "value_proj"}, {"deberta-v2"}},
      {{"in_proj"}, {"deberta"}},
      {{"query_key_value"},
       {"bloom",
        "gpt_neox",
        "chatglm",
        "RefinedWebModel",
        "RefinedWeb",
        "falcon"}},
      {{"c_attn"}, {"gpt2", "gpt_bigcode"}},
      {{"c_proj", "c_attn"}, {"btlm"}},
      {{"qkv_proj"}, {"codegen"}},
      {{"Wqkv"}, {"mpt"}},
  };
  return table;
}

bool takes(const DefaultTargets& targets, std::string_view path) {
  if (targets.pattern) {
    auto pattern = ModulePattern::read(targets.modules.front());
    return pattern && pattern->matches(path);
  }
  return std::ranges::any_of(targets.modules, [&](auto module) {
    return matches_module(path, module);
  });
}

/** The model_type of the base that the config names; nothing where it is not
 * on this machine. */
std::optional<std::string> type_of_base(const Adapter& adapter) {
  auto base = named_base(adapter);
  auto path = base ? *base / "config.json" : std::filesystem::path();
  if (!base || !std::filesystem::exists(path)) {
    return std::nullopt;
  }
  constexpr size_t kLargest = 16u << 20;
  auto config = parse_json(read_text(path, kLargest), path.string());
  auto type = config.is_object() ? config.value("model_type", Json()) : Json();
  return type.is_string() ? std::optional(type.get<std::string>())
                          : std::nullopt;
}

Finding left_out(const Adapter& adapter,
                 std::string expected,
                 std::string actual) {
  return make_finding("adapter.target-unlisted",
                      adapter.config_path.string() + ": target_modules",
                      std::move(expected),
                      std::move(actual));
}

}  // namespace

std::vector<Finding> adapter_default_targets(const Adapter& adapter) {
  std::vector<Finding> findings;
  const auto& table = default_targets();
  std::set<std::string> paths;
  for (const auto& module : adapter.modules) {
    paths.insert(std::string(module_in_base(module.target)));
  }
  if (paths.empty()) {
    return findings;
  }
  if (auto type = type_of_base(adapter)) {
    auto row = std::ranges::find_if(table, [&](const auto& one) {
      return std::ranges::find(one.types, *type) != one.types.end();
    });
    if (row == table.end()) {
      findings.push_back(left_out(
          adapter,
          fmt::format("a list of modules: PEFT has none for the base's "
                      "model_type {}, and stops",
                      quote(*type)),
          "none"));
      return findings;
    }
    for (const auto& path : paths) {
      if (!takes(*row, path)) {
        findings.push_back(
            left_out(adapter,
                     "an entry for " + quote(path),
                     fmt::format("none, for which PEFT takes {} of {}",
                                 fmt::join(row->modules, ", "),
                                 *type)));
      }
    }
    return findings;
  }
  bool possible = std::ranges::any_of(table, [&](const auto& one) {
    return std::ranges::all_of(
        paths, [&](const auto& path) { return takes(one, path); });
  });
  if (!possible) {
    findings.push_back(left_out(
        adapter,
        "a list of modules: those that PEFT takes by the base's model_type "
        "are fewer for every base",
        "none"));
  }
  return findings;
}

}  // namespace assay::rules
