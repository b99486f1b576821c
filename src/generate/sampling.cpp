#include "assay/generate/sampling.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/random.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/kernels/fused.h"
#include "assay/kernels/top_p.h"

namespace assay {
namespace mx = mlx::core;

namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

void require(bool holds,
             const char* option,
             const char* expected,
             double actual) {
  if (!holds) {
    fail("generate.option", option, expected, fmt::format("{}", actual));
  }
}

mx::array add_bias(const mx::array& logits,
                   const std::map<int32_t, float>& bias) {
  std::vector<int32_t> ids;
  std::vector<float> values;
  for (auto [id, value] : bias) {
    ids.push_back(id);
    values.push_back(value);
  }
  int count = static_cast<int>(ids.size());
  return mx::scatter_add_axis(logits,
                              mx::array(ids.begin(), {count}, mx::int32),
                              mx::array(values.begin(), {count}, mx::float32),
                              0);
}

mx::array penalize(const SamplingOptions& options,
                   mx::array logits,
                   const mx::array& context) {
  // Tokens that repeat in the context are put several times, each time the
  // same value.
  if (options.repetition_penalty != 1) {
    auto chosen = mx::take(logits, context, 0);
    auto penalty = mx::array(options.repetition_penalty);
    chosen = mx::where(
        mx::less(chosen, mx::array(0.0f)), chosen * penalty, chosen / penalty);
    logits = mx::put_along_axis(logits, context, chosen, 0);
  }
  if (options.presence_penalty != 0) {
    auto chosen = mx::take(logits, context, 0);
    logits = mx::put_along_axis(
        logits, context, chosen - mx::array(options.presence_penalty), 0);
  }
  if (options.frequency_penalty != 0) {
    logits = mx::scatter_add_axis(
        logits,
        context,
        mx::full(context.shape(), -options.frequency_penalty),
        0);
  }
  return logits;
}

mx::array keep_top_p(const mx::array& logprobs, float top_p) {
  auto least = kernels::least_in_top_p(logprobs, top_p);
  return mx::where(mx::less(logprobs, least), mx::array(kNever), logprobs);
}

mx::array keep_min_p(const mx::array& logprobs, float min_p) {
  auto least = mx::max(logprobs, true) + mx::array(std::log(min_p));
  return mx::where(mx::less(logprobs, least), mx::array(kNever), logprobs);
}

mx::array keep_top_k(const mx::array& logprobs, int top_k) {
  int vocab = logprobs.shape(0);
  auto order = mx::argpartition(mx::negative(logprobs), top_k - 1, 0);
  return mx::put_along_axis(logprobs,
                            mx::slice(order, {top_k}, {vocab}),
                            mx::full({vocab - top_k}, kNever),
                            0);
}

}  // namespace

void check(const SamplingOptions& options, int vocab) {
  auto finite = [](float value) { return std::isfinite(value); };
  require(finite(options.temperature) && options.temperature >= 0,
          "temperature",
          "0 or more",
          options.temperature);
  require(options.top_p > 0 && options.top_p <= 1,
          "top_p",
          "more than 0, at most 1",
          options.top_p);
  require(options.min_p >= 0 && options.min_p <= 1,
          "min_p",
          "0 to 1",
          options.min_p);
  require(options.top_k >= 0, "top_k", "0 or more", options.top_k);
  require(finite(options.repetition_penalty) && options.repetition_penalty > 0,
          "repetition_penalty",
          "more than 0",
          options.repetition_penalty);
  require(finite(options.presence_penalty),
          "presence_penalty",
          "a number",
          options.presence_penalty);
  require(finite(options.frequency_penalty),
          "frequency_penalty",
          "a number",
          options.frequency_penalty);
  require(options.penalty_context >= 1,
          "penalty_context",
          "1 or more",
          options.penalty_context);
  for (auto [id, value] : options.logit_bias) {
    require(id >= 0 && id < vocab, "logit_bias", "ids of the vocabulary", id);
    require(!std::isnan(value), "logit_bias", "a number", value);
  }
}

Json to_json(const SamplingOptions& options) {
  Json json = {{"temperature", options.temperature},
               {"top_p", options.top_p},
               {"min_p", options.min_p},
               {"top_k", options.top_k},
               {"repetition_penalty", options.repetition_penalty},
               {"presence_penalty", options.presence_penalty},
               {"frequency_penalty", options.frequency_penalty},
               {"penalty_context", options.penalty_context}};
  auto bias = Json::object();
  for (auto [id, value] : options.logit_bias) {
    bias[std::to_string(id)] = value;
  }
  json["logit_bias"] = std::move(bias);
  return json;
}

mx::array penalized_logprobs(const SamplingOptions& options,
                             const mx::array& logits,
                             const mx::array& recent) {
  auto x = mx::astype(logits, mx::float32);
  if (!options.logit_bias.empty()) {
    x = add_bias(x, options.logit_bias);
  }
  int known = recent.shape(0);
  if (options.has_penalties() && known > 0) {
    int first = std::max(0, known - options.penalty_context);
    x = penalize(options, x, mx::slice(recent, {first}, {known}));
  }
  return x - kernels::logsumexp(x, true);
}

mx::array filtered_logprobs(const SamplingOptions& options,
                            const mx::array& logprobs) {
  auto x = logprobs;
  if (options.top_p < 1) {
    x = keep_top_p(x, options.top_p);
  }
  if (options.min_p > 0) {
    x = keep_min_p(x, options.min_p);
  }
  if (options.top_k > 0 && options.top_k < x.shape(0)) {
    x = keep_top_k(x, options.top_k);
  }
  return x * mx::array(1 / options.temperature);
}

mx::array draw(const SamplingOptions& options,
               const mx::array& logprobs,
               const mx::array& key) {
  if (options.temperature == 0) {
    return mx::astype(mx::argmax(logprobs), mx::int32);
  }
  auto drawn =
      mx::random::categorical(filtered_logprobs(options, logprobs), -1, key);
  return mx::astype(drawn, mx::int32);
}

}  // namespace assay
