// Penalties, filters and the draw against plain loops over doubles.

#include "assay/generate/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include <doctest/doctest.h>
#include <mlx/mlx.h>

#include "assay/core/finding.h"

using namespace assay;
namespace mx = mlx::core;

namespace {

constexpr int kVocab = 100;

std::vector<float> some_logits(uint32_t seed, int count = kVocab) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> values(static_cast<size_t>(count));
  std::ranges::generate(values, [&] { return normal(random); });
  return values;
}

mx::array to_array(const std::vector<float>& values) {
  return mx::array(
      values.begin(), {static_cast<int>(values.size())}, mx::float32);
}

mx::array to_array(const std::vector<int>& ids) {
  return mx::array(ids.begin(), {static_cast<int>(ids.size())}, mx::int32);
}

std::vector<double> to_vector(const mx::array& x) {
  auto y = mx::contiguous(mx::astype(x, mx::float32));
  mx::eval(y);
  return {y.data<float>(), y.data<float>() + y.size()};
}

// The definitions, one token at a time.
std::vector<double> reference_logprobs(const SamplingOptions& options,
                                       const std::vector<float>& logits,
                                       const std::vector<int>& recent) {
  std::vector<double> x(logits.begin(), logits.end());
  for (auto [id, bias] : options.logit_bias) {
    x[static_cast<size_t>(id)] += bias;
  }
  auto first =
      recent.size() - std::min(recent.size(), size_t(options.penalty_context));
  for (int id = 0; id < static_cast<int>(x.size()); ++id) {
    auto count = std::count(recent.begin() + first, recent.end(), id);
    auto& value = x[static_cast<size_t>(id)];
    if (count > 0) {
      value = value < 0 ? value * options.repetition_penalty
                        : value / options.repetition_penalty;
      value -= options.presence_penalty;
      value -= static_cast<double>(count) * options.frequency_penalty;
    }
  }
  double sum = 0;
  for (double value : x) {
    sum += std::exp(value);
  }
  for (double& value : x) {
    value -= std::log(sum);
  }
  return x;
}

// Which tokens are left after the filters, in their order.
std::vector<bool> reference_kept(const SamplingOptions& options,
                                 const std::vector<double>& logprobs) {
  std::vector<size_t> order(logprobs.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::sort(
      order, std::greater<>(), [&](size_t i) { return logprobs[i]; });
  std::vector<bool> kept(logprobs.size(), false);
  double above = 0;
  int count = 0;
  for (size_t id : order) {
    bool keep = options.top_p >= 1 || above < options.top_p;
    keep =
        keep && (options.min_p == 0 ||
                 logprobs[id] >= logprobs[order[0]] + std::log(options.min_p));
    keep = keep && (options.top_k == 0 || count < options.top_k);
    kept[id] = keep;
    above += std::exp(logprobs[id]);
    ++count;
  }
  return kept;
}

std::vector<SamplingOptions> many_options() {
  return {
      {.temperature = 1},
      {.top_p = 0.9f, .temperature = 0.7f},
      {.top_p = 0.3f, .temperature = 2},
      {.min_p = 0.05f, .temperature = 1},
      {.top_k = 1, .temperature = 1},
      {.top_k = 40, .temperature = 1},
      {.top_k = kVocab, .temperature = 1},
      {.top_p = 0.95f, .min_p = 0.02f, .top_k = 7, .temperature = 0.5f},
  };
}

}  // namespace

