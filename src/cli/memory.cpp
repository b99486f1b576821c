// The verbs of the project's memory: task, learn, decide.

#include "assay/cli/memory.h"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/output.h"
#include "assay/cli/verbs.h"
#include "assay/core/platform.h"
#include "assay/project/learnings.h"
#include "assay/project/tasks.h"

namespace assay::cli {

project::Store open_store() {
  return project::Store(project::find_project(std::filesystem::current_path()));
}

std::string joined_words(const Arguments& arguments, std::string_view name) {
  std::string text;
  for (const auto& word : arguments.all(name)) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text;
}

namespace {

char state_letter(project::TaskState state) {
  switch (state) {
    case project::TaskState::open:
      return ' ';
    case project::TaskState::started:
      return '/';
    case project::TaskState::done:
      return 'x';
    case project::TaskState::dropped:
      break;
  }
  return '-';
}

void print_task(const project::TaskView& view, Output& output) {
  output.print(fmt::format("{} [{}] {}{}  ({}:{})\n",
                           view.task.id,
                           state_letter(view.task.state),
                           std::string(2 * view.task.depth, ' '),
                           view.task.text,
                           project::kTasksFile,
                           view.line));
}

int print_tasks(bool all, Output& output) {
  auto store = open_store();
  auto json = Json::array();
  for (const auto& view : project::list_tasks(store)) {
    bool open = view.task.state == project::TaskState::open ||
                view.task.state == project::TaskState::started;
    if (!open && !all) {
      continue;
    }
    if (output.json()) {
      json.push_back(to_json(view));
    } else {
      print_task(view, output);
    }
  }
  if (output.json()) {
    output.print_json(json);
  }
  return kSound;
}

project::TaskView change_task(const std::string& what,
                              const Arguments& arguments) {
  auto text = joined_words(arguments, "TEXT-OR-ID");
  if (text.empty()) {
    throw UsageError(fmt::format("task {} takes a text or an id", what));
  }
  auto store = open_store();
  if (what == "add") {
    return project::add_task(
        store, text, arguments.maybe_text("--under").value_or(""));
  }
  auto state = project::TaskState::dropped;
  if (what == "start") {
    state = project::TaskState::started;
  } else if (what == "done") {
    state = project::TaskState::done;
  } else if (what != "drop") {
    throw UsageError(
        fmt::format("task add, start, done, drop or list, not '{}'", what));
  }
  return project::set_task(
      store, text, state, arguments.maybe_text("--reason").value_or(""));
}

int run_task(const Arguments& arguments, Output& output) {
  auto what = arguments.text("WHAT");
  if (what == "list") {
    return print_tasks(arguments.flag("--all"), output);
  }
  auto view = change_task(what, arguments);
  if (output.json()) {
    output.print_json(to_json(view));
  } else {
    print_task(view, output);
  }
  return kSound;
}

int run_learn(const Arguments& arguments, Output& output) {
  auto store = open_store();
  auto line = project::learn(
      store, joined_words(arguments, "TEXT"), arguments.flag("--failed"));
  if (output.json()) {
    output.print_json({{"file", project::kLearningsFile}, {"line", line}});
  } else {
    output.print(fmt::format("{}: {}\n", project::kLearningsFile, line));
  }
  return kSound;
}

// Somebody at a terminal fills in what the options left out.
bool wants_editor(const Arguments& arguments, const Output& output) {
  bool whole = arguments.has("--rationale") && arguments.has("--trade-off") &&
               arguments.has("--validation");
  return !whole && !output.json() && is_terminal(0) && is_terminal(1);
}

int run_decide(const Arguments& arguments, Output& output) {
  auto store = open_store();
  project::Decision decision = {
      .title = joined_words(arguments, "TITLE"),
      .rationale = arguments.maybe_text("--rationale").value_or(""),
      .trade_off = arguments.maybe_text("--trade-off").value_or(""),
      .validation = arguments.maybe_text("--validation").value_or(""),
      .date = {},
      .supersedes = arguments.maybe_text("--supersedes").value_or("")};
  auto view = wants_editor(arguments, output)
                  ? project::decide_in_editor(store, decision)
                  : project::decide(store, decision);
  if (output.json()) {
    output.print_json(to_json(view));
  } else {
    output.print(
        fmt::format("{}:{} {}\n", view.file, view.line, view.decision.title));
  }
  return kSound;
}

Option text_option(std::string_view name,
                   std::string_view value,
                   std::string_view help) {
  return {.name = name, .kind = OptionKind::text, .value = value, .help = help};
}

}  // namespace

Command task_command() {
  return {
      .name = "task",
      .summary = "the project's tasks (TODO.md): add, start, done, drop, list",
      .description =
          "A task is an item `- [ ]`, `- [/]` (in progress) or `- [x]` of "
          "TODO.md. It is named by its id, by FILE:LINE, by its text or a "
          "part that only it has. Only its own lines change. \"(diagnostic: "
          "NAME)\" in its text names the diagnostic that proves it done.",
      .operands = {{"WHAT", "add, start, done, drop or list"},
                   {"TEXT-OR-ID", "the task", false, true}},
      .options = {text_option("--under", "HEADING", "add: below this heading"),
                  text_option(
                      "--reason", "TEXT", "written below the task's line"),
                  {.name = "--all", .help = "list: finished ones too"}},
      .run = run_task};
}

Command learn_command() {
  return {.name = "learn",
          .summary = "write down an insight, or what failed",
          .description =
              "Adds a dated item to reference/LEARNINGS.md, under Insights, or "
              "under Failed Approaches.",
          .operands = {{"TEXT", "what was learned", true, true}},
          .options = {{.name = "--failed", .help = "an approach that failed"}},
          .run = run_learn};
}

Command decide_command() {
  return {
      .name = "decide",
      .summary = "write down a decision and why",
      .description =
          "Into reference/LEARNINGS.md, or as docs/decisions/NNNN-title.md "
          "(MADR) where that folder exists. One that supersedes another links "
          "both. At a terminal, what the options leave out is asked for in "
          "$VISUAL or $EDITOR.",
      .operands = {{"TITLE", "what was decided", true, true}},
      .options = {text_option("--rationale", "TEXT", "why"),
                  text_option("--trade-off", "TEXT", "what it costs"),
                  text_option(
                      "--validation", "TEXT", "how it is known to hold"),
                  text_option(
                      "--supersedes", "TITLE", "the decision it replaces")},
      .run = run_decide};
}

}  // namespace assay::cli
