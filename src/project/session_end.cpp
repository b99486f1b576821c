// The end of a session: nothing is lost, the block is written, git commits.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/session.h"
#include "assay/project/session_parts.h"
#include "assay/project/text.h"

namespace assay::project {
namespace {

// What Assay writes, or people write by its templates.
constexpr std::array<std::string_view, 14> kOwnDocuments = {
    "README.md",
    "TODO.md",
    "AGENTS.md",
    "CLAUDE.md",
    "reference",
    "test/README.md",
    "environment.yml",
    "assay.toml",
    "requirements.txt",
    ".gitignore",
    "docs/decisions",
    ".assay/.gitignore",
    ".assay/templates.json",
    ".gitattributes"};

void put_back(Store& store, const TaskMark& task) {
  auto document = store.document(kTasksFile);
  auto same =
      std::ranges::count(document.headings(), task.section, &Heading::title);
  auto added = add_task(store, task.text, same == 1 ? task.section : "");
  if (task.last_seen() == TaskState::started) {
    set_task(store,
             fmt::format("{}:{}", kTasksFile, added.line),
             TaskState::started);
  }
}

void write_block(Store& store, const SessionReport& report) {
  store.edit(kTasksFile, [&](Document& document) {
    auto lines = block_lines(report);
    const Heading* heading = document.find_heading(kSessionsHeading);
    if (heading == nullptr) {
      lines.insert(lines.begin(), {fmt::format("## {}", kSessionsHeading), ""});
      document.append(lines);
      return;
    }
    lines.insert(lines.begin(), "");
    auto at = heading->body;
    bool blank = at < document.lines().size() &&
                 document.lines()[at].kind == LineKind::blank;
    if (at < document.lines().size() && !blank) {
      lines.emplace_back();
    }
    document.insert(at, lines);
  });
}

void commit(const Store& store, const SessionReport& report) {
  std::vector<std::string> words = {"add", "--"};
  std::error_code error;
  for (auto document : kOwnDocuments) {
    bool there = std::filesystem::exists(store.root() / document, error);
    bool ignored =
        there &&
        run_git(store, {"check-ignore", "-q", "--", std::string(document)})
                .exit_code == 0;
    if (there && !ignored) {
      words.emplace_back(document);
    }
  }
  auto done = run_git(store, {"add", "--update", "--", "."}, true);
  if (done.exit_code == 0) {
    done = run_git(store, words, true);
  }
  if (done.exit_code == 0) {
    auto subject = fmt::format("Session end {}", report.at.substr(0, 16));
    std::string body;
    for (const auto& line : report.completed) {
      body += fmt::format("- {}\n", clip(line, 300));
    }
    done = run_git(store, {"commit", "-q", "-m", subject, "-m", body}, true);
  }
  if (done.exit_code != 0) {
    fail("session.commit",
         store.root().string(),
         "a commit",
         fmt::format(
             "git ended with {}: {}", done.exit_code, clip(done.output, 500)));
  }
}

std::vector<std::string> broken_steps(
    const std::vector<DiagnosticResult>& results) {
  std::vector<std::string> steps;
  for (const auto& result : results) {
    if (result.outcome == Outcome::failed ||
        result.outcome == Outcome::timed_out) {
      steps.push_back(
          fmt::format("Mend: diagnostic {} {}{}",
                      result.name,
                      name(result.outcome),
                      result.outcome == Outcome::failed
                          ? fmt::format(" (exit {})", result.exit_code)
                          : ""));
    }
  }
  return steps;
}

}  // namespace

void expect_nothing_lost(const SessionReport& report,
                         const EndOptions& options) {
  const auto& lost = report.lost;
  if (lost.empty() || options.keep || options.drop) {
    return;
  }
  std::vector<std::string> names;
  for (const auto& task : lost) {
    names.push_back(
        fmt::format("{} [{}]", with_id(task.text, task.id), name(task.state)));
  }
  fail("session.lost-task",
       std::string(kTasksFile),
       lost.size() == 1 ? "the task that was unfinished at the start"
                        : fmt::format("the {} tasks that were unfinished at "
                                      "the start",
                                      lost.size()),
       "gone: " + listed(names, 20));
}

SessionReport end_session(Store& store, const EndOptions& options) {
  auto guard = Store::Guard(store);
  auto report = session_report(store);
  auto lost = report.lost;
  expect_nothing_lost(report, options);
  if (options.keep && !lost.empty()) {
    for (const auto& task : lost) {
      put_back(store, task);
    }
    report = session_report(store);
  }
  for (const auto& task : report.lost) {
    report.completed.push_back("Dropped: " + with_id(task.text, task.id));
  }
  auto broken = broken_steps(options.diagnostics);
  report.next.insert(report.next.begin(), broken.begin(), broken.end());
  write_block(store, report);
  auto notes = read_notes(store);
  auto before = notes.open ? notes.open->tree : TreeState();
  notes.open.reset();
  notes.ended_at = report.at;
  notes.ended_tree = tree_state(store, &before);
  write_notes(store, notes);
  if (options.commit) {
    commit(store, report);
    notes.ended_tree = tree_state(store, &before);
    write_notes(store, notes);
  }
  return report;
}

}  // namespace assay::project
