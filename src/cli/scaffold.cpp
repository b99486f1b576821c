// The verbs `new` and `adopt`.

#include "assay/project/scaffold.h"

#include <filesystem>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

int print_scaffold(const project::Scaffold& scaffold,
                   bool dry,
                   Output& output) {
  if (output.json()) {
    auto json = to_json(scaffold);
    json["dry_run"] = dry;
    output.print_json(json);
    return kSound;
  }
  using Action = project::ScaffoldItem::Action;
  for (const auto& item : scaffold.items) {
    if (item.action != Action::present) {
      output.print(fmt::format("{:<8} {}\n", name(item.action), item.path));
    }
  }
  for (const auto& remark : scaffold.remarks) {
    output.note(remark);
  }
  output.print(fmt::format(
      "{}{}\n", scaffold.root.string(), dry ? ": nothing was written" : ""));
  return kSound;
}

int run_new(const Arguments& arguments, Output& output) {
  return print_scaffold(project::new_project(arguments.path("--dir"),
                                             arguments.text("NAME"),
                                             arguments.text("--kind")),
                        false,
                        output);
}

int run_adopt(const Arguments& arguments, Output& output) {
  auto store =
      project::Store(project::folder_to_adopt(std::filesystem::current_path()));
  bool dry = arguments.flag("--dry-run");
  return print_scaffold(
      project::adopt(store,
                     {.kind = arguments.maybe_text("--kind").value_or(""),
                      .dry_run = dry,
                      .upgrade = arguments.flag("--upgrade")}),
      dry,
      output);
}

constexpr std::string_view kKinds = "llm vlm image ml";

}  // namespace

Command new_command() {
  return {.name = "new",
          .summary = "make a project: documents, settings, first diagnostic",
          .description =
              "Makes the folder NAME with README.md, TODO.md, reference/, "
              "test/README.md, environment.yml, requirements.txt, assay.toml, "
              "AGENTS.md and a git repository, whole or not at all. Again on "
              "the same project it renews what nobody edited.",
          .operands = {{"NAME", "the folder to make"}},
          .options = {{.name = "--kind",
                       .kind = OptionKind::text,
                       .value = "KIND",
                       .help = "what it is about",
                       .fallback = "llm",
                       .choices = kKinds},
                      {.name = "--dir",
                       .kind = OptionKind::path,
                       .value = "FOLDER",
                       .help = "where to make it",
                       .fallback = "."}},
          .run = run_new};
}

Command adopt_command() {
  return {.name = "adopt",
          .summary = "add what a project lacks, changing nothing else",
          .description =
              "Adds the documents that are missing to the project of this "
              "folder. Of AGENTS.md and CLAUDE.md that are there, a marked "
              "block is ours; all other text stays.",
          .operands = {},
          .options = {{.name = "--kind",
                       .kind = OptionKind::text,
                       .value = "KIND",
                       .help = "what it is about",
                       .choices = kKinds},
                      {.name = "--dry-run", .help = "say what would be added"},
                      {.name = "--upgrade",
                       .help = "also renew files that nobody edited"}},
          .run = run_adopt};
}

}  // namespace assay::cli
