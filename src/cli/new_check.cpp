#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/own_rules.h"
#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

Severity severity_of(std::string_view word) {
  return word == "note"      ? Severity::note
         : word == "warning" ? Severity::warning
                             : Severity::error;
}

int run_new_check(const Arguments& arguments, Output& output) {
  auto folder = arguments.maybe_text("--dir");
  auto store = project::Store(
      folder ? std::filesystem::path(*folder)
             : project::find_project(std::filesystem::current_path()));
  NewCheckOptions options{
      .rules = arguments.all("--rule"),
      .severity = severity_of(arguments.text("--severity"))};
  auto made = new_check(store, arguments.text("NAME"), options);
  if (output.json()) {
    output.print_json(to_json(made));
    return kSound;
  }
  output.row(made.created ? "written" : "kept", made.file.string());
  output.row("told in", made.document.string());
  for (const auto& rule : made.rules.rules) {
    output.row("rule", fmt::format("{}: {}", rule.id, rule.check.text()));
  }
  return kSound;
}

}  // namespace

Command new_check_command() {
  using enum OptionKind;
  return {
      .name = "new-check",
      .summary = "write a check of your own, which check then runs",
      .description =
          "Writes checks/NAME.json in the project: rules over fields of "
          "configs and shapes, types and counts of tensors. What it does, how "
          "to run it and what a pass looks like goes to test/README.md; run "
          "again after an edit, it brings that up to date. "
          "reference/DIAGNOSTICS.md describes the language.",
      .operands = {{"NAME", "letters, digits, '-' and '_'"}},
      .options = {{.name = "--dir",
                   .kind = text,
                   .value = "PROJECT",
                   .help = "the project's folder; else the one around here"},
                  {.name = "--rule",
                   .kind = text,
                   .value = "EXPR",
                   .help = "a rule, as \"hidden_size == shape(embed)[1]\"; "
                           "else examples to edit",
                   .many = true},
                  {.name = "--severity",
                   .kind = text,
                   .value = "WORD",
                   .help = "of what does not hold",
                   .fallback = "error",
                   .choices = "error warning note"}},
      .run = run_new_check};
}

}  // namespace assay::cli
