// The Generator on the tiny golden models: transformers' greedy tokens, in any
// pieces, through caches of every kind.

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "golden.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

std::vector<fs::path> folders() {
  std::vector<fs::path> all;
  for (const auto& entry : fs::directory_iterator(golden::folder())) {
    all.push_back(entry.path());
  }
  std::ranges::sort(all);
  return all;
}

std::string id_of_error(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "none";
}

}  // namespace

TEST_CASE(
    "every architecture goes on as in transformers, prompt in one piece "
    "or in many") {
  for (const auto& folder : folders()) {
    CAPTURE(folder.filename().string());
    auto expected = golden::continuation(folder);
    auto model = arch::load_model(folder);
    Generator generator(model, nullptr);
    for (int chunk : {512, 7, 1}) {
      CAPTURE(chunk);
      generator.reset();
      auto options = golden::greedy(16);
      options.prefill_chunk = chunk;
      auto result = generator.generate(expected.prompt, options);
      CHECK(result.ids == expected.greedy);
      CHECK(result.finish == FinishReason::length);
      CHECK(result.stats.prompt_tokens == 24);
      CHECK(result.stats.generated_tokens == 16);
    }
  }
}

TEST_CASE("log-probabilities are those of the golden logits") {
  auto expected = golden::continuation(golden::folder("llama"));
  auto model = arch::load_model(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto options = golden::greedy(16);
  options.top_logprobs = 5;
  auto result = generator.generate(expected.prompt, options);
  namespace mx = mlx::core;
  auto logprobs = expected.logits -
                  mx::logsumexp(expected.logits, std::vector<int>{-1}, true);
  mx::eval(logprobs);
  int vocab = logprobs.shape(1);
  REQUIRE(result.tokens.size() == 16);
  for (size_t i = 0; i < 16; ++i) {
    const auto& token = result.tokens[i];
    const float* row = logprobs.data<float>() + i * vocab;
    CHECK(token.logprob == doctest::Approx(row[token.id]).epsilon(1e-4));
    REQUIRE(token.top.size() == 5);
    CHECK(token.top[0].id == token.id);
    std::vector<float> sorted(row, row + vocab);
    std::ranges::sort(sorted, std::greater<>());
    for (size_t j = 0; j < 5; ++j) {
      CHECK(token.top[j].logprob == doctest::Approx(sorted[j]).epsilon(1e-4));
    }
  }
}

TEST_CASE("a prompt that begins as the last one is not run again") {
  auto expected = golden::continuation(golden::folder("llama"));
  auto model = arch::load_model(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto first = generator.generate(expected.prompt, golden::greedy(8));
  CHECK(first.stats.reused_tokens == 0);
  auto longer = expected.prompt;
  longer.insert(longer.end(), first.ids.begin(), first.ids.end());
  auto second = generator.generate(longer, golden::greedy(8));
  CHECK(second.stats.reused_tokens == 24 + 7);
  first.ids.insert(first.ids.end(), second.ids.begin(), second.ids.end());
  CHECK(first.ids == expected.greedy);

  SUBCASE("also where it goes on otherwise, or is the same") {
    auto again = generator.generate(expected.prompt, golden::greedy(16));
    CHECK(again.stats.reused_tokens == 23);
    CHECK(again.ids == expected.greedy);
  }
}

TEST_CASE("a window that dropped the rest of the prompt runs it again") {
  auto folder = golden::folder("mistral");
  auto expected = golden::continuation(folder);
  auto model = arch::load_model(folder);
  Generator generator(model, nullptr);
  generator.generate(expected.prompt, golden::greedy(16));
  auto again = generator.generate(expected.prompt, golden::greedy(16));
  CHECK(again.stats.reused_tokens == 0);
  CHECK(again.ids == expected.greedy);
}

TEST_CASE("longrope: keys are made anew where the short context ends") {
  // The whole text at once is what transformers' logits say; from a prompt
  // below the edge the same must come out as if the prompt were run past it.
  auto folder = golden::folder("phi3-longrope-long");
  auto model = arch::load_model(folder);
  auto prompt = golden::continuation(folder).prompt;
  prompt.resize(12);  // the original context is 16
  Generator generator(model, nullptr);
  auto result = generator.generate(prompt, golden::greedy(10));
  auto known = prompt;
  for (size_t i = 0; i < result.ids.size(); ++i) {
    auto logits = arch::logits(model.model(), known);
    auto last = mlx::core::take(logits, logits.shape(0) - 1, 0);
    CAPTURE(i);
    CHECK(result.ids[i] == mlx::core::argmax(last).item<uint32_t>());
    known.push_back(result.ids[i]);
  }
  SUBCASE("and back, for a shorter prompt") {
    auto again = generator.generate(prompt, golden::greedy(10));
    CHECK(again.stats.reused_tokens == 0);
    CHECK(again.ids == result.ids);
  }
}

TEST_CASE("learned positions end generation with a finding") {
  auto folder = golden::folder("gpt2");
  auto model = arch::load_model(folder);
  auto expected = golden::continuation(folder);
  int positions = model.tree.config.at("n_positions").get<int>();
  Generator generator(model, nullptr);
  auto result = generator.generate(expected.prompt, golden::greedy(1000));
  // The last token needs no position: it is not run.
  CHECK(static_cast<int>(24 + result.ids.size()) == positions + 1);
  CHECK(result.finish == FinishReason::length);
  CHECK(golden::has_finding(result, "context.exceeded"));
  std::vector<int32_t> long_prompt(static_cast<size_t>(positions) + 1, 1);
  CHECK(id_of_error([&] { generator.generate(long_prompt); }) ==
        "context.exceeded");
}

TEST_CASE("past the trained context there is a warning, once") {
  auto folder = golden::folder("llama");
  auto model = arch::load_model(folder);
  auto expected = golden::continuation(folder);
  int trained = model.tree.config.at("max_position_embeddings").get<int>();
  Generator generator(model, nullptr);
  auto within = generator.generate(expected.prompt, golden::greedy(4));
  CHECK(within.findings.empty());
  auto past =
      generator.generate(expected.prompt, golden::greedy(trained - 24 + 2));
  REQUIRE(past.findings.size() == 1);
  CHECK(past.findings[0].id == "context.untrained");
}

TEST_CASE("a bounded cache generates on without growing") {
  auto folder = golden::folder("llama");
  auto model = arch::load_model(folder);
  auto expected = golden::continuation(folder);
  Generator wide(model, nullptr, {.max_size = 40});
  CHECK(wide.generate(expected.prompt, golden::greedy(16)).ids ==
        expected.greedy);
  Generator narrow(model, nullptr, {.max_size = 16});
  auto options = golden::greedy(40);
  options.prefill_chunk = 8;
  auto result = narrow.generate(expected.prompt, options);
  CHECK(result.ids.size() == 40);
  Generator again(model, nullptr, {.max_size = 16});
  CHECK(again.generate(expected.prompt, options).ids == result.ids);
}

TEST_CASE("the same seed gives the same tokens, another seed others") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto sample = [&](std::optional<uint64_t> seed) {
    auto options = golden::greedy(16);
    options.sampling.temperature = 1;
    options.seed = seed;
    generator.reset();
    return generator.generate(expected.prompt, options);
  };
  auto first = sample(7);
  CHECK(sample(7).ids == first.ids);
  CHECK(sample(8).ids != first.ids);
  auto unknown = sample(std::nullopt);
  CHECK(sample(unknown.seed).ids == unknown.ids);
}

TEST_CASE("penalties see the prompt and every token drawn before") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto options = golden::greedy(60);
  options.sampling.presence_penalty = 1000;
  options.sampling.penalty_context = 200;
  auto result = generator.generate(expected.prompt, options);
  std::set<int32_t> seen(expected.prompt.begin(), expected.prompt.end());
  for (int32_t id : result.ids) {
    CHECK(seen.insert(id).second);
  }
}

