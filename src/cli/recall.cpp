#include "assay/project/recall.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/memory.h"
#include "assay/cli/output.h"
#include "assay/cli/verbs.h"
#include "assay/core/finding_json.h"

namespace assay::cli {
namespace {

int run_recall(const Arguments& arguments, Output& output) {
  project::RecallOptions options;
  options.limit = static_cast<size_t>(arguments.dimension("--limit"));
  for (const auto& kind : arguments.all("--kind")) {
    options.kinds.push_back(*project::recall_kind(kind));
  }
  auto found =
      project::recall(open_store(), joined_words(arguments, "WORDS"), options);
  if (output.json()) {
    Json hits = Json::array();
    for (const auto& hit : found.hits) {
      hits.push_back(to_json(hit));
    }
    output.print_json(
        {{"hits", std::move(hits)}, {"findings", to_json(found.findings)}});
  } else {
    for (const auto& hit : found.hits) {
      output.print(fmt::format(
          "{} {} {}\n  {}\n",
          output.styled(
              Style::bold,
              fmt::format("{}:{}", hit.passage.file, hit.passage.line)),
          fmt::format("[{}]", name(hit.passage.kind)),
          printable(hit.passage.title),
          printable(hit.snippet)));
    }
    for (const auto& finding : found.findings) {
      output.note(to_line(finding));
    }
    if (found.hits.empty()) {
      output.note("nothing found");
    }
  }
  return has_errors(found.findings) ? kFindings : kSound;
}

}  // namespace

Command recall_command() {
  return {.name = "recall",
          .summary = "search the project's documents and results",
          .description =
              "Finds passages of TODO.md, README.md, AGENTS.md, reference/, "
              "docs/decisions and the results that hold the words, in any "
              "grammatical form; those with all words first. Words in double "
              "quotes are a phrase.",
          .operands = {{"WORDS", "what to look for", true, true}},
          .options = {{.name = "--kind",
                       .kind = OptionKind::text,
                       .value = "KIND",
                       .help = "only these; may be repeated",
                       .choices = "task decision failed result text",
                       .many = true},
                      {.name = "--limit",
                       .kind = OptionKind::integer,
                       .value = "N",
                       .help = "most passages",
                       .fallback = "10"}},
          .run = run_recall};
}

}  // namespace assay::cli
