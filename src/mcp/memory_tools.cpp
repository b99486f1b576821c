// Tools over the project's documents. They write within the project only: the
// store refuses any other place.

#include <fmt/format.h>

#include "assay/mcp/assay_server.h"
#include "assay/mcp/tool_parts.h"
#include "assay/project/learnings.h"
#include "assay/project/tasks.h"

namespace assay::mcp {
namespace fs = std::filesystem;

namespace {

std::string text_of(const Json& arguments, const char* name) {
  auto entry = arguments.find(name);
  return entry == arguments.end() ? "" : entry->get<std::string>();
}

Json listed(const project::Store& store, bool all) {
  auto tasks = Json::array();
  for (const auto& view : project::list_tasks(store)) {
    bool open = view.task.state == project::TaskState::open ||
                view.task.state == project::TaskState::started;
    if (open || all) {
      tasks.push_back(to_json(view));
    }
  }
  return {{"tasks", std::move(tasks)}};
}

project::TaskState state_after(const std::string& action) {
  if (action == "start") {
    return project::TaskState::started;
  }
  return action == "done" ? project::TaskState::done
                          : project::TaskState::dropped;
}

Json change_task(const fs::path& root, const Json& arguments) {
  auto action = text_of(arguments, "action");
  project::Store store(root);
  if (action == "list") {
    return as_result(listed(store, arguments.value("all", false)));
  }
  auto text = text_of(arguments, "task");
  if (text.empty()) {
    auto result = text_result(
        fmt::format("{} needs the argument task: its text or id", action));
    result["isError"] = true;
    return result;
  }
  if (action == "add") {
    return as_result(
        to_json(project::add_task(store, text, text_of(arguments, "under"))));
  }
  return as_result(to_json(project::set_task(
      store, text, state_after(action), text_of(arguments, "reason"))));
}

Tool task_tool(const fs::path& root) {
  return {.name = "task",
          .title = "The project's tasks",
          .description =
              "Lists, adds or changes tasks of TODO.md; each has an id that "
              "stays while its text does.",
          .input_schema = closed(
              {{"action",
                one_of("what to do", {"list", "add", "start", "done", "drop"})},
               {"task", word("its text (add), or its id or text")},
               {"under", word("add: the heading it goes under")},
               {"reason", word("why it is done or dropped")},
               {"all", choice("list: the finished ones too", false)}},
              {"action"}),
          .read_only = false,
          .idempotent = false,
          .call = [root](const Json& arguments, Request&) {
            return change_task(root, arguments);
          }};
}

Tool learn_tool(const fs::path& root) {
  return {
      .name = "learn",
      .title = "Write down an insight",
      .description =
          "Adds a dated insight, or a failed approach, to "
          "reference/LEARNINGS.md. Say what was seen and why it matters.",
      .input_schema =
          closed({{"text", word("one insight, with its reason")},
                  {"failed", choice("it is an approach that failed", false)}},
                 {"text"}),
      .read_only = false,
      .idempotent = false,
      .call = [root](const Json& arguments, Request&) {
        project::Store store(root);
        auto line = project::learn(store,
                                   text_of(arguments, "text"),
                                   arguments.value("failed", false));
        return as_result({{"file", project::kLearningsFile}, {"line", line}});
      }};
}

Tool decide_tool(const fs::path& root) {
  return {.name = "decide",
          .title = "Write down a decision",
          .description =
              "Records a decision with rationale, trade-off and validation; "
              "one that supersedes another links both.",
          .input_schema =
              closed({{"title", word("what was decided")},
                      {"rationale", word("why")},
                      {"trade_off", word("what it costs")},
                      {"validation", word("what shows that it holds")},
                      {"supersedes", word("title of an earlier decision")}},
                     {"title", "rationale", "trade_off", "validation"}),
          .read_only = false,
          .idempotent = false,
          .call = [root](const Json& arguments, Request&) {
            project::Store store(root);
            return as_result(to_json(project::decide(
                store,
                {.title = text_of(arguments, "title"),
                 .rationale = text_of(arguments, "rationale"),
                 .trade_off = text_of(arguments, "trade_off"),
                 .validation = text_of(arguments, "validation"),
                 .date = {},
                 .supersedes = text_of(arguments, "supersedes")})));
          }};
}

}  // namespace

std::vector<Tool> memory_tools(const fs::path& project) {
  return {task_tool(project), learn_tool(project), decide_tool(project)};
}

}  // namespace assay::mcp
