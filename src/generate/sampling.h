#pragma once

// From logits to a token: penalties, filters, temperature and the draw, as MLX
// operations on one row of logits, so that the next step can be queued before
// the token is known. Facts: mlx-lm's sample_utils, whose order this keeps.

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <mlx/array.h>

#include "assay/core/json.h"

namespace assay {

/** Applied in the order of the fields: first what changes logits, then the
 * filters, each on what the one before left over (probabilities at temperature
 * 1, not normalized anew), then temperature and the draw. */
struct SamplingOptions {
  /** Added to the logits of these ids. */
  std::map<int32_t, float> logit_bias = {};
  /** Logits of tokens in the context: divided by it where positive, multiplied
   * where negative (Keskar et al. 2019). 1: off. Each of the three penalties
   * looks at the last `penalty_context` tokens, prompt included. */
  float repetition_penalty = 1;
  /** Subtracted once from tokens in the context. 0: off. */
  float presence_penalty = 0;
  /** Subtracted for each time that a token is in the context. 0: off. */
  float frequency_penalty = 0;
  int penalty_context = 20;
  /** The likeliest tokens that together have this probability, among them the
   * one that reaches it. 1: all. */
  float top_p = 1;
  /** Tokens at least this share as likely as the likeliest. 0: all. */
  float min_p = 0;
  /** The k likeliest. 0: all. */
  int top_k = 0;
  /** 0: the likeliest token, whatever the filters. */
  float temperature = 0;

  bool has_penalties() const {
    return repetition_penalty != 1 || presence_penalty != 0 ||
           frequency_penalty != 0;
  }
};

/** Throws Error generate.option for a value out of its range. */
void check(const SamplingOptions& options, int vocab);

Json to_json(const SamplingOptions& options);

/** Logits [vocab] to float32 log-probabilities [vocab] after bias and
 * penalties. `recent`: ids in the context, int32 [n], n may be 0. */
mlx::core::array penalized_logprobs(const SamplingOptions& options,
                                    const mlx::core::array& logits,
                                    const mlx::core::array& recent);

/** Log-probabilities [vocab] with those that the filters drop at minus
 * infinity, divided by the temperature: the draw's distribution, not
 * normalized. Precondition: temperature > 0. */
mlx::core::array filtered_logprobs(const SamplingOptions& options,
                                   const mlx::core::array& logprobs);

/** A token (int32, no axes) out of log-probabilities [vocab]. `key`: of
 * mlx::random, not used at temperature 0. */
mlx::core::array draw(const SamplingOptions& options,
                      const mlx::core::array& logprobs,
                      const mlx::core::array& key);

}  // namespace assay
