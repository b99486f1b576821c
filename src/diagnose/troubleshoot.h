#pragma once

// troubleshoot: from a symptom to its cause. The checks that can explain it
// run in order, the cheapest first, and stop where one does. Says what speaks
// for each cause, what was ruled out, and what to run next.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/check/check.h"
#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"

namespace assay {

enum class Symptom { wont_load, oom, slow, wrong_output };

/** "won't load", "oom", "slow", "wrong-output". */
std::string_view name(Symptom symptom);

/** What people write: "out of memory", "garbage", "crash"... Nothing where no
 * word of it is known. */
std::optional<Symptom> symptom_of(std::string_view text);

/** How strongly a finding speaks for being the cause of a symptom. */
enum class Weight { none, may_add, likely, explains };
std::string_view name(Weight weight);  ///< "explains it", "likely", "may add"
Weight weight_of(Symptom symptom, const Finding& finding);

struct TroubleshootOptions {
  /** A model that works, or its profile. */
  std::filesystem::path against = {};
  /** What an adapter is for. */
  std::filesystem::path base = {};
  /** Positions that are to fit; 0: at most 4096, and then all that the model
   * has. */
  int context = 0;
  /** Also what comes after the stage that explains it. */
  bool all = false;
  Progress progress = {};
};

struct Suspect {
  Finding finding;
  Weight weight = Weight::likely;
  std::string stage;
  std::string next;  ///< a command
};

struct Diagnosis {
  Symptom symptom = Symptom::wont_load;
  std::filesystem::path path;
  std::vector<CheckStep> stages;  ///< in order; those not run are skipped
  std::vector<Suspect> suspects;  ///< the likeliest first
  std::vector<std::string> ruled_out;
  std::string next;  ///< the command to run now
  Verdict verdict = Verdict::undecided;
};

/** Never throws for what is found in the model. */
Diagnosis troubleshoot(Symptom symptom,
                       const std::filesystem::path& model,
                       const TroubleshootOptions& options = {});

Json to_json(const Diagnosis& diagnosis);

}  // namespace assay
