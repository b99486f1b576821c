// The verb `env`: the Python environment of a project's scripts.

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/project_view.h"
#include "assay/cli/verbs.h"
#include "assay/core/finding_json.h"
#include "assay/project/environment.h"

namespace assay::cli {
namespace {

std::string described(const std::optional<project::Interpreter>& given) {
  return given ? fmt::format("{}  ({}{}{})",
                             given->executable.string(),
                             given->kind,
                             given->version.empty() ? "" : ", Python ",
                             given->version)
               : "none";
}

int status(Output& output) {
  auto store = open_store();
  auto state = project::environment_state(store);
  auto findings = state.findings;
  if (state.recorded) {
    for (auto& finding : project::environment_drift(store)) {
      findings.push_back(std::move(finding));
    }
  }
  if (output.json()) {
    auto json = to_json(state);
    json["findings"] = to_json(findings);
    output.print_json(json);
  } else {
    output.row("active", described(state.active));
    output.row("recorded", described(state.recorded));
    for (const auto& tool : state.tools) {
      output.row(tool.name, tool.path.string());
    }
    output.print_findings(findings);
  }
  if (!state.recorded) {
    return kUndecided;
  }
  return findings.empty() ? kSound : kFindings;
}

int record(Output& output) {
  auto store = open_store();
  auto installed = project::record_environment(store);
  if (output.json()) {
    output.print_json(to_json(installed));
  } else {
    output.print(fmt::format("{}: Python {}, {} packages\n{}\n",
                             project::kEnvironmentFile,
                             installed.interpreter.version,
                             installed.conda.size() + installed.pip.size(),
                             installed.interpreter.executable.string()));
  }
  return kSound;
}

int create(const Arguments& arguments, Output& output) {
  auto store = open_store();
  auto created = project::create_environment(
      store,
      arguments.maybe_text("--with").value_or(""),
      [&](const std::string& line) { output.note(line); });
  if (output.json()) {
    output.print_json(
        {{"tool", created.tool}, {"python", created.python.string()}});
  } else {
    output.print(created.python.string() + "\n");
    output.note("activate it, then: assay env record");
  }
  return kSound;
}

int run_env(const Arguments& arguments, Output& output) {
  auto what = arguments.maybe_text("WHAT").value_or("status");
  if (what == "status") {
    return status(output);
  }
  if (what == "record") {
    return record(output);
  }
  if (what != "create") {
    throw UsageError(
        fmt::format("env create, record or status, not '{}'", what));
  }
  return create(arguments, output);
}

}  // namespace

Command env_command() {
  return {
      .name = "env",
      .summary = "the Python environment of the project's scripts",
      .description =
          "status: which tools there are, which interpreter is active, and "
          "whether it is the recorded one (exit 1 where not, 3 where none is "
          "recorded). create: makes .conda or .venv from environment.yml and "
          "requirements.txt. record: writes the active environment's exact "
          "versions into environment.yml and its interpreter's full path into "
          ".assay/python.",
      .operands = {{"WHAT", "create, record or status", false}},
      .options = {{.name = "--with",
                   .kind = OptionKind::text,
                   .value = "TOOL",
                   .help = "create: with this tool",
                   .choices = "micromamba mamba conda uv venv pyenv brew"}},
      .run = run_env};
}

}  // namespace assay::cli
