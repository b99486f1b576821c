#pragma once

// The search for the smallest mix within a bound. Internal to the room.

#include "assay/quantize/groups.h"
#include "assay/quantize/mix.h"
#include "assay/quantize/quantize.h"

namespace assay::quantization {

/** A setting for every parameter of a TrialModel: a candidate or kKeep. */
using Settings = std::vector<size_t>;

struct Found {
  std::vector<GroupSensitivity> sensitivities;
  std::vector<QuantizeTry> tries;
  /** Of each try. */
  std::vector<Settings> settings;
  /** Tries within the bound, smallest first: the first is `chosen`. */
  std::vector<size_t> order;
};

/** Probes groups, measures mixes along the path and the nearest uniform
 * settings. Throws Error quantize.no-mix. */
Found search(TrialModel& model,
             const std::vector<Quantization>& candidates,
             const Reference& reference,
             const QuantizeOptions& options,
             const Progress& progress);

/** Bytes of all parameters as the settings have them. */
uint64_t bytes_of(const TrialModel& model, const Settings& settings);
uint64_t element_total(const TrialModel& model);

}  // namespace assay::quantization
