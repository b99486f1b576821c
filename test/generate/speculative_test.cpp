// Speculative decoding on tiny models: the same greedy tokens, the same
// distribution, whatever the draft.

#include <cmath>
#include <map>

#include <doctest/doctest.h>

#include "assay/generate/sampling.h"

#include "golden.h"

using namespace assay;
namespace mx = mlx::core;

namespace {

std::string id_of_speculative_error(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "none";
}

// The distribution of the token after `ids`.
std::map<int32_t, double> next_token(const arch::LoadedModel& model,
                                     const std::vector<int32_t>& ids,
                                     const SamplingOptions& sampling) {
  auto logits = arch::logits(model.model(), ids);
  auto last = mx::take(logits, logits.shape(0) - 1, 0);
  auto none = mx::zeros({0}, mx::int32);
  auto p = mx::softmax(
      filtered_logprobs(sampling, penalized_logprobs(sampling, last, none)),
      -1,
      true);
  mx::eval(p);
  std::map<int32_t, double> chances;
  for (int32_t id = 0; id < p.shape(0); ++id) {
    if (p.data<float>()[id] > 0) {
      chances[id] = p.data<float>()[id];
    }
  }
  return chances;
}

}  // namespace

TEST_CASE("greedy tokens are the same with any draft") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  for (const char* name : {"llama-bias", "qwen3", "gpt2"}) {
    auto draft = arch::load_model(golden::folder(name));
    Generator plain(model, nullptr);
    Generator generator(model, nullptr);
    generator.set_draft(&draft);
    for (int guesses : {1, 4, 9}) {
      CAPTURE(name);
      CAPTURE(guesses);
      auto options = golden::greedy(16);
      options.num_draft_tokens = guesses;
      generator.reset();
      auto result = generator.generate(expected.prompt, options);
      CHECK(result.ids == expected.greedy);
      CHECK(result.stats.drafted_tokens > 0);
      // Longer than the golden continuation: held to the run without a draft.
      options.max_tokens = 32;
      CHECK(generator.generate(expected.prompt, options).ids ==
            plain.generate(expected.prompt, options).ids);
    }
  }
}

TEST_CASE("penalties apply to guesses as to tokens") {
  auto model = arch::load_model(golden::folder("llama"));
  auto draft = arch::load_model(golden::folder("llama-bias"));
  auto prompt = golden::continuation(golden::folder("llama")).prompt;
  auto options = golden::greedy(24);
  options.sampling.repetition_penalty = 1.5f;
  options.sampling.frequency_penalty = 0.5f;
  Generator plain(model, nullptr);
  Generator generator(model, nullptr);
  generator.set_draft(&draft);
  CHECK(generator.generate(prompt, options).ids ==
        plain.generate(prompt, options).ids);
}

TEST_CASE("a model that drafts for itself is never refused") {
  auto model = arch::load_model(golden::folder("llama"));
  auto prompt = golden::continuation(golden::folder("llama")).prompt;
  Generator generator(model, nullptr);
  generator.set_draft(&model);
  auto options = golden::greedy(21);
  options.num_draft_tokens = 4;
  auto result = generator.generate(prompt, options);
  CHECK(result.stats.drafted_tokens == 16);
  CHECK(result.stats.accepted_tokens == 16);
  int drafted = 0;
  for (const auto& token : result.tokens) {
    drafted += token.from_draft;
  }
  CHECK(drafted == 16);
}

TEST_CASE("sampled tokens follow the model's distribution, not the draft's") {
  auto model = arch::load_model(golden::folder("llama"));
  auto draft = arch::load_model(golden::folder("llama-bias"));
  auto prompt = golden::continuation(golden::folder("llama")).prompt;
  prompt.resize(4);
  SamplingOptions sampling{.top_k = 3, .temperature = 0.8f};
  // The second token is the first that a guess may become.
  std::map<int32_t, double> expected;
  for (auto [first, chance] : next_token(model, prompt, sampling)) {
    auto ids = prompt;
    ids.push_back(first);
    for (auto [second, p] : next_token(model, ids, sampling)) {
      expected[second] += chance * p;
    }
  }
  constexpr int kRuns = 300;
  std::map<int32_t, int> counts;
  Generator generator(model, nullptr);
  generator.set_draft(&draft);
  auto options = golden::greedy(3);
  options.sampling = sampling;
  options.num_draft_tokens = 1;
  for (uint64_t seed = 0; seed < kRuns; ++seed) {
    options.seed = seed;
    ++counts[generator.generate(prompt, options).ids[1]];
  }
  int total = 0;
  for (auto [id, p] : expected) {
    CAPTURE(id);
    double sigma = std::sqrt(kRuns * p * (1 - p));
    CHECK(std::abs(counts[id] - kRuns * p) <= 4 * sigma + 1);
    total += counts[id];
  }
  CHECK(total == kRuns);
}

TEST_CASE("the same seed draws the same tokens with a draft") {
  auto model = arch::load_model(golden::folder("llama"));
  auto draft = arch::load_model(golden::folder("qwen3"));
  auto prompt = golden::continuation(golden::folder("llama")).prompt;
  Generator generator(model, nullptr);
  generator.set_draft(&draft);
  auto options = golden::greedy(20);
  options.sampling.temperature = 1;
  options.seed = 3;
  auto first = generator.generate(prompt, options);
  generator.reset();
  CHECK(generator.generate(prompt, options).ids == first.ids);
}

TEST_CASE("caches that could not take a guess back are refused") {
  auto model = arch::load_model(golden::folder("llama"));
  auto windowed = arch::load_model(golden::folder("mistral"));
  auto prompt = golden::continuation(golden::folder("llama")).prompt;
  Generator generator(model, nullptr);
  generator.set_draft(&windowed);
  CHECK(id_of_speculative_error([&] {
          generator.generate(prompt, golden::greedy(8));
        }) == "draft.cache");
  Generator bounded(model, nullptr, {.max_size = 30});
  bounded.set_draft(&model);
  CHECK(id_of_speculative_error([&] {
          bounded.generate(prompt, golden::greedy(8));
        }) == "draft.cache");
  CHECK_NOTHROW(bounded.generate(prompt, golden::greedy(6)));
}
