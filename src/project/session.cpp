#include "assay/project/session.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/project/clock.h"
#include "assay/project/session_parts.h"
#include "assay/project/session_results.h"
#include "assay/project/text.h"

namespace assay::project {
namespace {

constexpr size_t kNextSteps = 5;
constexpr size_t kListedFiles = 8;

// Their changes are told by what was done, learned, decided and recorded.
bool is_own_document(const std::string& path) {
  return path == kTasksFile || path == kLearningsFile ||
         path.starts_with(".assay/") || path.starts_with("docs/decisions/") ||
         path == kLedgerFile || path == kResultsFile;
}

TaskMark mark_of(const TaskView& view) {
  return {.id = view.task.id,
          .text = view.task.text,
          .state = view.task.state,
          .section = view.section.empty() ? "" : view.section.back()};
}

std::string finished_text(const TaskMark& task, TaskState state) {
  return (state == TaskState::dropped ? "Dropped: " : "") +
         with_id(task.text, task.id);
}

void report_tasks(const SessionMark& before,
                  const std::vector<TaskView>& now,
                  SessionReport& report) {
  std::map<std::string, TaskState> then;
  for (const auto& task : before.tasks) {
    // Of two tasks with one text the unfinished one counts: it is the one
    // that can be lost.
    auto [entry, fresh] = then.try_emplace(task.id, task.state);
    if (!fresh && unfinished(task.state)) {
      entry->second = task.state;
    }
  }
  std::set<std::string> here;
  for (const auto& view : now) {
    here.insert(view.task.id);
    auto was = then.find(view.task.id);
    bool ended = was == then.end() || unfinished(was->second);
    auto text = with_id(view.task.text, view.task.id);
    if (view.task.state == TaskState::done && ended) {
      report.completed.push_back(text);
    } else if (view.task.state == TaskState::dropped && ended) {
      report.completed.push_back("Dropped: " + text);
    } else if (view.task.state == TaskState::started) {
      report.in_progress.push_back(text);
    }
  }
  for (const auto& task : before.tasks) {
    if (!unfinished(task.state) || here.contains(task.id)) {
      continue;
    }
    // One that was seen finished may be tidied away.
    if (unfinished(task.last_seen())) {
      report.lost.push_back(task);
    } else {
      report.completed.push_back(finished_text(task, task.last_seen()));
    }
  }
}

// Tasks that came with a commit since and are gone again, finished in none.
void report_passed(const Store& store,
                   const SessionMark& before,
                   const std::vector<TaskView>& now,
                   SessionReport& report) {
  if (!before.tree.git) {
    return;
  }
  auto range =
      before.tree.commit.empty() ? "HEAD" : before.tree.commit + "..HEAD";
  auto log = run_git(store,
                     {"log",
                      "--patch",
                      "--unified=0",
                      "--no-color",
                      "--no-ext-diff",
                      "--no-textconv",
                      "--no-show-signature",
                      "--format=",
                      range,
                      "--",
                      std::string(kTasksFile)});
  std::string added;
  for (const auto& line : split_lines(log.exit_code == 0 ? log.output : "")) {
    auto text = std::string_view(line);
    if (text.starts_with('+') && !text.starts_with("+++ ")) {
      added += fmt::format("{}\n", trim(text.substr(1)));
    }
  }
  std::set<std::string> known;
  for (const auto& task : before.tasks) {
    known.insert(task.id);
  }
  for (const auto& view : now) {
    known.insert(view.task.id);
  }
  auto document = Document(added, std::string(kTasksFile));
  std::map<std::string, TaskState> finished;
  for (const auto& task : document.tasks()) {
    if (!unfinished(task.state)) {
      finished.try_emplace(task.id, task.state);
    }
  }
  std::erase_if(report.lost, [&](const TaskMark& task) {
    auto ended = finished.find(task.id);
    if (ended != finished.end()) {
      report.completed.push_back(finished_text(task, ended->second));
    }
    return ended != finished.end();
  });
  for (const auto& task : document.tasks()) {
    if (!finished.contains(task.id) && known.insert(task.id).second) {
      report.lost.push_back({.id = task.id,
                             .text = task.text,
                             .state = task.state,
                             .section = ""});
    }
  }
}

// True where the mark has changed.
bool see_tasks(SessionMark& mark, const std::vector<TaskView>& tasks) {
  std::map<std::string, TaskState> here;
  for (const auto& view : tasks) {
    // Of two tasks with one text the unfinished one counts.
    auto [entry, fresh] = here.try_emplace(view.task.id, view.task.state);
    if (!fresh && unfinished(view.task.state)) {
      entry->second = view.task.state;
    }
  }
  bool changed = false;
  std::set<std::string> known;
  for (auto& task : mark.tasks) {
    known.insert(task.id);
    auto now = here.find(task.id);
    if (now != here.end() && now->second != task.last_seen()) {
      task.later = now->second;
      changed = true;
    }
  }
  for (const auto& view : tasks) {
    if (unfinished(view.task.state) && known.insert(view.task.id).second) {
      mark.tasks.push_back(mark_of(view));
      changed = true;
    }
  }
  return changed;
}

void report_learned(const SessionMark& before,
                    const ProjectNow& now,
                    SessionReport& report) {
  for (const auto& view : now.decisions) {
    if (!before.decisions.contains(view.decision.title)) {
      report.completed.push_back("Decided: " + view.decision.title);
    }
  }
  for (const auto& learning : now.learnings) {
    if (!before.learnings.contains(learning.text)) {
      report.completed.push_back((learning.failed ? "Failed: " : "Learned: ") +
                                 learning.text);
    }
  }
}

void report_files(const Store& store,
                  const SessionMark& before,
                  SessionReport& report) {
  auto changes =
      changes_between(store, before.tree, tree_state(store, &before.tree));
  std::vector<std::string> names;
  for (const auto& change : changes.files) {
    if (!is_own_document(change.path)) {
      names.push_back(
          change.kind == FileChange::Kind::changed
              ? change.path
              : fmt::format("{} ({})", change.path, name(change.kind)));
    }
  }
  if (!changes.commits.empty()) {
    report.completed.push_back(
        fmt::format("Commits: {}", listed(changes.commits, 3)));
  }
  if (!names.empty()) {
    report.completed.push_back(
        fmt::format("Files: {}", listed(names, kListedFiles)));
  }
}

void report_next(const std::vector<TaskView>& tasks, SessionReport& report) {
  size_t open = 0;
  for (const auto* view : tasks_in_order(tasks)) {
    if (view->task.state != TaskState::open) {
      continue;
    }
    if (++open <= kNextSteps) {
      report.next.push_back(with_id(view->task.text, view->task.id));
    }
  }
  if (open > kNextSteps) {
    report.next.push_back(
        fmt::format("{} more open tasks above", open - kNextSteps));
  }
}

void add_list(std::vector<std::string>& lines,
              std::string_view title,
              const std::vector<std::string>& entries) {
  lines.emplace_back();
  lines.push_back(fmt::format("**{}**", title));
  lines.emplace_back();
  for (const auto& entry : entries) {
    // What reads as a box or as a mark elsewhere is text here.
    bool boxed = entry.starts_with('[');
    lines.push_back(fmt::format("- {}{}", boxed ? "\\" : "", clip(entry, 300)));
  }
  if (entries.empty()) {
    lines.emplace_back("- none");
  }
}

}  // namespace

bool unfinished(TaskState state) {
  return state == TaskState::open || state == TaskState::started;
}

std::string with_id(const std::string& text, const std::string& id) {
  return fmt::format("{} ({})", text, id);
}

std::string listed(const std::vector<std::string>& names, size_t limit) {
  std::string text;
  for (size_t index = 0; index < std::min(limit, names.size()); ++index) {
    text += (index == 0 ? "" : ", ") + names[index];
  }
  if (names.size() > limit) {
    text += fmt::format(" and {} more", names.size() - limit);
  }
  return text;
}

ProjectNow read_project(const Store& store) {
  return {list_tasks(store),
          list_decisions(store),
          list_learnings(store.document(kLearningsFile)),
          read_ledger(store)};
}

SessionMark mark_project(const ProjectNow& project, TreeState tree) {
  SessionMark mark;
  mark.at = now_text();
  for (const auto& view : project.tasks) {
    mark.tasks.push_back(mark_of(view));
  }
  for (const auto& view : project.decisions) {
    mark.decisions.insert(view.decision.title);
  }
  for (const auto& learning : project.learnings) {
    mark.learnings.insert(learning.text);
  }
  mark.results = run_ids(project.ledger);
  mark.tree = std::move(tree);
  return mark;
}

std::vector<const TaskView*> tasks_in_order(const std::vector<TaskView>& all) {
  std::vector<const TaskView*> ordered;
  const TaskView* first = nullptr;
  for (const auto& view : all) {
    if (view.task.state == TaskState::started) {
      ordered.push_back(&view);
    } else if (view.task.state == TaskState::open && first == nullptr) {
      first = &view;
    }
  }
  for (bool same : {true, false}) {
    for (const auto& view : all) {
      bool here = first != nullptr && view.section == first->section;
      if (view.task.state == TaskState::open && here == same) {
        ordered.push_back(&view);
      }
    }
  }
  return ordered;
}

SessionStart start_session(Store& store) {
  auto guard = Store::Guard(store);
  auto notes = read_notes(store);
  auto project = read_project(store);
  auto* known = notes.ended_at.empty() ? nullptr : &notes.ended_tree;
  auto tree = tree_state(store, known);
  SessionStart start{make_page(store, notes, project, tree), ""};
  if (!notes.open) {
    notes.open = mark_project(project, std::move(tree));
    write_notes(store, notes);
  } else if (see_tasks(*notes.open, project.tasks)) {
    write_notes(store, notes);
  }
  start.since = notes.open->at;
  return start;
}

void note_tasks(Store& store) {
  auto guard = Store::Guard(store);
  auto notes = read_notes(store);
  if (notes.open && see_tasks(*notes.open, list_tasks(store))) {
    write_notes(store, notes);
  }
}

SessionReport session_report(const Store& store) {
  auto notes = read_notes(store);
  if (!notes.open) {
    fail("session.none",
         store.root().string(),
         "a session that is open",
         notes.ended_at.empty() ? "none so far"
                                : "the last one ended " + notes.ended_at);
  }
  auto now = read_project(store);
  SessionReport report;
  report.since = notes.open->at;
  report.at = now_text();
  report_tasks(*notes.open, now.tasks, report);
  report_passed(store, *notes.open, now.tasks, report);
  report_learned(*notes.open, now, report);
  if (auto recorded = runs_since(now.ledger, notes.open->results);
      !recorded.empty()) {
    report.completed.push_back("Recorded: " + recorded);
  }
  report_files(store, *notes.open, report);
  report_next(now.tasks, report);
  return report;
}

std::vector<std::string> block_lines(const SessionReport& report) {
  std::vector<std::string> lines = {
      fmt::format("### Session End: {}", report.at.substr(0, 16))};
  add_list(lines, "Completed", report.completed);
  add_list(lines, "In Progress", report.in_progress);
  add_list(lines, "Next Steps", report.next);
  return lines;
}

Json to_json(const SessionReport& report) {
  auto lost = Json::array();
  for (const auto& task : report.lost) {
    lost.push_back({{"id", task.id},
                    {"text", task.text},
                    {"state", name(task.last_seen())}});
  }
  return {{"since", report.since},
          {"at", report.at},
          {"completed", report.completed},
          {"in_progress", report.in_progress},
          {"next", report.next},
          {"lost", std::move(lost)}};
}

}  // namespace assay::project
