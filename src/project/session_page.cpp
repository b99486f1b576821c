// The page that a session begins with: TODO, LEARNINGS, DIAGNOSTICS, RESULTS,
// then what changed outside, and the environment.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/clock.h"
#include "assay/project/environment.h"
#include "assay/project/session.h"
#include "assay/project/session_parts.h"
#include "assay/project/session_results.h"
#include "assay/project/task_links.h"
#include "assay/project/text.h"

namespace assay::project {
namespace {

// What comes first when room is short; the lower the more important.
enum Rank : int {
  kAtWork = kEssential,  // the first task in progress
  kBroken = 0,
  kInProgress = 10,
  kFirstNext = 20,  // the three that come up first
  kFailedApproach = 30,
  kDecision = 31,
  kChangedFirst = 40,
  kInsight = 50,
  kDiagnostic = 55,
  kNext = 60,
  kEnvironment = 65,
  kChanged = 70,
  kLater = 80,
};

constexpr size_t kTouching = 4;

std::string counts(const std::vector<TaskView>& tasks) {
  std::array<size_t, 4> numbers{};
  for (const auto& view : tasks) {
    ++numbers[static_cast<size_t>(view.task.state)];
  }
  return fmt::format("{} in progress, {} open, {} done",
                     numbers[static_cast<size_t>(TaskState::started)],
                     numbers[static_cast<size_t>(TaskState::open)],
                     numbers[static_cast<size_t>(TaskState::done)]);
}

PageItem task_item(const TaskView& view, int rank, std::string_view state) {
  auto item = PageItem{
      "task",
      fmt::format("{}: {}", state, with_id(view.task.text, view.task.id)),
      rank,
      {}};
  item.facts = {{"id", view.task.id},
                {"state", name(view.task.state)},
                {"file", kTasksFile},
                {"line", view.line},
                {"section", view.section}};
  return item;
}

void add_broken(const Store& store,
                const ProjectNow& project,
                const std::vector<DiagnosticResult>& known,
                PageSection& section) {
  for (const auto& result : known) {
    if (result.outcome == Outcome::failed ||
        result.outcome == Outcome::timed_out) {
      section.items.push_back({"broken",
                               fmt::format("broken: diagnostic {} {} on {}",
                                           result.name,
                                           name(result.outcome),
                                           result.when.substr(0, 16)),
                               kBroken,
                               {{"diagnostic", result.name}}});
    }
  }
  for (const auto& finding : done_but_failing(store, project.tasks, known)) {
    section.items.push_back({"broken",
                             fmt::format("broken: {} {}: {}",
                                         finding.where,
                                         finding.expected,
                                         finding.actual),
                             kBroken,
                             {{"where", finding.where}}});
  }
}

PageSection todo_section(const Store& store,
                         const ProjectNow& project,
                         const std::vector<DiagnosticResult>& known) {
  PageSection section{"TODO", counts(project.tasks), {}, "assay task list"};
  add_broken(store, project, known, section);
  size_t open = 0;
  int started = kAtWork;
  for (const auto* view : tasks_in_order(project.tasks)) {
    if (view->task.state == TaskState::started) {
      section.items.push_back(task_item(*view, started, "in progress"));
      started = kInProgress;
      continue;
    }
    int rank = open < 3 ? kFirstNext : (open < 10 ? kNext : kLater);
    section.items.push_back(task_item(*view, rank, open < 3 ? "next" : "open"));
    ++open;
  }
  return section;
}

// The words of what is at work: tasks in progress twice, the next three once.
std::vector<std::string> at_work(const ProjectNow& project,
                                 const PageSection& todo) {
  std::vector<std::string> words;
  size_t open = 0;
  for (const auto* view : tasks_in_order(project.tasks)) {
    bool started = view->task.state == TaskState::started;
    if (started) {
      words.push_back(view->task.text);
    } else if (++open > 3) {
      break;
    }
    words.push_back(view->task.text);
  }
  for (const auto& item : todo.items) {
    if (item.kind == "broken") {
      words.push_back(item.text);
    }
  }
  return words;
}

void add_decisions(const ProjectNow& project,
                   const std::vector<std::string>& work,
                   PageSection& section) {
  std::vector<const DecisionView*> valid;
  std::vector<std::string> texts;
  for (const auto& view : project.decisions) {
    if (view.superseded_by.empty()) {
      valid.push_back(&view);
      texts.push_back(view.decision.title + " " + view.decision.rationale +
                      " " + view.decision.trade_off);
    }
  }
  for (auto index : Relevance(texts).rank(work, kTouching)) {
    const auto& view = *valid[index];
    auto why = split_lines(view.decision.rationale);
    section.items.push_back({"decision",
                             fmt::format("decided: {}{}{}",
                                         view.decision.title,
                                         why.empty() ? "" : ": ",
                                         why.empty() ? "" : why.front()),
                             kDecision,
                             {{"title", view.decision.title},
                              {"file", view.file},
                              {"line", view.line}}});
  }
}

void add_learnings(const ProjectNow& project,
                   const std::vector<std::string>& work,
                   bool failed,
                   PageSection& section) {
  std::vector<const Learning*> entries;
  std::vector<std::string> texts;
  for (const auto& learning : project.learnings) {
    if (learning.failed == failed) {
      entries.push_back(&learning);
      texts.push_back(learning.text);
    }
  }
  for (auto index : Relevance(texts).rank(work, kTouching)) {
    section.items.push_back(
        {failed ? "failed" : "insight",
         fmt::format("{}: {}", failed ? "failed" : "known", texts[index]),
         failed ? kFailedApproach : kInsight,
         {{"file", kLearningsFile}, {"line", entries[index]->line}}});
  }
}

PageSection learnings_section(const ProjectNow& project,
                              const std::vector<std::string>& work) {
  auto failed = std::ranges::count_if(
      project.learnings, [](const Learning& entry) { return entry.failed; });
  PageSection section{
      "LEARNINGS",
      fmt::format("{} insights, {} failed approaches, {} decisions",
                  project.learnings.size() - static_cast<size_t>(failed),
                  failed,
                  project.decisions.size()),
      {},
      "assay recall WORDS"};
  add_learnings(project, work, true, section);
  add_decisions(project, work, section);
  add_learnings(project, work, false, section);
  if (section.items.empty() && !project.learnings.empty()) {
    section.summary += "; none touches what is at work";
  }
  return section;
}

PageSection diagnostics_section(const Store& store,
                                const std::vector<Diagnostic>& all,
                                const std::vector<DiagnosticResult>& known) {
  PageSection section{"DIAGNOSTICS",
                      all.empty() ? "none" : fmt::format("{}", all.size()),
                      {},
                      "assay tool list"};
  if (!all.empty() && !is_trusted(store)) {
    section.summary += ", not yet trusted on this machine (assay tool trust)";
  }
  for (const auto& diagnostic : all) {
    auto last =
        std::ranges::find(known, diagnostic.name, &DiagnosticResult::name);
    auto state = last == known.end() ? std::string("not run yet")
                                     : fmt::format("{} on {}",
                                                   name(last->outcome),
                                                   last->when.substr(0, 16));
    section.items.push_back({"diagnostic",
                             fmt::format("{}{}: {}",
                                         diagnostic.name,
                                         diagnostic.slow ? " (slow)" : "",
                                         state),
                             kDiagnostic,
                             to_json(diagnostic)});
  }
  return section;
}

// The newest end that TODO.md tells of: where this machine has no notes.
std::string newest_end(const Store& store) {
  constexpr std::string_view kEnd = "Session End: ";
  std::string newest;
  auto document = store.document(kTasksFile);
  for (const auto& heading : document.headings()) {
    if (heading.title.starts_with(kEnd)) {
      newest = std::max(newest, heading.title.substr(kEnd.size()));
    }
  }
  return newest;
}

struct LastEnd {
  std::string at;  ///< empty: none
  std::optional<TreeState> tree;
};

LastEnd last_end(const Store& store, const SessionNotes& notes) {
  if (notes.open) {
    // Nothing is outside of a session that is open.
    return {notes.ended_at, {}};
  }
  if (!notes.ended_at.empty()) {
    return {notes.ended_at, notes.ended_tree};
  }
  LastEnd end{newest_end(store), {}};
  if (!end.at.empty()) {
    auto commit =
        commit_with_line(store, kTasksFile, "### Session End: " + end.at);
    if (!commit.empty()) {
      end.tree = TreeState{.git = true, .commit = commit, .files = {}};
    }
  }
  return end;
}

PageSection changes_section(const Store& store,
                            const LastEnd& end,
                            const TreeState& now) {
  PageSection section{"CHANGED OUTSIDE", "", {}, "git log, git status"};
  if (!end.tree) {
    section.summary = end.at.empty() ? "no end of a session to compare with"
                                     : "the last end is not in git's history";
    return section;
  }
  auto changes = changes_between(store, *end.tree, now);
  section.summary = fmt::format(
      "{} file{} since the last end{}{}",
      changes.files.empty() ? "no" : std::to_string(changes.files.size()),
      changes.files.size() == 1 ? "" : "s",
      changes.remark.empty() ? "" : "; ",
      changes.remark);
  if (!now.git) {
    section.more = "assay session start --budget N";
  }
  for (const auto& subject : changes.commits) {
    section.items.push_back({"commit", "commit: " + subject, kChanged, Json()});
  }
  size_t count = 0;
  for (const auto& change : changes.files) {
    section.items.push_back(
        {"changed",
         fmt::format("{}: {}", name(change.kind), change.path),
         ++count <= 5 ? kChangedFirst : kLater,
         {{"path", change.path}, {"change", name(change.kind)}}});
  }
  return section;
}

PageSection environment_section(const Store& store) {
  auto state = environment_state(store);
  PageSection section{"ENVIRONMENT", state.summary, {}, "assay env status"};
  for (const auto& finding : state.findings) {
    if (finding.severity != Severity::note) {
      section.items.push_back({"environment",
                               fmt::format("{}: expected {}, found {}",
                                           finding.id,
                                           finding.expected,
                                           finding.actual),
                               kEnvironment,
                               Json()});
    }
  }
  return section;
}

std::string head_of(const Store& store,
                    const Settings& settings,
                    const SessionNotes& notes,
                    const LastEnd& end) {
  auto now = now_text();
  auto name =
      settings.name.empty() ? store.root().filename().string() : settings.name;
  auto head = fmt::format("# {}{}, {}",
                          clip(name, 60),
                          settings.kind.empty()
                              ? ""
                              : fmt::format(" ({})", clip(settings.kind, 20)),
                          now.substr(0, 16));
  if (notes.open) {
    return head + fmt::format("; this session is open since {}",
                              notes.open->at.substr(0, 16));
  }
  if (end.at.empty()) {
    return head + "; the first session";
  }
  return head + fmt::format("; the last one ended {} ({} ago)",
                            end.at.substr(0, 16),
                            span_text(minutes_between(end.at, now)));
}

}  // namespace

Page make_page(const Store& store,
               const SessionNotes& notes,
               const ProjectNow& project,
               const TreeState& now) {
  auto settings = read_settings(store);
  auto diagnostics = list_diagnostics(store, settings);
  auto known = last_results(store, diagnostics);
  auto end = last_end(store, notes);
  Page page;
  page.head = head_of(store, settings, notes, end);
  page.sections.push_back(todo_section(store, project, known));
  page.quick_diagnostics = static_cast<size_t>(
      std::ranges::count(diagnostics, false, &Diagnostic::slow));
  auto work = at_work(project, page.sections.front());
  page.sections.push_back(learnings_section(project, work));
  page.sections.push_back(diagnostics_section(store, diagnostics, known));
  page.sections.push_back(
      results_section(project.ledger, settings.regression_percent));
  page.sections.push_back(changes_section(store, end, now));
  page.sections.push_back(environment_section(store));
  return page;
}

Page session_page(const Store& store, const SessionNotes& notes) {
  auto* known = notes.ended_at.empty() ? nullptr : &notes.ended_tree;
  return make_page(store, notes, read_project(store), tree_state(store, known));
}

}  // namespace assay::project
