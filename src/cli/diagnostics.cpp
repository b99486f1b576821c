// The verb `tool`: the project's diagnostics.

#include <algorithm>
#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/project_view.h"
#include "assay/cli/verbs.h"
#include "assay/core/finding.h"
#include "assay/project/learnings.h"

namespace assay::cli {
namespace {

using project::DiagnosticResult;
using project::Outcome;

int add(const Arguments& arguments, Output& output) {
  auto name = arguments.maybe_text("NAME").value_or("");
  auto command = arguments.maybe_text("COMMAND").value_or("");
  if (name.empty() || command.empty()) {
    throw UsageError("tool add NAME COMMAND");
  }
  auto store = open_store();
  project::add_diagnostic(
      store,
      name,
      command,
      arguments.maybe_text("--purpose").value_or(""),
      arguments.flag("--slow"),
      static_cast<int>(arguments.maybe_integer("--seconds").value_or(0)));
  if (output.json()) {
    output.print_json({{"file", project::kDiagnosticsFile}, {"name", name}});
  } else {
    output.print(fmt::format("{}: {}\n", project::kDiagnosticsFile, name));
  }
  return kSound;
}

int list(Output& output) {
  auto store = open_store();
  auto all = project::list_diagnostics(store, project::read_settings(store));
  if (output.json()) {
    Json json = {{"trusted", project::is_trusted(store)},
                 {"diagnostics", Json::array()}};
    for (const auto& diagnostic : all) {
      json["diagnostics"].push_back(to_json(diagnostic));
    }
    output.print_json(json);
    return kSound;
  }
  for (const auto& diagnostic : all) {
    output.print(fmt::format("{}{}  ({}:{}, at most {} s)\n    {}\n",
                             diagnostic.name,
                             diagnostic.slow ? "  slow" : "",
                             diagnostic.file,
                             diagnostic.line,
                             diagnostic.seconds,
                             diagnostic.command));
  }
  if (!all.empty() && !project::is_trusted(store)) {
    output.note("not trusted on this machine: assay tool trust");
  }
  return kSound;
}

int run_some(const Arguments& arguments, Output& output) {
  auto store = open_store();
  auto all = project::list_diagnostics(store, project::read_settings(store));
  auto speed =
      arguments.flag("--slow") ? project::Speed::all : project::Speed::quick;
  if (auto name = arguments.maybe_text("NAME")) {
    const auto* wanted = project::find_diagnostic(all, *name);
    if (wanted == nullptr) {
      fail("diagnostic.none",
           std::string(project::kDiagnosticsFile),
           fmt::format("a diagnostic {}", *name),
           fmt::format("none among {}", all.size()));
    }
    all = {*wanted};
    speed = project::Speed::all;
  }
  auto json = Json::array();
  bool bad = false;
  project::run_diagnostics(
      store, all, speed, [&](const DiagnosticResult& result) {
        bad = bad || is_bad(result);
        if (output.json()) {
          json.push_back(to_json(result));
        } else {
          print_result(result, output);
        }
      });
  if (output.json()) {
    output.print_json(json);
  }
  return bad ? kFindings : kSound;
}

int run_diagnostics(const Arguments& arguments, Output& output) {
  auto what = arguments.text("WHAT");
  if (what == "add") {
    return add(arguments, output);
  }
  if (what == "list") {
    return list(output);
  }
  if (what == "run") {
    return run_some(arguments, output);
  }
  if (what != "trust") {
    throw UsageError(
        fmt::format("tool add, list, run or trust, not '{}'", what));
  }
  auto store = open_store();
  project::trust(store);
  output.note(fmt::format("the diagnostics of {} may run on this machine",
                          store.root().string()));
  return project::is_trusted(store) ? kSound : kFindings;
}

}  // namespace

bool is_bad(const DiagnosticResult& result) {
  return result.outcome == Outcome::failed ||
         result.outcome == Outcome::timed_out;
}

void print_result(const DiagnosticResult& result,
                  Output& output,
                  bool details) {
  auto style =
      is_bad(result)
          ? Style::red
          : (result.outcome == Outcome::passed ? Style::green : Style::dim);
  output.print(fmt::format(
      "{}  {}  {:.1f} s{}\n",
      output.styled(style, fmt::format("{:<9}", name(result.outcome))),
      result.name,
      result.seconds,
      result.outcome == Outcome::failed
          ? fmt::format("  exit {}", result.exit_code)
          : ""));
  if (!is_bad(result) || !details) {
    return;
  }
  auto lines = project::split_lines(result.output);
  auto first = lines.size() > 10 ? lines.size() - 10 : 0;
  for (auto line = first; line < lines.size(); ++line) {
    output.print(fmt::format("    {}\n", lines[line]));
  }
}

Command tool_command() {
  return {
      .name = "tool",
      .summary = "the project's diagnostics: add, list, run, trust",
      .description =
          "A diagnostic is a command that tells whether something still holds: "
          "a block fenced as `sh diagnostic` in reference/DIAGNOSTICS.md, or "
          "[[diagnostic]] in assay.toml. `session start` runs the quick ones. "
          "Those of a project that came from elsewhere run only after `tool "
          "trust` on this machine.",
      .operands = {{"WHAT", "add, list, run or trust"},
                   {"NAME", "add: what it is called; run: which one", false},
                   {"COMMAND", "add: the command", false}},
      .options = {{.name = "--purpose",
                   .kind = OptionKind::text,
                   .value = "TEXT",
                   .help = "add: what it is for"},
                  {.name = "--slow",
                   .help = "add: not at the start of sessions; run: slow "
                           "ones too"},
                  {.name = "--seconds",
                   .kind = OptionKind::integer,
                   .value = "N",
                   .help = "add: ended after N seconds"}},
      .run = run_diagnostics};
}

}  // namespace assay::cli
