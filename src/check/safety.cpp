#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/core/file.h"
#include "assay/formats/file_safety.h"
#include "assay/formats/quote.h"

// What loading the model with other programs would run: every pickle at the
// path, and code that the configs name.
namespace assay {
namespace fs = std::filesystem;

namespace {

using Findings = Checkup::Findings;

constexpr uint64_t kMaxConfig = 16u << 20;

// "modeling_x.XForCausalLM", or "org/repo--modeling_x.XForCausalLM".
void add_names(const Json& value, std::vector<std::string>& names) {
  if (value.is_string()) {
    names.push_back(value.get<std::string>());
  } else if (value.is_array() || value.is_object()) {
    for (const auto& part : value) {
      if (part.is_string()) {
        names.push_back(part.get<std::string>());
      }
    }
  }
}

// Code of the model's own, which trust_remote_code=True runs.
Findings remote_code(const fs::path& folder) {
  constexpr std::array<std::string_view, 5> kConfigs = {
      "config.json",
      "tokenizer_config.json",
      "generation_config.json",
      "processor_config.json",
      "preprocessor_config.json"};
  Findings findings;
  for (auto config : kConfigs) {
    auto path = folder / config;
    std::error_code error;
    if (!fs::is_regular_file(path, error)) {
      continue;
    }
    std::vector<std::string> names;
    try {
      auto document = parse_json(read_text(path, kMaxConfig), path.string());
      if (document.is_object() && document.contains("auto_map")) {
        for (const auto& [kind, value] : document["auto_map"].items()) {
          add_names(value, names);
        }
      }
    } catch (const Error&) {
      continue;  // the rules say what is wrong with it
    }
    if (!names.empty()) {
      bool foreign = std::ranges::any_of(names, [](const std::string& name) {
        return name.find("--") != std::string::npos;
      });
      auto finding =
          make_finding("model.remote-code",
                       path.string() + ": auto_map",
                       "no code",
                       quote(fmt::format("{}", fmt::join(names, ", "))));
      if (foreign) {
        finding.severity = Severity::warning;
      }
      findings.push_back(std::move(finding));
    }
  }
  return findings;
}

std::string summary_of(const std::vector<FileSafety>& files) {
  std::array<size_t, 3> counts{};
  for (const auto& file : files) {
    ++counts[static_cast<size_t>(file.safety)];
  }
  std::vector<std::string> parts;
  for (auto safety : {Safety::safe, Safety::unsafe, Safety::undecided}) {
    auto count = counts[static_cast<size_t>(safety)];
    if (count > 0) {
      parts.push_back(fmt::format("{} {}", count, name(safety)));
    }
  }
  return fmt::format("pickles: {}", fmt::join(parts, ", "));
}

}  // namespace

std::optional<Safety> check_safety(Checkup& checkup) {
  std::vector<FileSafety> files;
  Findings code;
  std::error_code error;
  if (!fs::exists(checkup.path(), error)) {
    return std::nullopt;
  }
  try {
    files = judge_path(checkup.path());
  } catch (const Error&) {
    return std::nullopt;  // the step that opens it says why
  }
  if (fs::is_directory(checkup.path(), error)) {
    code = remote_code(checkup.path());
  }
  if (files.empty() && code.empty()) {
    return std::nullopt;
  }
  auto worst = Safety::safe;
  for (const auto& file : files) {
    worst = std::max(worst, file.safety);
  }
  checkup.step("safety", [&](CheckStep& step) {
    if (!files.empty()) {
      step.detail = summary_of(files);
    }
    if (worst == Safety::undecided) {
      step.outcome = CheckStep::Outcome::skipped;
      checkup.leave_undecided();
    }
    auto findings = std::move(code);
    for (const auto& file : files) {
      std::ranges::move(findings_of(file), std::back_inserter(findings));
    }
    return findings;
  });
  return files.empty() ? std::nullopt : std::optional(worst);
}

}  // namespace assay