TEST_CASE("bias and penalties are those of the definitions") {
  std::vector<int> recent = {5, 7, 7, 9, 5, 7, 99, 0};
  std::vector<SamplingOptions> cases = {
      {},
      {.logit_bias = {{3, 2.5f}, {0, -100.0f}}},
      {.repetition_penalty = 1.3f},
      {.repetition_penalty = 0.8f},
      {.presence_penalty = 0.7f},
      {.frequency_penalty = 0.4f},
      {.logit_bias = {{7, 1.0f}},
       .repetition_penalty = 1.2f,
       .presence_penalty = 0.3f,
       .frequency_penalty = 0.2f,
       .penalty_context = 4},
      {.repetition_penalty = 1.3f, .penalty_context = 1},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(i);
    auto logits = some_logits(static_cast<uint32_t>(i));
    for (const auto& context : {recent, std::vector<int>{}}) {
      auto actual = to_vector(
          penalized_logprobs(cases[i], to_array(logits), to_array(context)));
      auto expected = reference_logprobs(cases[i], logits, context);
      REQUIRE(actual.size() == expected.size());
      for (size_t id = 0; id < actual.size(); ++id) {
        CHECK(actual[id] == doctest::Approx(expected[id]).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("filters keep what the definitions keep, in mlx-lm's order") {
  for (const auto& options : many_options()) {
    for (uint32_t seed = 0; seed < 20; ++seed) {
      auto logprobs = reference_logprobs({}, some_logits(seed), {});
      auto kept = reference_kept(options, logprobs);
      std::vector<float> rounded(logprobs.begin(), logprobs.end());
      auto actual = to_vector(filtered_logprobs(options, to_array(rounded)));
      for (size_t id = 0; id < kept.size(); ++id) {
        CAPTURE(seed);
        CAPTURE(id);
        if (kept[id]) {
          CHECK(actual[id] ==
                doctest::Approx(logprobs[id] / options.temperature)
                    .epsilon(1e-5));
        } else {
          CHECK(actual[id] == -INFINITY);
        }
      }
    }
  }
}

TEST_CASE("temperature 0 takes the likeliest token, whatever the key") {
  auto logits = some_logits(1);
  auto best = std::ranges::max_element(logits) - logits.begin();
  for (uint64_t seed = 0; seed < 5; ++seed) {
    auto token = draw({}, to_array(logits), mx::random::key(seed));
    CHECK(token.item<int>() == best);
  }
}

TEST_CASE("draws follow the distribution") {
  std::vector<float> logits = {0, 1, 2, -1, 3};
  SamplingOptions options{.top_k = 4, .temperature = 1.5f};
  auto logprobs = penalized_logprobs(
      options, to_array(logits), to_array(std::vector<int>{}));
  constexpr int kDraws = 4000;
  std::vector<int> counts(logits.size());
  auto keys = mx::random::split(mx::random::key(3), kDraws);
  std::vector<mx::array> tokens;
  for (int i = 0; i < kDraws; ++i) {
    tokens.push_back(draw(options, logprobs, mx::take(keys, i, 0)));
  }
  mx::eval(tokens);
  for (auto& token : tokens) {
    ++counts[static_cast<size_t>(token.item<int>())];
  }
  double sum = 0;
  for (size_t id : {0, 1, 2, 4}) {
    sum += std::exp(logits[id] / 1.5);
  }
  CHECK(counts[3] == 0);
  for (size_t id : {0, 1, 2, 4}) {
    double p = std::exp(logits[id] / 1.5) / sum;
    double sigma = std::sqrt(kDraws * p * (1 - p));
    CHECK(std::abs(counts[id] - kDraws * p) < 4 * sigma);
  }
}

TEST_CASE("the same key draws the same token") {
  auto logprobs = to_array(some_logits(2));
  SamplingOptions options{.temperature = 2};
  std::vector<int> first, second;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    first.push_back(draw(options, logprobs, mx::random::key(seed)).item<int>());
    second.push_back(
        draw(options, logprobs, mx::random::key(seed)).item<int>());
  }
  CHECK(first == second);
  std::ranges::sort(second);
  CHECK(std::ranges::unique(second).begin() - second.begin() > 3);
}

TEST_CASE("values out of range are refused by name") {
  auto refused = [](const SamplingOptions& options, const char* option) {
    try {
      check(options, kVocab);
      FAIL("accepted: " << option);
    } catch (const Error& error) {
      CHECK(error.finding().id == "generate.option");
      CHECK(error.finding().where == option);
    }
  };
  refused({.temperature = -1}, "temperature");
  refused({.temperature = NAN}, "temperature");
  refused({.top_p = 0}, "top_p");
  refused({.top_p = 1.5f}, "top_p");
  refused({.min_p = -0.1f}, "min_p");
  refused({.top_k = -1}, "top_k");
  refused({.repetition_penalty = 0}, "repetition_penalty");
  refused({.penalty_context = 0}, "penalty_context");
  refused({.logit_bias = {{kVocab, 1.0f}}}, "logit_bias");
  refused({.logit_bias = {{-1, 1.0f}}}, "logit_bias");
  refused({.logit_bias = {{1, NAN}}}, "logit_bias");
  CHECK_NOTHROW(check({}, kVocab));
}