TEST_CASE("stop ids end it, callbacks see every token and may cancel") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto options = golden::greedy(16);
  std::vector<int32_t> seen;
  auto cancel_at_5 = [&](const GeneratedToken& token) {
    seen.push_back(token.id);
    return seen.size() < 5;
  };
  auto cancelled = generator.generate(expected.prompt, options, cancel_at_5);
  CHECK(cancelled.finish == FinishReason::cancelled);
  CHECK(cancelled.ids.size() == 5);
  CHECK(seen == cancelled.ids);
  options.stop_ids = {expected.greedy[3]};
  auto stopped = generator.generate(expected.prompt, options);
  CHECK(stopped.finish == FinishReason::stop);
  CHECK(stopped.ids.back() == expected.greedy[3]);
  // What the caches hold after an early end still serves.
  options.stop_ids.clear();
  CHECK(generator.generate(expected.prompt, options).ids == expected.greedy);
}

TEST_CASE("progress of the prompt rises to its length") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto options = golden::greedy(1);
  options.prefill_chunk = 5;
  std::vector<uint64_t> done;
  generator.generate(
      expected.prompt, options, {}, [&](const ProgressUpdate& update) {
        CHECK(update.total == 24);
        done.push_back(update.done);
      });
  CHECK(done == std::vector<uint64_t>{5, 10, 15, 20, 24});
}

