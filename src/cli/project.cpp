// The verb `project`: what is wrong with the project's own files.

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/project_view.h"
#include "assay/cli/verbs.h"
#include "assay/core/finding_json.h"
#include "assay/project/project_check.h"

namespace assay::cli {
namespace {

int run_project(const Arguments& arguments, Output& output) {
  if (arguments.text("WHAT") != "check") {
    throw UsageError(
        fmt::format("project check, not '{}'", arguments.text("WHAT")));
  }
  auto store = open_store();
  auto check =
      project::check_project(store,
                             {.run = !arguments.flag("--no-diagnostics"),
                              .slow = arguments.flag("--slow")});
  bool sound = std::ranges::all_of(check.findings, [](const Finding& finding) {
    return finding.severity == Severity::note;
  });
  if (output.json()) {
    output.print_json({{"project", store.root().string()},
                       {"verdict", sound ? "sound" : "findings"},
                       {"documents", check.documents},
                       {"links", check.links},
                       {"tasks", check.tasks},
                       {"results", check.results},
                       {"findings", to_json(check.findings)}});
  } else {
    output.print_findings(check.findings);
    output.print(
        fmt::format("{}: {} documents, {} links, {} tasks, {} results\n",
                    sound ? "sound" : "findings",
                    check.documents,
                    check.links,
                    check.tasks,
                    check.results));
  }
  return sound ? kSound : kFindings;
}

}  // namespace

Command project_command() {
  return {
      .name = "project",
      .summary = "check the project's names, documents and links",
      .description =
          "check: names of scripts, documents and models; documents that are "
          "missing or speak of what is gone; links that lead nowhere; finished "
          "tasks whose diagnostic fails; results whose model changed since; "
          "decisions that contradict each other.",
      .operands = {{"WHAT", "check"}},
      .options = {{.name = "--slow",
                   .help = "also run slow diagnostics of finished tasks"},
                  {.name = "--no-diagnostics",
                   .help = "run none; their last outcomes count"}},
      .run = run_project};
}

}  // namespace assay::cli
