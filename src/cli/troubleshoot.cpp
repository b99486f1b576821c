#include "assay/diagnose/troubleshoot.h"

#include <algorithm>
#include <iterator>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

Style style_of(Weight weight) {
  return weight == Weight::explains ? Style::red
         : weight == Weight::likely ? Style::yellow
                                    : Style::dim;
}

bool is_same_cause(const Suspect& a, const Suspect& b) {
  return a.finding.id == b.finding.id && a.weight == b.weight;
}

/** Where else it was found; a wrong width shows in every layer. */
std::string elsewhere_of(std::span<const Suspect> same) {
  constexpr size_t kShown = 3;
  std::vector<std::string> places;
  for (const auto& one : same.first(std::min(kShown, same.size()))) {
    places.push_back(printable(one.finding.where));
  }
  return fmt::format("{} more: {}{}",
                     same.size(),
                     fmt::join(places, ", "),
                     same.size() > kShown ? ", ..." : "");
}

// One entry a cause, where its first suspect stands.
void print_suspects(const std::vector<Suspect>& suspects, Output& output) {
  size_t rank = 0;
  for (auto at = suspects.begin(); at != suspects.end(); ++at) {
    auto same = [&](const Suspect& other) { return is_same_cause(*at, other); };
    if (std::any_of(suspects.begin(), at, same)) {
      continue;
    }
    std::vector<Suspect> others;
    std::copy_if(
        std::next(at), suspects.end(), std::back_inserter(others), same);
    output.print(
        fmt::format("{}. {}: {}\n",
                    ++rank,
                    output.styled(style_of(at->weight), name(at->weight)),
                    to_line(at->finding)));
    if (!others.empty()) {
      output.print(fmt::format("   {}\n", elsewhere_of(others)));
    }
    if (at->weight != Weight::may_add) {
      output.print(fmt::format("   {}\n   {}\n   next: {}\n",
                               at->finding.cause,
                               at->finding.remedy,
                               at->next));
    }
  }
}

void print_troubleshoot(const Diagnosis& diagnosis, Output& output) {
  output.heading(
      fmt::format("{}: {}", diagnosis.path.string(), name(diagnosis.symptom)));
  for (const auto& stage : diagnosis.stages) {
    output.print(fmt::format("{:<8} {:<21} {:>7.3f} s  {}\n",
                             name(stage.outcome),
                             stage.name,
                             stage.seconds,
                             stage.detail));
  }
  print_suspects(diagnosis.suspects, output);
  for (const auto& what : diagnosis.ruled_out) {
    output.print(fmt::format("ruled out: {}\n", what));
  }
  if (diagnosis.suspects.empty()) {
    output.print("nothing here explains it\n");
  }
  output.row("next", diagnosis.next);
}

int run_troubleshoot(const Arguments& arguments, Output& output) {
  auto words = arguments.text("SYMPTOM");
  auto symptom = symptom_of(words);
  if (!symptom) {
    throw UsageError(
        fmt::format("no symptom is known by '{}': \"won't load\", oom, slow or "
                    "wrong-output",
                    words));
  }
  Recording recording(arguments);
  TroubleshootOptions options{
      .against = arguments.maybe_text("--against").value_or(""),
      .base = arguments.maybe_text("--base").value_or(""),
      .context = arguments.dimension("--context"),
      .all = arguments.flag("--all"),
      .progress = output.progress()};
  auto diagnosis = troubleshoot(*symptom, arguments.path("MODEL"), options);
  if (output.json()) {
    output.print_json(to_json(diagnosis));
  } else {
    print_troubleshoot(diagnosis, output);
  }
  return recording.keep(
      output, exit_code(diagnosis.verdict), [&](const RecordTarget& target) {
        return record(target, diagnosis);
      });
}

}  // namespace

Command troubleshoot_command() {
  using enum OptionKind;
  return {
      .name = "troubleshoot",
      .summary = "from a symptom to what explains it",
      .description =
          "Runs the checks that can explain the symptom, the cheapest first, "
          "and stops where one does. Ranks what was found, says what was "
          "ruled out, and what to run next.",
      .operands = {{"SYMPTOM",
                    "\"won't load\", oom, slow or wrong-output; also in "
                    "other words (crash, out of memory, garbage)"},
                   {"MODEL", "a folder or a file"}},
      .options = {{.name = "--against",
                   .kind = path,
                   .value = "GOOD",
                   .help = "a model that works, or its profile"},
                  {.name = "--base",
                   .kind = text,
                   .value = "MODEL",
                   .help = "what an adapter is for"},
                  {.name = "--context",
                   .kind = integer,
                   .value = "N",
                   .help = "positions that are to fit; 0: at most 4096, then "
                           "all that the model has",
                   .fallback = "0"},
                  {.name = "--all", .help = "go on after what explains it"},
                  record_option()},
      .run = run_troubleshoot};
}

}  // namespace assay::cli
