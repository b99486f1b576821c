#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"
#include "assay/core/catalogue.h"
#include "assay/diagnose/repairs.h"

namespace assay::cli {
namespace {

Json to_json(const CatalogueEntry& entry) {
  Json json = {{"id", entry.id},
               {"severity", name(entry.severity)},
               {"title", entry.title},
               {"cause", entry.cause},
               {"remedy", entry.remedy},
               {"repair", nullptr}};
  if (const auto* repair = find_repair(entry.id)) {
    json["repair"] = repair->what;
  }
  return json;
}

int list_all(Output& output) {
  if (output.json()) {
    Json all = Json::array();
    for (const auto& entry : catalogue()) {
      all.push_back(to_json(entry));
    }
    output.print_json(all);
    return kSound;
  }
  std::vector<std::vector<std::string>> rows = {{"id", "severity", "title"}};
  for (const auto& entry : catalogue()) {
    rows.push_back({std::string(entry.id),
                    std::string(name(entry.severity)),
                    std::string(entry.title)});
  }
  output.print(table(rows));
  return kSound;
}

int run_explain(const Arguments& arguments, Output& output) {
  auto id = arguments.maybe_text("ID");
  if (!id) {
    return list_all(output);
  }
  const auto* entry = find_entry(*id);
  if (entry == nullptr) {
    throw UsageError(fmt::format(
        "no finding has the id '{}'; assay explain lists all", *id));
  }
  if (output.json()) {
    output.print_json(to_json(*entry));
    return kSound;
  }
  output.heading(fmt::format("{} ({})", entry->id, name(entry->severity)));
  output.print(fmt::format("{}\n", entry->title));
  output.row("cause", entry->cause);
  output.row("remedy", entry->remedy);
  const auto* repair = find_repair(entry->id);
  output.row("check --fix", repair == nullptr ? "no repair" : repair->what);
  return kSound;
}

}  // namespace

Command explain_command() {
  return {.name = "explain",
          .summary = "what a finding means and what to do",
          .description =
              "Prints the catalogue's entry of a finding, or the "
              "list of all.",
          .operands = {{"ID", "\"shape.mismatch\"", false, false}},
          .options = {},
          .run = run_explain};
}

}  // namespace assay::cli
