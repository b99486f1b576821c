#include "assay/check/check.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"

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

void print(const CheckReport& report, Output& output) {
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

int run(const Arguments& arguments, Output& output) {
  auto verdict = Verdict::sound;
  Json all = Json::array();
  for (const auto& path : arguments.all("MODEL")) {
    auto report = check(path,
                        {.headers_only = arguments.flag("--headers"),
                         .progress = output.progress()});
    verdict = worse(verdict, report.verdict);
    if (output.json()) {
      all.push_back(to_json(report));
    } else {
      print(report, output);
    }
  }
  if (output.json()) {
    output.print_json(all.size() == 1 ? all.front() : all);
  }
  return exit_code(verdict);
}

}  // namespace

Command check_command() {
  return {.name = "check",
          .summary = "whether a model will load and compute sense",
          .description =
              "Holds headers and configs against the architecture, then reads "
              "every tensor for NaN, zeros and outliers, then runs a short "
              "text. Each finding says where, what was expected, what is "
              "there, why, and what to do.",
          .operands = {{"MODEL",
                        "a folder, a .gguf or a .safetensors file",
                        true,
                        true}},
          .options = {{.name = "--headers",
                       .help = "headers and configs only: milliseconds"}},
          .run = run};
}

}  // namespace assay::cli
