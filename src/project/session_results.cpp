#include "assay/project/session_results.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

#include "assay/project/fingerprint.h"
#include "assay/project/trends.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr size_t kNewest = 5;
// Among the ranks of session_page.cpp: regressions after what is broken, the
// last results after the decisions.
constexpr int kRegressionRank = 5;
constexpr int kResultRank = 45;

std::string day_of(const Run& run) {
  return run.time.substr(0, 10);
}

std::string figures_of(const Run& run) {
  std::string text;
  for (size_t index = 0; index < std::min<size_t>(run.values.size(), 3);
       ++index) {
    const auto& value = run.values[index];
    text += fmt::format("{}{} {}",
                        index == 0 ? "" : ", ",
                        value.what,
                        figure(value.value, value.unit));
  }
  if (run.values.size() > 3) {
    text += fmt::format(" and {} more", run.values.size() - 3);
  }
  return text;
}

std::string joined(const std::set<std::string>& kinds) {
  std::string text;
  for (const auto& kind : kinds) {
    text += (text.empty() ? "" : ", ") + kind;
  }
  return text;
}

void add_regressions(const Ledger& ledger,
                     double percent,
                     PageSection& section) {
  for (const auto& series : regressions(ledger)) {
    const auto& point = series.newest();
    auto change =
        100 * (point.value->value - point.baseline) / std::abs(point.baseline);
    if (point.baseline != 0 && std::abs(change) < percent) {
      continue;
    }
    section.items.push_back(
        {"regression",
         fmt::format("worse: {} {} on {}, {} before ({:+.1f}%)",
                     label(point),
                     figure(point.value->value, point.value->unit),
                     day_of(*point.run),
                     figure(point.baseline, point.value->unit),
                     change),
         kRegressionRank,
         to_json(point)});
  }
}

}  // namespace

std::vector<std::string> run_ids(const Ledger& ledger) {
  std::vector<std::string> ids;
  ids.reserve(ledger.runs.size());
  for (const auto& run : ledger.runs) {
    ids.push_back(run.id);
  }
  return ids;
}

std::string runs_since(const Ledger& ledger,
                       const std::vector<std::string>& before) {
  std::unordered_set<std::string_view> known(before.begin(), before.end());
  std::map<std::string, std::pair<size_t, std::set<std::string>>> models;
  for (const auto& run : ledger.runs) {
    if (!known.contains(run.id)) {
      auto& [count, kinds] = models[run.model.name];
      ++count;
      kinds.insert(run.kind);
    }
  }
  std::string text;
  for (const auto& [model, counted] : models) {
    text += fmt::format("{}{} of {} ({})",
                        text.empty() ? "" : ", ",
                        counted.first,
                        model,
                        joined(counted.second));
  }
  return text;
}

PageSection results_section(const Ledger& ledger, double percent) {
  PageSection section{
      "RESULTS",
      ledger.runs.empty() ? "none" : fmt::format("{} runs", ledger.runs.size()),
      {},
      "assay results"};
  add_regressions(ledger, percent, section);
  if (!section.items.empty()) {
    section.summary += fmt::format(", {} worse", section.items.size());
  }
  if (!ledger.findings.empty()) {
    section.summary +=
        fmt::format(", {} lines unreadable", ledger.findings.size());
  }
  for (size_t index = 0; index < std::min(kNewest, ledger.runs.size());
       ++index) {
    const auto& run = ledger.runs[ledger.runs.size() - 1 - index];
    section.items.push_back({"result",
                             fmt::format("{} {} {}: {}",
                                         day_of(run),
                                         run.kind,
                                         run.model.name,
                                         figures_of(run)),
                             kResultRank,
                             {{"id", run.id}}});
  }
  return section;
}

size_t check_results(const Store& store, std::vector<Finding>& findings) {
  auto ledger = read_ledger(store);
  findings.insert(
      findings.end(), ledger.findings.begin(), ledger.findings.end());
  // The newest run of each model speaks of the file that lies there.
  std::map<std::string, const Run*> newest;
  for (const auto& run : ledger.runs) {
    if (!run.model.path.empty() && !run.model.hash.empty()) {
      newest[run.model.path] = &run;
    }
  }
  for (const auto& [path, run] : newest) {
    auto place = store.root() / path;
    std::error_code error;
    if (!fs::exists(place, error)) {
      continue;  // models are not in git: another machine lacks them
    }
    auto now = fingerprint(place);
    if (now != run->model.hash) {
      findings.push_back(
          make_finding("result.model-changed",
                       fmt::format("{}:{}", kLedgerFile, run->line),
                       fmt::format("{} with {}", path, run->model.hash),
                       now));
    }
  }
  if (ledger.findings.empty() && !view_is_current(store)) {
    findings.push_back(
        make_finding("document.stale",
                     std::string(kResultsFile),
                     fmt::format("the tables of {}", kLedgerFile),
                     "other tables"));
  }
  return ledger.runs.size();
}

}  // namespace assay::project