TEST_CASE("damaged weights are a finding, not some token") {
  auto model = arch::load_model(golden::folder("llama"));
  auto prompt = golden::continuation(golden::folder("llama")).prompt;
  for (auto& spec : model.tree.parameters) {
    if (spec.role() == nn::Role::norm) {
      auto& data = spec.parameter->value->data;
      data = mlx::core::full(data.shape(), NAN);
      break;
    }
  }
  Generator generator(model, nullptr);
  CHECK(id_of_error([&] { generator.generate(prompt, golden::greedy(4)); }) ==
        "inference.not-finite");
  CHECK(generator.cached_ids().empty());
}

TEST_CASE("options without meaning are refused") {
  auto model = arch::load_model(golden::folder("llama"));
  std::vector<int32_t> prompt = {1, 2, 3};
  Generator generator(model, nullptr);
  auto refused = [&](auto change) {
    GenerateOptions options;
    change(options);
    return id_of_error([&] { generator.generate(prompt, options); }) ==
           "generate.option";
  };
  CHECK(refused([](auto& o) { o.max_tokens = 0; }));
  CHECK(refused([](auto& o) { o.prefill_chunk = 0; }));
  CHECK(refused([](auto& o) { o.top_logprobs = -1; }));
  CHECK(refused([](auto& o) { o.stop = {"text"}; }));
  CHECK(refused([](auto& o) { o.sampling.top_p = 2; }));
  auto bad_prompt = [&](std::vector<int32_t> ids) {
    return id_of_error([&] { generator.generate(ids); }) == "generate.option";
  };
  CHECK(bad_prompt({}));
  CHECK(bad_prompt({-1}));
  CHECK(bad_prompt({1, 1 << 20}));
  auto bad_cache = [&](nn::CacheOptions cache) {
    return id_of_error([&] { Generator(model, nullptr, cache); }) ==
           "generate.option";
  };
  CHECK(bad_cache({.max_size = 4}));
  CHECK(bad_cache({.bits = 7}));
  CHECK(bad_cache({.bits = 4, .group_size = 48}));
  CHECK(bad_cache({.bits = 4, .group_size = 128}));
}

TEST_CASE("the report holds what was generated") {
  auto model = arch::load_model(golden::folder("llama"));
  auto expected = golden::continuation(golden::folder("llama"));
  Generator generator(model, nullptr);
  auto result = generator.generate(expected.prompt, golden::greedy(4));
  auto json = to_json(result);
  CHECK(json.at("finish") == "length");
  CHECK(json.at("tokens").size() == 4);
  CHECK(json.at("tokens")[0].at("id") == expected.greedy[0]);
  CHECK(json.at("stats").at("prompt_tokens") == 24);
  for (const auto& figure : measurements(result.stats)) {
    CAPTURE(figure.what);
    CHECK(figure.value > 0);
    CHECK_FALSE(figure.conditions.empty());
  }
}
