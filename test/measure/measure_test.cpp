// Perplexity and divergence against the definitions computed in double
// precision; what bench states.

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/measure/bench.h"
#include "assay/measure/divergence.h"
#include "assay/measure/perplexity.h"
#include "assay/measure/text_sample.h"

#include "models.h"

using namespace assay;
namespace mx = mlx::core;

namespace {

// log(softmax(row))[target] in double precision.
double log_probability(const float* row, int vocab, int target) {
  double largest = *std::max_element(row, row + vocab);
  double sum = 0;
  for (int i = 0; i < vocab; ++i) {
    sum += std::exp(row[i] - largest);
  }
  return row[target] - largest - std::log(sum);
}

double textbook_kl(const float* p, const float* q, int vocab) {
  double kl = 0;
  for (int i = 0; i < vocab; ++i) {
    double log_p = log_probability(p, vocab, i);
    kl += std::exp(log_p) * (log_p - log_probability(q, vocab, i));
  }
  return kl;
}

std::string id_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "nothing thrown";
}

}  // namespace

TEST_CASE("perplexity is the mean over windows that are run by themselves") {
  auto model = arch::load_model(test::golden_model("llama"));
  auto ids = random_ids(30, vocabulary_size(model.tree), 1);
  double loss = 0;
  int count = 0;
  for (size_t start = 0; start < ids.size(); start += 12) {
    auto window =
        std::span(ids).subspan(start, std::min<size_t>(12, 30 - start));
    auto logits = arch::logits(model.model(), window);
    int vocab = logits.shape(1);
    for (size_t i = 1; i < window.size(); ++i) {
      loss -= log_probability(
          logits.data<float>() + static_cast<ptrdiff_t>(i - 1) * vocab,
          vocab,
          window[i]);
      ++count;
    }
  }
  auto result = perplexity(model, ids, {.window = 12});
  CHECK(result.predicted == 27);
  CHECK(result.mean_nll == doctest::Approx(loss / count).epsilon(1e-5));
  CHECK(result.perplexity == doctest::Approx(std::exp(result.mean_nll)));
}

TEST_CASE("where windows overlap, every token but the first counts once") {
  auto model = arch::load_model(test::golden_model("llama"));
  auto ids = random_ids(30, vocabulary_size(model.tree), 2);
  CHECK(perplexity(model, ids, {.window = 12, .stride = 5}).predicted == 29);
  CHECK(perplexity(model, ids, {.window = 30}).predicted == 29);
  CHECK(perplexity(model, ids, {.window = 12, .stride = 12}).predicted == 27);
}

TEST_CASE("what can't be measured is refused") {
  auto model = arch::load_model(test::golden_model("llama"));
  auto one = random_ids(1, 8);
  auto some = random_ids(9, 8);
  CHECK(id_of([&] { perplexity(model, one); }) == "measure.too-short");
  CHECK(id_of([&] { perplexity(model, some, {.window = 1}); }) ==
        "measure.option");
  CHECK(id_of([&] { perplexity(model, some, {.window = 4, .stride = 5}); }) ==
        "measure.option");
  CHECK(id_of([&] {
          sample_tokens(model,
                        {.text = {}, .ids = {1, 99999}, .max_tokens = 0});
        }) == "measure.token-id");
  CHECK(id_of([&] {
          sample_tokens(model, {.text = "hi", .ids = {}, .max_tokens = 0});
        }) == "tokenizer.missing");
}

TEST_CASE("a model does not diverge from itself") {
  for (const char* name : {"llama", "gemma2", "gpt2", "mixtral"}) {
    CAPTURE(name);
    auto model = arch::load_model(test::golden_model(name));
    auto ids = random_ids(20, vocabulary_size(model.tree));
    auto result = kl(model, model, ids, 8);
    CHECK(result.positions == 20);
    CHECK(result.kl_mean == 0);
    CHECK(result.kl_max == 0);
    CHECK(result.top1_agreement == 1);
    CHECK(result.max_abs == 0);
  }
}

