// The ledger of results: list, show, compare, plot, check, refresh.

#include "assay/project/results.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/memory.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"
#include "assay/core/file.h"
#include "assay/core/platform.h"
#include "assay/project/plot.h"
#include "assay/project/trends.h"

namespace assay::cli {
namespace {

using project::Ledger;
using project::ResultFilter;

ResultFilter filter_of(const Arguments& arguments) {
  return {.kind = arguments.maybe_text("--kind").value_or(""),
          .model = arguments.maybe_text("--model").value_or(""),
          .what = arguments.maybe_text("--figure").value_or(""),
          .since = arguments.maybe_text("--since").value_or("")};
}

std::string day_and_time(const std::string& time) {
  return time.substr(0, 10) + " " + time.substr(11, 5);
}

// Broken lines are told, and keep the answer from being called sound.
int told(const Ledger& ledger) {
  for (const auto& finding : ledger.findings) {
    fmt::print(stderr, "{}\n", to_text(finding));
  }
  return ledger.findings.empty() ? kSound : kFindings;
}

int run_list(const Arguments& arguments, Output& output) {
  auto ledger = project::read_ledger(open_store());
  auto rows = project::list_results(
      ledger,
      filter_of(arguments),
      static_cast<size_t>(arguments.dimension("--limit")));
  if (output.json()) {
    Json all = Json::array();
    for (const auto& point : rows.points) {
      auto json = project::to_json(*point.run);
      json["figure"] = project::to_json(point);
      json["figure"]["what"] = point.value->what;
      all.push_back(std::move(json));
    }
    output.print_json(all);
    return told(ledger);
  }
  std::vector<std::vector<std::string>> lines = {
      {"run", "when (UTC)", "kind", "model", "figure", "value", "change"}};
  for (const auto& point : rows.points) {
    lines.push_back({point.run->id,
                     day_and_time(point.run->time),
                     point.run->kind,
                     point.run->model.name,
                     point.value->what,
                     project::figure(point.value->value, point.value->unit),
                     std::string(name(point.change))});
  }
  output.print(table(lines, {5}));
  if (rows.left_out > 0) {
    output.print(fmt::format(
        "{} older ones are not shown (--limit 0 has all)\n", rows.left_out));
  }
  return told(ledger);
}

void print_facts(std::string_view head,
                 const project::Facts& facts,
                 Output& output) {
  if (!facts.empty()) {
    output.heading(head);
  }
  for (const auto& [key, value] : facts) {
    output.row(key, value);
  }
}

int run_show(const std::string& which, Output& output) {
  auto ledger = project::read_ledger(open_store());
  const auto& run_results = project::find_run(ledger, which);
  if (output.json()) {
    output.print_json(project::to_json(run_results));
    return kSound;
  }
  output.heading(fmt::format("{} {}", run_results.id, run_results.kind));
  output.row("when (UTC)", run_results.time);
  output.row(
      "model",
      fmt::format("{} ({})", run_results.model.path, run_results.model.hash));
  output.row("command", run_results.command);
  for (const auto& value : run_results.values) {
    auto spread = value.spread && *value.spread > 0
                      ? fmt::format(", spread {} of {} runs",
                                    project::figure(*value.spread, value.unit),
                                    value.runs)
                      : "";
    output.row(value.what, project::figure(value.value, value.unit) + spread);
  }
  print_facts("settings", run_results.settings, output);
  print_facts("conditions", run_results.conditions, output);
  return kSound;
}

std::string difference_text(const project::ValueComparison& value) {
  if (!value.a || !value.b) {
    return "";
  }
  return fmt::format("{:+.4g} (x {:.4g})", value.difference, value.ratio);
}

int run_compare(const std::string& first,
                const std::string& second,
                Output& output) {
  auto ledger = project::read_ledger(open_store());
  auto comparison = project::compare_runs(project::find_run(ledger, first),
                                          project::find_run(ledger, second));
  if (output.json()) {
    output.print_json(project::to_json(comparison));
    return kSound;
  }
  auto shown = [](const std::optional<double>& value, const std::string& unit) {
    return value ? project::figure(*value, unit) : std::string("-");
  };
  std::vector<std::vector<std::string>> lines = {{"figure",
                                                  comparison.a->id,
                                                  comparison.b->id,
                                                  "difference",
                                                  "noise",
                                                  ""}};
  for (const auto& value : comparison.values) {
    bool both = value.a && value.b;
    lines.push_back({value.what,
                     shown(value.a, value.unit),
                     shown(value.b, value.unit),
                     difference_text(value),
                     both ? project::figure(value.tolerance, value.unit) : "",
                     both ? std::string(name(value.change)) : ""});
  }
  output.print(table(lines, {1, 2, 3, 4}));
  output.heading("what differs besides");
  for (const auto& fact : comparison.differences) {
    output.row(fact.name, fmt::format("{} -> {}", fact.a, fact.b));
  }
  if (comparison.differences.empty()) {
    output.print("nothing that was recorded\n");
  }
  return kSound;
}

int run_plot(const std::string& what,
             const Arguments& arguments,
             Output& output) {
  auto filter = filter_of(arguments);
  filter.what = what;
  auto ledger = project::read_ledger(open_store());
  auto series = project::find_series(ledger, filter);
  if (auto file = arguments.maybe_text("--output")) {
    write_text(*file, project::svg_plot(series));
    output.note(*file);
  }
  if (output.json()) {
    Json all = Json::array();
    for (const auto& one : series) {
      all.push_back(project::to_json(one));
    }
    output.print_json(all);
    return told(ledger);
  }
  for (const auto& one : series) {
    output.heading(project::label(one.newest()));
    output.print(project::terminal_plot(one, terminal_width()));
  }
  return told(ledger);
}

int run_results_check(const Arguments& arguments, Output& output) {
  auto ledger = project::read_ledger(open_store());
  auto findings = project::regression_findings(ledger, filter_of(arguments));
  findings.insert(
      findings.begin(), ledger.findings.begin(), ledger.findings.end());
  output.answer(findings);
  if (findings.empty() && !output.json()) {
    output.print(
        fmt::format("no regression among {} runs\n", ledger.runs.size()));
  }
  return findings.empty() ? kSound : kFindings;
}

int run_refresh(Output& output) {
  auto store = open_store();
  auto findings = project::refresh_view(store);
  output.answer(findings);
  return findings.empty() ? kSound : kFindings;
}

int run_results(const Arguments& arguments, Output& output) {
  auto words = arguments.all("ARGUMENT");
  auto what = arguments.maybe_text("WHAT").value_or("list");
  auto expect = [&](size_t count, const char* usage) {
    if (words.size() != count) {
      throw UsageError(fmt::format("results {}", usage));
    }
  };
  if (what == "list") {
    expect(0, "list takes options only");
    return run_list(arguments, output);
  }
  if (what == "show") {
    expect(1, "show RUN");
    return run_show(words[0], output);
  }
  if (what == "compare") {
    expect(2, "compare A B");
    return run_compare(words[0], words[1], output);
  }
  if (what == "plot") {
    expect(1, "plot FIGURE");
    return run_plot(words[0], arguments, output);
  }
  if (what == "check") {
    expect(0, "check takes options only");
    return run_results_check(arguments, output);
  }
  if (what == "refresh") {
    expect(0, "refresh takes nothing");
    return run_refresh(output);
  }
  throw UsageError(fmt::format(
      "results list, show, compare, plot, check or refresh, not '{}'", what));
}

}  // namespace

Command results_command() {
  using enum OptionKind;
  return {
      .name = "results",
      .summary = "what was measured: list, compare, plot, find regressions",
      .description =
          "The ledger reference/results.jsonl, to which --record adds. list; "
          "show RUN; compare A B: differences, whether they are beyond noise, "
          "and which conditions differ; plot FIGURE: over time, with -o also "
          "as SVG; check: exit 1 where the newest value of a figure is worse "
          "than those before, beyond noise; refresh: write RESULTS.md anew. A "
          "RUN is an id, its first digits, latest or latest~N.",
      .operands = {{"WHAT",
                    "list, show, compare, plot, check or refresh",
                    false},
                   {"ARGUMENT", "runs, or the figure to plot", false, true}},
      .options = {{.name = "--kind",
                   .kind = text,
                   .value = "KIND",
                   .help = "only these: bench, perplexity, kl, convert..."},
                  {.name = "--model",
                   .kind = text,
                   .value = "TEXT",
                   .help = "only models with this in name, path or hash"},
                  {.name = "--figure",
                   .kind = text,
                   .value = "TEXT",
                   .help = "only figures with this in their name"},
                  {.name = "--since",
                   .kind = text,
                   .value = "DATE",
                   .help = "only from this day (UTC) on: 2026-11-24"},
                  {.name = "--limit",
                   .kind = integer,
                   .value = "N",
                   .help = "list: the newest N figures; 0: all",
                   .fallback = "50"},
                  {.name = "--output",
                   .kind = path,
                   .value = "FILE",
                   .help = "plot: write an SVG as well",
                   .short_name = "-o"}},
      .run = run_results};
}

}  // namespace assay::cli
