#pragma once

// perplexity: exp of the mean negative log-likelihood that a model gives to a
// text, in windows that are run by themselves.

#include <cstdint>
#include <span>

#include "assay/arch/loaded_model.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"

namespace assay {

struct PerplexityOptions {
  /** Tokens that are run at once, from an empty context. */
  int window = 512;
  /** Tokens between the starts of windows; 0: `window`, no overlap. Where
   * windows overlap, each token counts once, in the first window that has it.
   */
  int stride = 0;
  /** Positions of a window at a time, with a KV cache: products of few rows are
   * other kernels than those of many. With 1 the text is read as generated text
   * is written. */
  int prefill_step_size = 512;
};

struct Perplexity {
  double perplexity = 0;  ///< exp(mean_nll)
  double mean_nll = 0;    ///< nats a token
  /** Standard error of mean_nll, tokens taken as independent. */
  double standard_error = 0;
  uint64_t tokens = 0;     ///< of the text
  uint64_t predicted = 0;  ///< that count: all but the first of each window,
                           ///< or those that an overlap predicts too
  int window = 0, stride = 0, prefill_step_size = 0;
  double seconds = 0;
};

/** Logits in float32, the mean in float64. Progress counts tokens. Throws
 * Error measure.too-short, measure.option. */
Perplexity perplexity(const nn::LanguageModel& model,
                      std::span<const int32_t> ids,
                      const PerplexityOptions& options = {},
                      const Progress& progress = {});
Perplexity perplexity(const arch::LoadedModel& model,
                      std::span<const int32_t> ids,
                      const PerplexityOptions& options = {},
                      const Progress& progress = {});

Json to_json(const Perplexity& perplexity);

}  // namespace assay
