// The verb `session`: start, status, end.

#include "assay/project/session.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/project_view.h"
#include "assay/cli/verbs.h"
#include "assay/core/finding_json.h"

namespace assay::cli {
namespace {

using project::DiagnosticResult;

struct Ran {
  std::vector<DiagnosticResult> results;
  std::vector<Finding> findings;  ///< why none ran
  bool bad = false;
};

// The quick diagnostics; where the folder is not trusted, why they are not run.
Ran run_quick(project::Store& store, Output& output, bool details) {
  Ran ran;
  try {
    ran.results = project::run_diagnostics(
        store,
        project::list_diagnostics(store, project::read_settings(store)),
        project::Speed::quick,
        [&](const DiagnosticResult& result) {
          ran.bad = ran.bad || is_bad(result);
          if (!output.json()) {
            print_result(result, output, details);
          }
        });
  } catch (const Error& error) {
    if (error.finding().id != "diagnostic.not-trusted") {
      throw;
    }
    ran.findings.push_back(error.finding());
    if (!output.json()) {
      output.print_findings(ran.findings);
    }
  }
  return ran;
}

void add_to(Json& json, const Ran& ran) {
  json["diagnostics"] = Json::array();
  for (const auto& result : ran.results) {
    json["diagnostics"].push_back(to_json(result));
  }
  json["findings"] = to_json(ran.findings);
}

project::PageLimit limit_of(const Arguments& arguments) {
  project::PageLimit limit;
  if (auto budget = arguments.maybe_integer("--budget")) {
    if (*budget < 1) {
      throw UsageError("--budget takes a number of tokens above 0");
    }
    limit = {static_cast<size_t>(*budget), 0};
    limit.diagnostics = !arguments.flag("--no-diagnostics");
  }
  return limit;
}

int start(const Arguments& arguments, Output& output) {
  auto store = open_store();
  auto limit = limit_of(arguments);
  auto started = project::start_session(store);
  auto fitted = project::fit_page(started.page, limit);
  if (!output.json()) {
    output.print(fitted.text);
  }
  Ran ran;
  if (!arguments.flag("--no-diagnostics")) {
    if (!output.json()) {
      output.print("\n");
    }
    // A budget has no room for what failing commands print.
    ran = run_quick(store, output, !arguments.has("--budget"));
  }
  if (output.json()) {
    auto json = to_json(started.page, fitted);
    json["since"] = started.since;
    add_to(json, ran);
    output.print_json(json);
  }
  return ran.bad ? kFindings : kSound;
}

void print_list(std::string_view title,
                const std::vector<std::string>& entries,
                Output& output) {
  output.heading(title);
  for (const auto& entry : entries) {
    output.print(fmt::format("- {}\n", entry));
  }
  if (entries.empty()) {
    output.print("- none\n");
  }
}

int session_status(Output& output) {
  auto store = open_store();
  auto report = project::session_report(store);
  project::note_tasks(store);
  if (output.json()) {
    output.print_json(to_json(report));
    return report.lost.empty() ? kSound : kFindings;
  }
  output.print(fmt::format("open since {}\n", report.since.substr(0, 16)));
  print_list("Completed", report.completed, output);
  print_list("In Progress", report.in_progress, output);
  print_list("Next Steps", report.next, output);
  for (const auto& task : report.lost) {
    output.print(fmt::format("gone: {} ({})\n", task.text, task.id));
  }
  return report.lost.empty() ? kSound : kFindings;
}

int end(const Arguments& arguments, Output& output) {
  if (arguments.flag("--keep") && arguments.flag("--drop")) {
    throw UsageError("one of --keep and --drop");
  }
  auto store = open_store();
  project::EndOptions options{.keep = arguments.flag("--keep"),
                              .drop = arguments.flag("--drop"),
                              .commit = arguments.flag("--commit"),
                              .diagnostics = {}};
  // Before the diagnostics take their time.
  project::expect_nothing_lost(project::session_report(store), options);
  Ran ran;
  if (!arguments.flag("--no-diagnostics")) {
    ran = run_quick(store, output, true);
  }
  options.diagnostics = ran.results;
  auto report = project::end_session(store, options);
  if (output.json()) {
    auto json = to_json(report);
    add_to(json, ran);
    output.print_json(json);
  } else {
    for (const auto& line : project::block_lines(report)) {
      output.print(line + "\n");
    }
  }
  return ran.bad ? kFindings : kSound;
}

int run_session(const Arguments& arguments, Output& output) {
  auto what = arguments.text("WHAT");
  if (what == "start") {
    return start(arguments, output);
  }
  if (what == "status") {
    return session_status(output);
  }
  if (what != "end") {
    throw UsageError(
        fmt::format("session start, status or end, not '{}'", what));
  }
  return end(arguments, output);
}

}  // namespace

Command session_command() {
  return {
      .name = "session",
      .summary = "start, look at, or end a sitting of work",
      .description =
          "start: one page of what is open, known, broken, measured and "
          "changed outside since the last end; then the quick diagnostics run. "
          "status: what was done since. end: writes the block `### Session "
          "End` into TODO.md from what really changed, and refuses to lose an "
          "unfinished task. Tokens of --budget are estimated from above: one "
          "for each word and each four letters beyond four, for each digit, "
          "sign and line end; two for each letter beyond ASCII.",
      .operands = {{"WHAT", "start, status or end"}},
      .options =
          {{.name = "--budget",
            .kind = OptionKind::integer,
            .value = "TOKENS",
            .help = "start: fit the page to so many tokens, most important "
                    "first (else one screen)"},
           {.name = "--no-diagnostics", .help = "run none"},
           {.name = "--keep", .help = "end: put tasks back that are gone"},
           {.name = "--drop", .help = "end: let tasks go that are gone"},
           {.name = "--commit", .help = "end: commit documents and changes"}},
      .run = run_session};
}

}  // namespace assay::cli