TEST_CASE("divergence is the definition's, in both directions") {
  mx::random::seed(3);
  auto a = mx::random::normal({5, 300}) * mx::array(4.0f);
  auto b = a + mx::random::normal({5, 300}) * mx::array(0.3f);
  mx::eval(std::vector<mx::array>{a, b});
  for (auto [p, q] : {std::pair(a, b), std::pair(b, a)}) {
    double mean = 0;
    double largest = 0;
    for (int i = 0; i < 5; ++i) {
      double value = textbook_kl(
          p.data<float>() + i * 300, q.data<float>() + i * 300, 300);
      mean += value / 5;
      largest = std::max(largest, value);
    }
    auto result = divergence(p, q);
    CHECK(result.kl_mean == doctest::Approx(mean).epsilon(1e-4));
    CHECK(result.kl_max == doctest::Approx(largest).epsilon(1e-4));
  }
}

TEST_CASE("tokens excluded on both sides add nothing to the divergence") {
  float out = -INFINITY;
  auto a = mx::array({1.0f, 2.0f, out}, {1, 3});
  auto b = mx::array({1.0f, 2.5f, out}, {1, 3});
  auto result = divergence(a, b);
  double p[] = {1, 2}, q[] = {1, 2.5};
  double kl = 0;
  double zp = std::exp(p[0]) + std::exp(p[1]);
  double zq = std::exp(q[0]) + std::exp(q[1]);
  for (int i = 0; i < 2; ++i) {
    kl += std::exp(p[i]) / zp * ((p[i] - std::log(zp)) - (q[i] - std::log(zq)));
  }
  CHECK(result.kl_mean == doctest::Approx(kl).epsilon(1e-5));
  CHECK(result.max_abs == doctest::Approx(0.5));
}

TEST_CASE("top-1 agreement is the share of positions with one favourite") {
  auto a = mx::array({1.0f, 0.0f, 0.0f, 1.0f, 1.0f, 0.0f, 0.0f, 1.0f}, {4, 2});
  auto b = mx::array({1.0f, 0.0f, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f, 1.0f}, {4, 2});
  CHECK(divergence(a, b).top1_agreement == doctest::Approx(0.75));
}

TEST_CASE("median and spread") {
  auto odd = median_spread({5, 1, 3});
  CHECK(odd.median == 3);
  CHECK(odd.spread == doctest::Approx(1));  // quartiles 2 and 4
  CHECK(median_spread({4, 1}).median == doctest::Approx(2.5));
  CHECK(median_spread({7}).spread == 0);
}

TEST_CASE("bench states every figure with its conditions") {
  auto report = bench(test::golden_model("llama"),
                      {.prompt_lengths = {4, 9},
                       .decode_tokens = 3,
                       .runs = 3,
                       .warmup = 1,
                       .threads = 0,
                       .prefill_chunk = 4,
                       .loads = 2});
  std::vector<std::string> names;
  for (const auto& measurement : report.measurements) {
    names.push_back(measurement.what);
    CHECK(measurement.value > 0);
    std::vector<std::string> conditions;
    for (const auto& [key, value] : measurement.conditions) {
      conditions.push_back(key);
      CHECK(!value.empty());
    }
    for (const char* key : {"model", "processor", "MLX", "device"}) {
      CHECK(std::ranges::find(conditions, key) != conditions.end());
    }
  }
  CHECK(names == std::vector<std::string>{"load",
                                          "prefill 4",
                                          "prefill 9",
                                          "decode 3",
                                          "peak memory",
                                          "peak MLX memory"});
}

TEST_CASE("the built-in text is UTF-8 of about 8 KB") {
  auto text = evaluation_text();
  CHECK(text.size() > 7000);
  CHECK(text.size() < 9000);
  CHECK_NOTHROW(Json(std::string(text)).dump());
}
