#include "assay/check/check.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <span>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/against.h"
#include "assay/check/own_rules.h"
#include "assay/check/report_formats.h"
#include "assay/check/scan.h"
#include "assay/cli/arguments.h"
#include "assay/cli/fix_view.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"
#include "assay/core/file.h"

namespace assay::cli {
namespace {

Style style_of(CheckStep::Outcome outcome) {
  switch (outcome) {
    case CheckStep::Outcome::passed:
      return Style::green;
    case CheckStep::Outcome::findings:
      return Style::red;
    case CheckStep::Outcome::skipped:
      break;
  }
  return Style::dim;
}

void print_check(const CheckReport& report, Output& output) {
  output.heading(report.path.string());
  for (const auto& step : report.steps) {
    auto outcome = fmt::format("{:<8}", name(step.outcome));
    output.print(fmt::format("{} {:<12} {:>7.3f} s  {}\n",
                             output.styled(style_of(step.outcome), outcome),
                             step.name,
                             step.seconds,
                             step.detail));
  }
  output.print_findings(report.findings);
  output.print(fmt::format("{}: {}\n",
                           report.path.string(),
                           output.styled(Style::bold, name(report.verdict))));
}

// The verdict over several models: findings weigh most.
Verdict worse(Verdict a, Verdict b) {
  auto weight = [](Verdict verdict) {
    return verdict == Verdict::findings    ? 2
           : verdict == Verdict::undecided ? 1
                                           : 0;
  };
  return weight(a) >= weight(b) ? a : b;
}

// What a scan could not look at leaves the answer open.
Verdict verdict_of(const ModelList& list) {
  bool complete = std::ranges::all_of(list.findings, [](const auto& finding) {
    return finding.severity == Severity::note;
  });
  return complete ? Verdict::sound : Verdict::undecided;
}

void print_all(std::span<const CheckReport> reports,
               const Arguments& arguments,
               Output& output) {
  if (arguments.flag("--junit")) {
    output.print(to_junit(reports));
  } else if (arguments.flag("--sarif")) {
    output.print_json(to_sarif(reports, ASSAY_VERSION));
  } else if (arguments.flag("--markdown")) {
    output.print(to_markdown(reports));
  } else if (output.json()) {
    Json all = Json::array();
    for (const auto& report : reports) {
      all.push_back(to_json(report));
    }
    output.print_json(all.size() == 1 ? all.front() : all);
  }
}

CheckOptions check_options(const Arguments& arguments, const Output& output) {
  CheckOptions options{.headers_only = arguments.flag("--headers"),
                       .progress = output.progress(),
                       .base = arguments.maybe_text("--base").value_or("")};
  if (auto good = arguments.maybe_text("--against")) {
    options.extra.push_back(against_step(open_profile(*good)));
  }
  for (const auto& file : own_checks_near(std::filesystem::current_path())) {
    options.extra.push_back(rules_step(file));
  }
  for (const auto& file : arguments.all("--rules")) {
    options.extra.push_back(rules_step(file));
  }
  return options;
}

int run_check(const Arguments& arguments, Output& output) {
  int formats = 0;
  for (const auto* option : {"--json", "--junit", "--sarif", "--markdown"}) {
    formats += arguments.flag(option) ? 1 : 0;
  }
  if (formats > 1) {
    throw UsageError("one of --json, --junit, --sarif and --markdown");
  }
  if (arguments.flag("--fix")) {
    return run_fix(arguments, check_options(arguments, output), output);
  }
  for (const auto* option : {"--out", "--yes", "--dry-run"}) {
    if (arguments.has(option)) {
      throw UsageError(fmt::format("{} belongs to --fix", option));
    }
  }
  Recording recording(arguments);
  ModelList list;
  for (const auto& path : arguments.all("MODEL")) {
    auto found = find_models(path);
    std::ranges::move(found.models, std::back_inserter(list.models));
    std::ranges::move(found.findings, std::back_inserter(list.findings));
  }
  auto verdict = Verdict::sound;
  auto options = check_options(arguments, output);
  auto reports =
      check_all(list.models, options, [&](const CheckReport& report) {
        verdict = worse(verdict, report.verdict);
        if (formats == 0) {
          print_check(report, output);
        }
      });
  if (formats == 0) {
    output.print_findings(list.findings);
    if (reports.size() != 1) {
      output.print(summary_of(reports) + "\n");
    }
  }
  if (auto file = arguments.maybe_text("--save-profile")) {
    if (list.models.size() != 1) {
      throw UsageError("--save-profile takes one model");
    }
    write_text(*file, to_text(to_json(profile_of(list.models.front()))));
  }
  print_all(reports, arguments, output);
  int code = exit_code(worse(verdict, verdict_of(list)));
  for (const auto& report : reports) {
    code = recording.keep(output, code, [&](const RecordTarget& target) {
      return record(target, report);
    });
  }
  return code;
}

}  // namespace

Command check_command() {
  return {
      .name = "check",
      .summary = "whether a model will load and compute sense",
      .description =
          "Holds headers and configs against the architecture, then reads "
          "every tensor for NaN, zeros and outliers, then runs a short "
          "text. Each finding says where, what was expected, what is "
          "there, why, and what to do.",
      .operands = {{"MODEL",
                    "a folder, a .gguf, a .safetensors or a PyTorch file, or a "
                    "folder of these",
                    true,
                    true}},
      .options = {{.name = "--headers",
                   .help = "headers and configs only: milliseconds"},
                  {.name = "--base",
                   .kind = OptionKind::text,
                   .value = "MODEL",
                   .help = "what an adapter is for"},
                  {.name = "--against",
                   .kind = OptionKind::path,
                   .value = "GOOD",
                   .help = "a model that works, or its profile: list what "
                           "differs and matters"},
                  {.name = "--rules",
                   .kind = OptionKind::path,
                   .value = "FILE",
                   .help = "rules of your own, beside those in the project's "
                           "checks folder",
                   .many = true},
                  {.name = "--fix",
                   .help = "repair what the files prove: shows a diff, then "
                           "writes MODEL-fixed"},
                  {.name = "--out",
                   .kind = OptionKind::path,
                   .value = "DIR",
                   .help = "with --fix: the new folder"},
                  {.name = "--yes",
                   .help = "with --fix: repair in place, with a backup"},
                  {.name = "--dry-run",
                   .help = "with --fix: show the diff, write nothing"},
                  {.name = "--save-profile",
                   .kind = OptionKind::path,
                   .value = "FILE",
                   .help = "write what --against needs, without weights"},
                  {.name = "--junit", .help = "JUnit XML, for CI servers"},
                  {.name = "--sarif", .help = "SARIF 2.1.0, for code scanning"},
                  {.name = "--markdown",
                   .help = "a block for reference/DIAGNOSTICS.md"},
                  record_option()},
      .run = run_check};
}

}  // namespace assay::cli
