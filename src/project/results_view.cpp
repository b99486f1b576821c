// RESULTS.md as the view of the ledger.

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "assay/core/escape.h"
#include "assay/core/finding.h"
#include "assay/project/blocks.h"
#include "assay/project/results.h"
#include "assay/project/trends.h"

namespace assay::project {
namespace {

using Lines = std::vector<std::string>;

std::string change_text(const Point& point) {
  if (point.change == Change::first) {
    return "";
  }
  auto difference = point.value->value - point.baseline;
  auto text = point.baseline == 0
                  ? fmt::format("{:+.3g}", difference)
                  : fmt::format("{:+.1f}%", 100 * difference / point.baseline);
  return point.change == Change::within
             ? text
             : fmt::format("{}, **{}**", text, name(point.change));
}

std::string spread_text(const ResultValue& value) {
  if (!value.spread) {
    return "once";
  }
  return *value.spread == 0 ? ""
                            : fmt::format("{} ({} runs)",
                                          figure(*value.spread, value.unit),
                                          value.runs);
}

std::string row(const Point& point) {
  const auto& run = *point.run;
  auto settings = run.settings;
  settings.insert(settings.end(),
                  point.value->settings.begin(),
                  point.value->settings.end());
  return fmt::format(
      "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
      markdown_cell(run.model.name.empty() ? run.model.path : run.model.name),
      markdown_cell(point.value->what),
      markdown_cell(figure(point.value->value, point.value->unit)),
      markdown_cell(spread_text(*point.value)),
      markdown_cell(change_text(point)),
      markdown_cell(joined_facts(settings, "; ")),
      markdown_cell(joined_facts(run.conditions, "; ")),
      run.command.empty() ? "" : markdown_code(run.command),
      markdown_cell(fmt::format("{} {}", run.time.substr(0, 10), run.id)));
}

constexpr std::string_view kFirstLines =
    "| model | figure | value | spread | change | settings | conditions | "
    "command | run |";

Lines table_of(std::string_view kind, const std::vector<Series>& series) {
  Lines lines = {fmt::format("## Recorded: {}", markdown_cell(kind)),
                 "",
                 fmt::format("The newest value of each figure, by `--record`; "
                             "`assay results list --kind {}` has all.",
                             markdown_cell(kind)),
                 "",
                 std::string(kFirstLines),
                 "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"};
  for (const auto& one : series) {
    lines.push_back(row(one.newest()));
  }
  return lines;
}

void render(Document& document, const Ledger& ledger) {
  if (ledger.runs.empty()) {
    return;
  }
  if (document.lines().empty()) {
    document.insert(0, {"# Results"});
  }
  std::map<std::string, std::vector<Series>> kinds;
  for (auto& series : series_of(ledger, {}, Judged::newest)) {
    kinds[series.newest().run->kind].push_back(std::move(series));
  }
  for (const auto& [kind, series] : kinds) {
    write_block(document, block_id("results", kind), table_of(kind, series));
  }
}

}  // namespace

std::vector<Finding> refresh_view(Store& store, const Ledger& ledger) {
  if (!ledger.findings.empty()) {
    return ledger.findings;
  }
  try {
    store.edit(kResultsFile,
               [&](Document& document) { render(document, ledger); });
  } catch (const Error& error) {
    return {error.finding()};
  }
  return {};
}

std::vector<Finding> refresh_view(Store& store) {
  auto guard = Store::Guard(store);
  return refresh_view(store, read_ledger(store));
}

bool view_is_current(const Store& store) {
  auto ledger = read_ledger(store);
  if (!ledger.findings.empty()) {
    return false;
  }
  auto before = store.document(kResultsFile);
  auto after = before;
  try {
    render(after, ledger);
    return after.text() == before.text();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace assay::project
