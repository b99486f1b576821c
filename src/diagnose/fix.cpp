#include "assay/diagnose/fix.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/adapter.h"
#include "assay/core/file.h"
#include "assay/core/finding_json.h"
#include "assay/core/platform_copy.h"
#include "assay/formats/model_kind.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr int kMaxRounds = 8;
constexpr std::string_view kBackups = ".assay-backup";

bool matters(const Finding& finding) {
  return finding.severity != Severity::note;
}

std::vector<Finding> in_model(const Draft& draft,
                              std::vector<Finding> findings) {
  for (auto& finding : findings) {
    for (auto* text : {&finding.where, &finding.expected, &finding.actual}) {
      *text = draft.in_model(*text);
    }
  }
  return findings;
}

CheckReport check_draft(const Draft& draft, const CheckOptions& options) {
  auto report = check(draft.folder(), options);
  report.path = draft.model();
  report.findings = in_model(draft, std::move(report.findings));
  return report;
}

/** The repairs of one round, each function once. */
std::vector<Untouched> run_repairs(Draft& draft,
                                   const std::vector<Finding>& findings,
                                   bool may_run) {
  std::set<void (*)(Workbench&)> done;
  std::vector<Untouched> untouched;
  for (const auto& one : repairs()) {
    Workbench bench{draft, findings, may_run};
    if (!bench.found(one.id) || !done.insert(one.run).second) {
      continue;
    }
    try {
      one.run(bench);
    } catch (const Error& error) {
      for (const auto& finding : findings) {
        const auto* repair = find_repair(finding.id);
        if (repair != nullptr && repair->run == one.run) {
          bench.untouched.push_back(
              {finding,
               "the proof cannot be read: " +
                   draft.in_model(to_line(error.finding()))});
        }
      }
    }
    std::ranges::move(bench.untouched, std::back_inserter(untouched));
  }
  return untouched;
}

bool same(const Finding& a, const Finding& b) {
  return a.id == b.id && a.where == b.where && a.actual == b.actual;
}

bool holds(const std::vector<Finding>& list, const Finding& finding) {
  return std::ranges::any_of(
      list, [&](const Finding& one) { return same(one, finding); });
}

std::string no_repair(const Finding& finding) {
  return find_repair(finding.id) == nullptr
             ? "no repair: the files do not hold what is right. " +
                   finding.remedy
             : "nothing in the files proves another value";
}

// Every error and warning that is still there, with the reason.
std::vector<Untouched> all_untouched(const std::vector<Finding>& findings,
                                     std::vector<Untouched> told) {
  for (const auto& finding : findings) {
    bool known = std::ranges::any_of(
        told, [&](const Untouched& one) { return same(one.finding, finding); });
    if (matters(finding) && !known) {
      told.push_back({finding, no_repair(finding)});
    }
  }
  // Of what several rounds said of one finding, the last, which comes first.
  std::vector<Untouched> kept;
  for (auto& one : told) {
    bool twice = std::ranges::any_of(kept, [&](const Untouched& other) {
      return same(other.finding, one.finding);
    });
    if (!twice && holds(findings, one.finding)) {
      kept.push_back(std::move(one));
    }
  }
  return kept;
}

fs::path beside(const fs::path& model) {
  auto path = fs::canonical(model);
  path += "-fixed";
  return path;
}

void refuse_inside(const fs::path& model, const fs::path& out) {
  auto inner = fs::weakly_canonical(out);
  auto outer = fs::canonical(model);
  auto [a, b] = std::ranges::mismatch(outer, inner);
  if (a == outer.end()) {
    fail("fix.destination",
         out.string(),
         "a folder outside the model",
         inner == outer ? "the model itself" : "a folder in the model");
  }
}

// Before the work, not after it.
void expect_destination(const fs::path& model, const FixOptions& options) {
  if (options.write != FixOptions::Write::folder) {
    return;
  }
  auto out = options.out.empty() ? beside(model) : options.out;
  refuse_inside(model, out);
  std::error_code error;
  if (fs::exists(fs::symlink_status(out, error))) {
    fail("file.exists", out.string(), "no file or folder there", "one");
  }
}

void write_folder(const Draft& draft, const fs::path& out) {
  AtomicFolder folder(out, false);
  for (const auto& file : draft.all_files()) {
    auto to = folder.partial() / file;
    fs::create_directories(to.parent_path());
    if (fs::is_symlink(draft.folder() / file)) {
      platform::place_copy(draft.folder() / file, to);
    } else {
      write_text(to, draft.text(file));
    }
  }
  folder.commit();
}

fs::path new_backup(const fs::path& model) {
  for (int i = 1;; ++i) {
    auto path = model / kBackups / fmt::format("{}", i);
    if (!fs::exists(path)) {
      fs::create_directories(path);
      return path;
    }
  }
}

// The model's own file must still be what the repair was planned on.
void expect_unchanged(const fs::path& model, const FileChange& change) {
  auto file = model / change.from;
  if (!change.from.empty() && change.is_text &&
      read_text(file) != change.before) {
    fail("file.changed",
         file.string(),
         "the text that the repair was planned on",
         "another");
  }
}

Json manifest(const std::vector<FileChange>& changes) {
  auto list = Json::array();
  for (const auto& change : changes) {
    list.push_back({{"from", change.from.generic_string()},
                    {"to", change.to.generic_string()},
                    {"kind", change.kind()},
                    {"reasons", change.reasons}});
  }
  return {{"assay_backup", 1}, {"changes", std::move(list)}};
}

