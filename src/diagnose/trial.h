#pragma once

// Short runs of a model for troubleshoot: a greedy answer, judged by its
// tokens, and the model's numbers beside those of one that works.

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/progress.h"

namespace assay {

struct TrialResult {
  std::string detail;
  std::vector<Finding> findings;
};

/** What the tokens of a greedy answer tell. */
struct Answer {
  std::vector<int32_t> ids;        ///< the one that ended it left out
  std::vector<float> logprobs;     ///< of each
  std::vector<std::string> marks;  ///< special tokens in it that end nothing
  std::string text;
  double chance = 0;  ///< nats a token of a uniform guess
};

/** output.repeats, output.flat, output.empty, output.end-unheeded. */
std::vector<Finding> judge(const Answer& answer, const std::string& where);

/** The period in which the last tokens repeat themselves; 0: they do not. */
size_t repeating_period(std::span<const int32_t> ids);

/** Loads the model and lets it answer greedily: through its chat template
 * where there is one, otherwise it goes on with a sentence. Throws Error. */
TrialResult run_trial(const std::filesystem::path& model);

/** Weights and logits beside a model that works: output.weights-differ,
 * output.logits-differ. Throws Error. */
TrialResult compare_trial(const std::filesystem::path& model,
                          const std::filesystem::path& good,
                          const Progress& progress = {});

}  // namespace assay
