#pragma once

// quantize: a model in fewer bits: uniform, by a named recipe, or the smallest
// mix whose measured perplexity stays within a bound.
//
// Goals: every figure is measured, the last ones on the folder that was
// written; the same input gives the same result. Non-goals: calibrated
// rounding (GPTQ, AWQ), which changes how a matrix is quantized, not which.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "assay/convert/convert.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"
#include "assay/core/quantization.h"
#include "assay/measure/divergence.h"
#include "assay/measure/perplexity.h"
#include "assay/measure/text_sample.h"

namespace assay {

struct QuantizeOptions {
  // One of: bits or mode (uniform), recipe, max_loss_percent.
  int bits = 0;        ///< 0: the mode's own, affine: 4
  int group_size = 0;  ///< 0: the mode's own (affine 64)
  std::string mode;    ///< empty: "affine"
  std::string recipe;  ///< see ConvertOptions::recipe
  /** Largest increase of perplexity over the source's, in percent. */
  std::optional<double> max_loss_percent;

  /** What a mix may be made of; empty: affine, 2 to 8 bits in groups of 64,
   * and 2 to 6 bits in groups of 32. A matrix may also stay as the source has
   * it. */
  std::vector<Quantization> candidates;
  /** What losses are measured on. `max_tokens` 0: 512. */
  SampleOptions sample;
  /** Tokens (the first ones) on which each group of modules is tried alone. */
  int probe_tokens = 128;
  /** Most mixes that are measured. */
  int max_tries = 8;
  /** Let the result be larger than the source. */
  bool allow_larger = false;
  bool force = false;  ///< replace an existing destination
  std::string dtype;   ///< see ConvertOptions::dtype
};

/** How the loss of one group of modules was probed. */
struct GroupSensitivity {
  std::string name;  ///< "layers 4-5 mlp", "embedding"
  std::vector<std::string> modules;
  uint64_t parameters = 0;
  Quantization probe;  ///< what it was quantized to, alone
  double kl = 0;       ///< mean KL(source || with it alone)
};

/** One mix (or uniform setting) that was measured. */
struct QuantizeTry {
  std::string what;  ///< "uniform affine 4 bit, group 64", "mix 3"
  /** As it would be on disk: all tensors. */
  double bits_per_weight = 0;
  uint64_t bytes = 0;
  double perplexity = 0;
  double loss_percent = 0;  ///< 100 * (perplexity / source's - 1)
  double kl = 0;
  double top1_agreement = 0;
  bool within = false;  ///< the bound, and not larger than the source
  bool chosen = false;
};

struct QuantizeReport {
  std::filesystem::path source, destination;
  std::string architecture;
  std::string text_source;  ///< see TokenSample::source
  uint64_t tokens = 0;
  std::optional<double> max_loss_percent;
  uint64_t source_bytes = 0;
  double source_bits_per_weight = 0;
  Perplexity source_perplexity;
  std::vector<GroupSensitivity> sensitivities;  ///< only with max_loss_percent
  std::vector<QuantizeTry> tries;               ///< only with max_loss_percent
  /** What was written: by module path; nothing: not quantized. */
  std::map<std::string, std::optional<Quantization>> modules;
  ConvertReport written;
  /** Measured on the folder that was written. */
  Perplexity result_perplexity;
  Divergence result_divergence;
  double result_loss_percent = 0;
  std::vector<Finding> findings;
  double seconds = 0;
};

/** Throws Error: those of convert; quantize.no-mix where no mix of the
 * candidates stays within the bound (and nothing is written);
 * quantize.larger for a result larger than its source without `allow_larger`;
 * convert.option for options that do not go together. */
QuantizeReport quantize(const std::filesystem::path& source,
                        const std::filesystem::path& destination,
                        const QuantizeOptions& options = {},
                        const Progress& progress = {});

Json to_json(const QuantizeReport& report);

}  // namespace assay
