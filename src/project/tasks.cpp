#include "assay/project/tasks.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/session.h"

namespace assay::project {
namespace {

using Tasks = std::vector<const Task*>;

bool unfinished(const Task& task) {
  return task.state == TaskState::open || task.state == TaskState::started;
}

TaskView view_of(const Document& document, const Task& task) {
  return {task, static_cast<int>(task.line) + 1, document.path_of(task.line)};
}

TaskView view_at(const Document& document, size_t line) {
  for (const auto& task : document.tasks()) {
    if (task.line == line) {
      return view_of(document, task);
    }
  }
  // The line was written as a task; only an enclosing comment or code that
  // was never closed can hide it.
  fail("project.ambiguous",
       fmt::format("{}:{}", document.where(), line + 1),
       "a place outside code and comments",
       std::string(document.line(line)));
}

template <class Test>
Tasks tasks_where(const Document& document, const Test& test) {
  Tasks found;
  for (const auto& task : document.tasks()) {
    if (test(task)) {
      found.push_back(&task);
    }
  }
  return found;
}

bool is_hex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Tasks named(const Document& document, std::string_view which) {
  auto prefix = fmt::format("{}:", kTasksFile);
  if (which.starts_with(prefix)) {
    auto line = std::strtoul(
        std::string(which.substr(prefix.size())).c_str(), nullptr, 10);
    return tasks_where(document,
                       [&](const Task& task) { return task.line + 1 == line; });
  }
  auto same = tasks_where(
      document, [&](const Task& task) { return task.text == trim(which); });
  if (same.empty() && which.size() >= 4 && is_hex(which)) {
    same = tasks_where(
        document, [&](const Task& task) { return task.id.starts_with(which); });
  }
  if (!same.empty()) {
    return same;
  }
  auto part = to_lower(trim(which));
  auto holds = [&](const Task& task) {
    return to_lower(task.text).find(part) != std::string::npos;
  };
  auto open = tasks_where(document, [&](const Task& task) {
    return unfinished(task) && holds(task);
  });
  return open.empty() ? tasks_where(document, holds) : open;
}

const Task& find_task(const Document& document, std::string_view which) {
  if (trim(which).empty()) {
    fail("project.empty", std::string(kTasksFile), "a task's name", "nothing");
  }
  auto found = named(document, which);
  if (found.empty()) {
    fail("project.no-task",
         document.where(),
         fmt::format("a task named \"{}\"", which),
         fmt::format("none among {}", document.tasks().size()));
  }
  if (found.size() > 1) {
    std::string places;
    for (size_t index = 0; index < std::min<size_t>(found.size(), 5); ++index) {
      places += fmt::format("{}{}:{} {}",
                            index == 0 ? "" : "; ",
                            document.where(),
                            found[index]->line + 1,
                            found[index]->text);
    }
    fail("project.ambiguous",
         document.where(),
         fmt::format("one task named \"{}\"", which),
         fmt::format("{}: {}", found.size(), places));
  }
  return *found.front();
}

// The line before which a new task goes into a section: after its last task,
// or else after the heading and the words below it.
size_t place_in(const Document& document, LineRange range) {
  size_t place = range.first;
  for (auto line = range.first; line < range.last; ++line) {
    if (document.lines()[line].kind == LineKind::heading) {
      break;
    }
    if (document.lines()[line].kind != LineKind::blank &&
        !document.opens_block(line)) {
      place = line + 1;
    }
  }
  for (const auto& task : document.tasks()) {
    if (task.line >= range.first && task.line < range.last) {
      place = task.last + 1;
    }
  }
  return place;
}

// The innermost section around a line: to the next heading of any level.
LineRange around(const Document& document, size_t line) {
  LineRange range{0, document.lines().size()};
  for (const auto& heading : document.headings()) {
    if (heading.line > line) {
      range.last = heading.line;
      break;
    }
    range.first = heading.body;
  }
  return range;
}

size_t place_for(const Document& document, std::string_view under) {
  if (!under.empty()) {
    const auto* heading = document.find_heading(under);
    if (heading == nullptr) {
      fail("project.no-heading",
           document.where(),
           fmt::format("a heading \"{}\"", under),
           "none");
    }
    return place_in(document, around(document, heading->line));
  }
  auto open = tasks_where(document, unfinished);
  if (!open.empty()) {
    return place_in(document, around(document, open.front()->line));
  }
  if (const auto* next = document.find_heading("Next")) {
    return place_in(document, around(document, next->line));
  }
  // The ends of sessions stand last; a task is none of them.
  if (const auto* sessions = document.find_heading("Sessions")) {
    return sessions->line;
  }
  return document.lines().size();
}

std::string single_line(std::string_view text) {
  std::string line;
  for (const auto& part : split_lines(text)) {
    auto bare = trim(part);
    line += (line.empty() || bare.empty() ? "" : " ") + std::string(bare);
  }
  return line;
}

std::string indent_text(std::string_view line) {
  return std::string(
      line.substr(0, std::min(line.find_first_not_of(" \t"), line.size())));
}

// Returns the line it got.
size_t insert_task(Document& document, size_t place, std::string line) {
  std::vector<std::string> lines = {std::move(line)};
  auto is_list = [&](size_t index) {
    return document.lines()[index].kind == LineKind::item ||
           !indent_text(document.line(index)).empty();
  };
  // A list is set off from words; it goes on without a gap.
  bool spaced = place > 0 && !is_list(place - 1) &&
                document.lines()[place - 1].kind != LineKind::blank &&
                document.lines()[place - 1].kind != LineKind::heading;
  if (spaced) {
    lines.insert(lines.begin(), "");
  }
  bool crowded = place < document.lines().size() &&
                 document.lines()[place].kind == LineKind::heading;
  if (crowded) {
    lines.emplace_back();
  }
  document.insert(place, lines);
  return place + (spaced ? 1 : 0);
}

// The session's notes are no part of the task: where they cannot be read, the
// next verb of a session says so.
void remember_tasks(Store& store) {
  try {
    note_tasks(store);
  } catch (const Error& error) {
    if (error.finding().id != "session.unreadable") {
      throw;
    }
  }
}

}  // namespace

std::vector<TaskView> list_tasks(const Store& store) {
  auto document = store.document(kTasksFile);
  std::vector<TaskView> views;
  for (const auto& task : document.tasks()) {
    views.push_back(view_of(document, task));
  }
  return views;
}

TaskView add_task(Store& store, std::string_view text, std::string_view under) {
  auto line = single_line(text);
  if (line.empty()) {
    fail("project.empty", std::string(kTasksFile), "a task's text", "nothing");
  }
  auto guard = Store::Guard(store);
  TaskView added;
  store.edit(kTasksFile, [&](Document& document) {
    auto same = tasks_where(document, [&](const Task& task) {
      return unfinished(task) && task.text == line;
    });
    if (!same.empty()) {
      fail("project.duplicate",
           fmt::format("{}:{}", document.where(), same.front()->line + 1),
           "a task that is not there yet",
           line);
    }
    if (document.lines().empty()) {
      document.insert(0, {"# TODO", ""});
    }
    auto place = place_for(document, under);
    added = view_at(
        document, insert_task(document, place, fmt::format("- [ ] {}", line)));
  });
  remember_tasks(store);
  return added;
}

TaskView set_task(Store& store,
                  std::string_view which,
                  TaskState state,
                  std::string_view reason) {
  auto guard = Store::Guard(store);
  TaskView changed;
  store.edit(kTasksFile, [&](Document& document) {
    auto task = find_task(document, which);
    if (task.state != state) {
      document.set_state(task, state);
    }
    if (auto words = single_line(reason); !words.empty()) {
      auto own = document.line(task.line);
      // Below the words of the task: two columns are inside "- ", four inside
      // a numbered item.
      auto indent = indent_text(own);
      bool numbered = own[indent.size()] >= '0' && own[indent.size()] <= '9';
      document.insert(
          task.line + 1,
          {fmt::format("{}{}- {}", indent, numbered ? "    " : "  ", words)});
    }
    changed = view_at(document, task.line);
  });
  remember_tasks(store);
  return changed;
}

Json to_json(const TaskView& view) {
  return {{"id", view.task.id},
          {"state", name(view.task.state)},
          {"text", view.task.text},
          {"file", kTasksFile},
          {"line", view.line},
          {"depth", view.task.depth},
          {"section", view.section}};
}

}  // namespace assay::project