// What is replaced goes into the backup first; each new text is renamed into
// place whole.
fs::path write_in_place(const Draft& draft,
                        const std::vector<FileChange>& changes) {
  const auto& model = draft.model();
  for (const auto& change : changes) {
    expect_unchanged(model, change);
  }
  auto backup = new_backup(model);
  write_text(backup / "changes.json", to_text(manifest(changes)));
  for (const auto& change : changes) {
    auto kept = backup / change.from;
    if (!change.from.empty() && change.is_text) {
      fs::create_directories(kept.parent_path());
      write_text(kept, change.before);
    }
    if (change.to.empty()) {
      if (change.is_text) {
        fs::remove(model / change.from);
      } else {
        fs::create_directories(kept.parent_path());
        fs::rename(model / change.from, kept);
      }
      continue;
    }
    fs::create_directories((model / change.to).parent_path());
    if (!change.from.empty() && change.from != change.to) {
      fs::rename(model / change.from, model / change.to);
    }
    if (change.is_text && change.before != change.after) {
      write_text(model / change.to, change.after);
    }
  }
  return backup;
}

// A base named relative to the adapter is not there as seen from the draft.
void find_base(const fs::path& model, FixOptions& options) {
  if (!options.check.base.empty() || kind_of(model) != ModelKind::adapter) {
    return;
  }
  try {
    auto adapter = open_adapter(model);
    options.check.base = rules::named_base(adapter).value_or("");
  } catch (const Error&) {
    return;  // check says what is wrong with it
  }
}

void write_result(FixReport& report,
                  const Draft& draft,
                  const FixOptions& options) {
  if (options.write == FixOptions::Write::folder) {
    report.result = options.out.empty() ? beside(draft.model()) : options.out;
    write_folder(draft, report.result);
  } else {
    report.backup = write_in_place(draft, report.changes);
    report.result = draft.model();
  }
}

// Findings as if they were the model's, wherever the result lies.
std::vector<Finding> as_of(const FixReport& report) {
  auto findings = report.after.findings;
  auto from = report.result.string();
  auto to = report.path.string();
  for (auto& finding : findings) {
    for (auto* text : {&finding.where, &finding.expected, &finding.actual}) {
      auto at = from.empty() ? std::string::npos : text->find(from);
      if (at != std::string::npos) {
        text->replace(at, from.size(), to);
      }
    }
  }
  return findings;
}

void compare(FixReport& report, std::vector<Untouched> told) {
  auto after = as_of(report);
  for (const auto& finding : report.before.findings) {
    if (!holds(after, finding)) {
      report.gone.push_back(finding);
    }
  }
  for (size_t i = 0; i < after.size(); ++i) {
    if (!holds(report.before.findings, after[i])) {
      report.fresh.push_back(report.after.findings[i]);
    }
  }
  report.untouched = all_untouched(after, std::move(told));
}

}  // namespace

FixReport fix(const fs::path& model, const FixOptions& given) {
  auto options = given;
  FixReport report;
  report.path = model.has_filename() ? model : model.parent_path();
  std::error_code error;
  if (!fs::is_directory(model, error)) {
    report.before = check(model, options.check);
    report.after = report.before;
    for (const auto& finding : report.before.findings) {
      if (matters(finding)) {
        report.untouched.push_back(
            {finding,
             "its settings lie inside the file of weights, which a repair "
             "does not write to"});
      }
    }
    return report;
  }
  expect_destination(report.path, options);
  find_base(model, options);
  report.before = check(report.path, options.check);
  Draft draft(report.path);
  auto findings = report.before.findings;
  std::vector<Untouched> told;
  CheckOptions headers = options.check;
  headers.headers_only = true;
  headers.progress = {};
  for (int round = 0; round < kMaxRounds; ++round) {
    auto before = draft.steps();
    auto untouched = run_repairs(draft, findings, !options.check.headers_only);
    told.insert(told.begin(), untouched.begin(), untouched.end());
    if (draft.steps() == before) {
      break;
    }
    findings = check_draft(draft, headers).findings;
  }
  report.changes = draft.changes();
  if (options.before_writing) {
    options.before_writing(report);
  }
  if (report.changes.empty()) {
    report.after = report.before;
  } else if (options.write == FixOptions::Write::nothing) {
    report.after = check_draft(draft, options.check);
  } else {
    write_result(report, draft, options);
    report.after = check(report.result, options.check);
  }
  compare(report, std::move(told));
  return report;
}

std::string diff_of(const FixReport& report) {
  std::string text;
  for (const auto& change : report.changes) {
    text += change.diff();
  }
  return text;
}

Json to_json(const FixReport& report) {
  auto changes = Json::array();
  for (const auto& change : report.changes) {
    changes.push_back({{"from", change.from.generic_string()},
                       {"to", change.to.generic_string()},
                       {"kind", change.kind()},
                       {"reasons", change.reasons},
                       {"diff", change.diff()}});
  }
  auto untouched = Json::array();
  for (const auto& one : report.untouched) {
    untouched.push_back({{"finding", to_json(one.finding)}, {"why", one.why}});
  }
  return {{"path", report.path.string()},
          {"result", report.result.string()},
          {"backup", report.backup.string()},
          {"changes", std::move(changes)},
          {"untouched", std::move(untouched)},
          {"gone", to_json(report.gone)},
          {"new", to_json(report.fresh)},
          {"before", name(report.before.verdict)},
          {"after", to_json(report.after)}};
}

}  // namespace assay
