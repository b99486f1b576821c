#include "assay/check/adapter.h"

#include <set>

#include <fmt/format.h>

#include "assay/check/checkup.h"
#include "assay/check/document_fields.h"
#include "assay/check/rules.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

std::string summary(const Adapter& adapter) {
  std::set<int64_t> ranks;
  for (const auto& module : adapter.modules) {
    if (module.down_rank) {
      ranks.insert(*module.down_rank);
    }
  }
  auto text = fmt::format(
      "{}, {} modules", name(adapter.dialect), adapter.modules.size());
  if (ranks.size() == 1) {
    text += fmt::format(", rank {}", *ranks.begin());
  }
  return text;
}

void look_at_base(Checkup& checkup, const Adapter& adapter) {
  auto given = checkup.options().base;
  auto base = given.empty() ? rules::named_base(adapter) : std::optional(given);
  if (!base) {
    checkup.skip("base", "not found beside the adapter: give it with --base");
    return;
  }
  checkup.step("base", [&](CheckStep& step) {
    std::string detail;
    auto findings =
        rules::adapter_base(adapter, rules::base_modules(*base), detail);
    step.detail = fmt::format("{}: {}", base->string(), detail);
    return findings;
  });
}

}  // namespace

std::optional<fs::path> rules::named_base(const Adapter& adapter) {
  for (const auto* field : {"base_model_name_or_path", "model"}) {
    auto value = adapter.config.is_object()
                     ? adapter.config.value(field, Json())
                     : Json();
    if (!value.is_string() || value.get<std::string>().empty()) {
      continue;
    }
    auto text = value.get<std::string>();
    std::error_code error;
    for (const auto& path : {adapter.path / text, fs::path(text)}) {
      if (fs::is_directory(path, error)) {
        return path;
      }
    }
  }
  return std::nullopt;
}

void check_adapter(Checkup& checkup) {
  std::optional<Adapter> adapter;
  checkup.step("files", [&](CheckStep& step) {
    adapter.emplace(open_adapter(checkup.path()));
    checkup.name_architecture(
        fmt::format("{} adapter", name(adapter->dialect)));
    step.detail = summary(*adapter);
    auto findings = adapter->files.findings;
    // mlx-lm's whole fine-tuning has no factors.
    bool whole = adapter->config.is_object() &&
                 adapter->config.value("fine_tune_type", Json()) == "full";
    auto type = adapter->config.is_object()
                    ? adapter->config.value("peft_type", Json())
                    : Json();
    if (adapter->modules.empty() && !whole &&
        (type.is_null() || type == "LORA")) {
      findings.push_back(
          make_finding("adapter.unrecognized",
                       adapter->files.files.front().string(),
                       "parts of an adapter, as lora_A or lora_down",
                       adapter->files.tensors.empty()
                           ? "no tensors"
                           : quote(adapter->files.tensors.front().name)));
    }
    return findings;
  });
  if (!adapter) {
    checkup.leave_undecided();
    return;
  }
  checkup.step("pairs",
               [&](CheckStep&) { return rules::adapter_pairs(*adapter); });
  checkup.step("settings", [&](CheckStep&) {
    auto findings = rules::adapter_settings(*adapter);
    rules::add_fields(
        findings,
        rules::document_fields(
            adapter->config, adapter->config_path, "adapter.invalid-value"));
    return findings;
  });
  checkup.step("targets",
               [&](CheckStep&) { return rules::adapter_targets(*adapter); });
  look_at_base(checkup, *adapter);
  if (!checkup.options().headers_only) {
    checkup.step("values", [&](CheckStep&) {
      auto findings = rules::adapter_values(*adapter);
      // Zeros at the start and constants are a matter of training.
      for (auto& one :
           rules::values(adapter->files, nullptr, checkup.options().progress)) {
        if (one.id == "tensor.not-finite") {
          findings.push_back(std::move(one));
        }
      }
      return findings;
    });
    checkup.skip("inference", "an adapter does not run without its base");
  }
}

}  // namespace assay
