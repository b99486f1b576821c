// Tools over the project's documents. They write within the project only: the
// store refuses any other place.

#include <fmt/format.h>

#include "assay/core/finding_json.h"
#include "assay/mcp/assay_server.h"
#include "assay/mcp/tool_parts.h"
#include "assay/project/learnings.h"
#include "assay/project/recall.h"
#include "assay/project/results.h"
#include "assay/project/tasks.h"
#include "assay/project/trends.h"

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

Json results_listed(const project::Ledger& ledger,
                    const project::ResultFilter& filter,
                    size_t limit) {
  auto list = project::list_results(ledger, filter, limit);
  auto figures = Json::array();
  for (const auto& point : list.points) {
    auto json = to_json(point);
    json["figure"] = project::label(point);
    json["unit"] = point.value->unit;
    json["kind"] = point.run->kind;
    figures.push_back(std::move(json));
  }
  return {{"figures", std::move(figures)},
          {"left_out", list.left_out},
          {"findings", to_json(ledger.findings)}};
}

Json ask_results(const fs::path& root, const Json& arguments) {
  project::Store store(root);
  auto ledger = project::read_ledger(store);
  auto action = text_of(arguments, "action");
  project::ResultFilter filter = {.kind = text_of(arguments, "kind"),
                                  .model = text_of(arguments, "model"),
                                  .what = text_of(arguments, "figure"),
                                  .since = {}};
  if (action == "list") {
    auto limit = static_cast<size_t>(number(arguments, "limit", 20));
    return as_result(results_listed(ledger, filter, limit));
  }
  if (action == "check") {
    auto findings = project::regression_findings(ledger, filter);
    findings.insert(
        findings.end(), ledger.findings.begin(), ledger.findings.end());
    return as_result({{"findings", to_json(findings)}});
  }
  auto a = text_of(arguments, "run");
  auto b = text_of(arguments, "other");
  if (a.empty() || (action == "compare" && b.empty())) {
    auto result = text_result(fmt::format(
        "{} needs {}", action, action == "show" ? "run" : "run and other"));
    result["isError"] = true;
    return result;
  }
  const auto& run = project::find_run(ledger, a);
  return as_result(action == "show" ? to_json(run)
                                    : to_json(project::compare_runs(
                                          run, project::find_run(ledger, b))));
}

Tool results_tool(const fs::path& root) {
  return {.name = "results",
          .title = "What was measured",
          .description =
              "Recorded figures with their conditions: list them; show a run; "
              "compare two (difference, noise, what else differs); check for "
              "regressions. A run is an id, latest or latest~N.",
          .input_schema = closed(
              {{"action",
                one_of("what to do", {"list", "show", "compare", "check"})},
               {"run", word("show, compare: a run")},
               {"other", word("compare: the later run")},
               {"kind", word("only these: bench, perplexity...")},
               {"model", word("only models with this in name or path")},
               {"figure", word("only figures with this in their name")},
               {"limit", whole("list: the newest N", 1, 1000)}},
              {"action"}),
          .call = [root](const Json& arguments, Request&) {
            return ask_results(root, arguments);
          }};
}

Tool recall_tool(const fs::path& root) {
  return {.name = "recall",
          .title = "Search the project's memory",
          .description =
              "Full-text search over tasks, learnings, decisions, failed "
              "approaches, diagnostics and results, best first, with file and "
              "line. Ask it before trying something: it may have failed.",
          .input_schema = closed(
              {{"words", word("what to look for; \"a phrase\"")},
               {"kind",
                one_of("only these",
                       {"task", "decision", "failed", "result", "text"})},
               {"limit", whole("most passages", 1, 100)}},
              {"words"}),
          .call = [root](const Json& arguments, Request&) {
            project::RecallOptions options;
            options.limit = static_cast<size_t>(number(arguments, "limit", 10));
            if (auto kind = project::recall_kind(text_of(arguments, "kind"))) {
              options.kinds.push_back(*kind);
            }
            auto found = project::recall(
                project::Store(root), text_of(arguments, "words"), options);
            auto hits = Json::array();
            for (const auto& hit : found.hits) {
              hits.push_back(to_json(hit));
            }
            return as_result({{"hits", std::move(hits)},
                              {"findings", to_json(found.findings)}});
          }};
}

}  // namespace

std::vector<Tool> memory_tools(const fs::path& project) {
  return {results_tool(project),
          recall_tool(project),
          task_tool(project),
          learn_tool(project),
          decide_tool(project)};
}

}  // namespace assay::mcp
