#pragma once

// record: what the verbs found or measured, written into the project's memory:
// architectures into LEARNINGS.md, checks into DIAGNOSTICS.md, figures with
// their conditions into the ledger of results. The same thing recorded again
// takes the place of the older text; the ledger keeps both.

#include <filesystem>
#include <string>
#include <vector>

#include "assay/check/check.h"
#include "assay/check/doctor.h"
#include "assay/convert/convert.h"
#include "assay/core/finding.h"
#include "assay/diagnose/troubleshoot.h"
#include "assay/fit/fit.h"
#include "assay/generate/generate.h"
#include "assay/inspect/inspect.h"
#include "assay/measure/bench.h"
#include "assay/measure/compare.h"
#include "assay/measure/divergence.h"
#include "assay/measure/perplexity.h"
#include "assay/measure/text_sample.h"
#include "assay/project/results.h"
#include "assay/project/store.h"
#include "assay/quantize/quantize.h"

namespace assay {

/** Where a record goes, and the command line that it comes from. */
struct RecordTarget {
  project::Store& store;
  std::string command;
};

struct RecordReport {
  /** "reference/RESULTS.md: run 1f0c5a7e9b2d". */
  std::vector<std::string> written;
  /** What was not written, and why. */
  std::vector<Finding> findings;
};

/** The block "## Architecture: MODEL": source format, what a target needs,
 * known issues. */
RecordReport record(const RecordTarget& target, const ModelReport& report);
/** A block of DIAGNOSTICS.md: verdict, steps, findings. */
RecordReport record(const RecordTarget& target, const CheckReport& report);
/** A block of DIAGNOSTICS.md for each symptom of a model. */
RecordReport record(const RecordTarget& target, const Diagnosis& diagnosis);
/** A block of DIAGNOSTICS.md for each machine. */
RecordReport record(const RecordTarget& target, const DoctorReport& report);

RecordReport record(const RecordTarget& target,
                    const BenchReport& report,
                    const BenchOptions& options);
RecordReport record(const RecordTarget& target,
                    const std::filesystem::path& model,
                    const TokenSample& sample,
                    const Perplexity& result);
RecordReport record(const RecordTarget& target,
                    const std::filesystem::path& reference,
                    const std::filesystem::path& candidate,
                    const TokenSample& sample,
                    int window,
                    const Divergence& result);
/** What a generation ran with; all of it may change its speed. */
struct GenerationSetup {
  std::filesystem::path model;
  std::filesystem::path draft;  ///< empty: none
  GenerateOptions options;
  nn::CacheOptions cache;
};
/** Speed and memory of one generation, the draw's settings beside them. */
RecordReport record(const RecordTarget& target,
                    const GenerationSetup& setup,
                    const Generation& generation);
RecordReport record(const RecordTarget& target, const ConvertReport& report);
/** With `max_loss_percent` a decision as well: the mix, and what it costs. */
RecordReport record(const RecordTarget& target, const QuantizeReport& report);
RecordReport record(const RecordTarget& target, const CompareReport& report);
RecordReport record(const RecordTarget& target, const FitReport& report);
RecordReport record(const RecordTarget& target,
                    const FitMeasurement& measurement);

/** Machine, system, device and versions, as every run carries them. */
project::Facts record_conditions();

}  // namespace assay
