#pragma once

// check: whether a model can be loaded and will compute sense, before anyone
// waits for it. Headers against the architecture's tree first; then every
// tensor's values; then the model itself on a short text.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"
#include "assay/formats/model_files.h"

namespace assay {

struct CheckStep;

/** A step of the caller's own, after all others. */
struct ExtraStep {
  std::string name;
  /** May set the step's detail. Called from any thread. */
  std::function<std::vector<Finding>(const std::filesystem::path& model,
                                     CheckStep& step)>
      look;
};

struct CheckOptions {
  /** Headers, configs and a dry forward pass only; no weights are read. */
  bool headers_only = false;
  /** Counts bytes while tensors are read. */
  Progress progress;
  /** Runs what computes with MLX where it must be run: MLX's streams are
   * thread-local. Returns when the job has ended. Empty: right here. */
  std::function<void(const std::function<void()>&)> on_main_thread = {};
  /** What an adapter is for; where it is empty, the folder that the adapter
   * names, if it is there. */
  std::filesystem::path base = {};
  std::vector<ExtraStep> extra = {};
};

enum class Verdict {
  sound,      ///< nothing wrong; notes at most
  findings,   ///< at least one error or warning
  undecided,  ///< a part could not be looked at, and nothing else is wrong
};

std::string_view name(Verdict verdict);

/** The program's exit status: sound 0, findings 1, undecided 3. */
int exit_code(Verdict verdict);

/** One of the things that were looked at. */
struct CheckStep {
  enum class Outcome { passed, findings, skipped };
  /** "files", "config", "tensors", "dry forward", "tokenizer", "template",
   * "values", "inference". */
  std::string name;
  Outcome outcome = Outcome::passed;
  std::string detail;  ///< what was found sound, or why it was skipped
  double seconds = 0;
  size_t findings = 0;  ///< how many, of CheckReport::findings in order
};

std::string_view name(CheckStep::Outcome outcome);

struct CheckReport {
  std::filesystem::path path;
  std::string architecture;  ///< empty where not known
  Verdict verdict = Verdict::undecided;
  std::vector<CheckStep> steps;   ///< in order
  std::vector<Finding> findings;  ///< in the order of the steps
};

/** A folder, a GGUF, or a .safetensors file by itself (then there is no tree
 * to hold it against: the format's rules, MLX's limits and the values are
 * what counts). Errors of the rooms below become findings; throws only
 * std::bad_alloc and the like. */
CheckReport check(const std::filesystem::path& path,
                  const CheckOptions& options = {});

Json to_json(const CheckReport& report);

}  // namespace assay
