// SmolLM2-135M-Instruct as GGUF, against transformers on the same file in
// float32 (tools/golden/make_smollm2_golden.py); and all that needs real text.

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/generate/chat.h"

#include "golden.h"

using namespace assay;

namespace {

struct Real {
  arch::LoadedModel model = arch::load_model(ASSAY_MODEL);
  Tokenizer tokenizer = load_tokenizer(*model.files);
};

// Loaded once, and not destroyed after MLX's own statics.
Real& real() {
  static auto* loaded = new Real();
  return *loaded;
}

Json golden_prompts() {
  auto path =
      std::filesystem::path(ASSAY_TEST_DIR) / "golden/smollm2/generation.json";
  return parse_json(read_text(path), path.string()).at("prompts");
}

std::vector<int32_t> ids_of(const Json& json) {
  return json.get<std::vector<int32_t>>();
}

std::string joined(const Generation& generation) {
  std::string text;
  for (const auto& token : generation.tokens) {
    text += token.text;
  }
  return text;
}

std::vector<int32_t> capital_prompt() {
  return ids_of(golden_prompts().at(0).at("input_ids"));
}

}  // namespace

TEST_CASE("64 greedy tokens on 10 prompts equal transformers'") {
  auto& [model, tokenizer] = real();
  auto prompts = golden_prompts();
  REQUIRE(prompts.size() == 10);
  Generator generator(model, &tokenizer);
  double tokens = 0, seconds = 0;
  for (const auto& entry : prompts) {
    auto text = entry.at("prompt").get<std::string>();
    CAPTURE(text);
    auto ids = ids_of(entry.at("input_ids"));
    CHECK(tokenizer.encode(text, false) == ids);
    auto result = generator.generate(ids, golden::greedy(64));
    CHECK(result.ids == ids_of(entry.at("greedy")));
    bool at_eos = entry.at("stopped_at_eos").get<bool>();
    CHECK((result.finish == FinishReason::stop) == at_eos);
    CHECK(result.text == tokenizer.decode(result.ids));
    CHECK(joined(result) == result.text);
    tokens += result.stats.generated_tokens - 1;
    seconds += result.stats.generation_seconds;
  }
  MESSAGE("decode: " << tokens / seconds << " tokens/s");
}

TEST_CASE("a chat answers, and reads only what is new") {
  auto& [model, tokenizer] = real();
  Generator generator(model, &tokenizer);
  ChatSession chat(generator);
  auto first = chat.send("What is the capital of France?", golden::greedy(32));
  CHECK(first.text == "The capital of France is Paris.");
  CHECK(first.finish == FinishReason::stop);
  auto second = chat.send("And of Italy?", golden::greedy(8));
  // All but the new question, its frame and the token not yet run.
  int known = first.stats.prompt_tokens + first.stats.generated_tokens;
  CHECK(second.stats.reused_tokens >= known - 1);
  CHECK(second.stats.prompt_tokens > second.stats.reused_tokens);
  REQUIRE(chat.messages().size() == 4);
  CHECK(chat.messages()[1].at("content") == first.text);
  // The same conversation from scratch gives the same answer.
  Generator fresh(model, &tokenizer);
  ChatSession again(fresh);
  again.messages() = chat.messages();
  again.messages().erase(3);
  CHECK(again.reply(golden::greedy(8)).ids == second.ids);
}

TEST_CASE("a stop text ends generation before it, wherever tokens part") {
  auto& [model, tokenizer] = real();
  Generator generator(model, &tokenizer);
  auto options = golden::greedy(32);
  for (std::string stop : {"is Par", "ance is", "s", "France is Paris."}) {
    CAPTURE(stop);
    options.stop = {"never", stop};
    auto result = generator.generate(capital_prompt(), options);
    std::string whole = "The capital of France is Paris.";
    CHECK(result.finish == FinishReason::stop);
    CHECK(result.stop_text == stop);
    CHECK(result.text == whole.substr(0, whole.find(stop)));
    CHECK(joined(result) == result.text);
  }
}

TEST_CASE("text prompts take the tokenizer's special tokens; raw text works") {
  auto& [model, tokenizer] = real();
  Generator generator(model, &tokenizer);
  std::string text = "The capital of France is";
  auto result = generator.generate(text, golden::greedy(4));
  auto ids = tokenizer.encode(text);
  CHECK(generator.generate(ids, golden::greedy(4)).ids == result.ids);
}

TEST_CASE("an 8-bit cache still knows the capital of France") {
  auto& [model, tokenizer] = real();
  nn::CacheOptions options{.bits = 8, .group_size = 64};
  Generator generator(model, &tokenizer, options);
  auto result = generator.generate(capital_prompt(), golden::greedy(16));
  CHECK(result.text == "The capital of France is Paris.");
}

TEST_CASE("a draft gives the same text on the real model") {
  auto& [model, tokenizer] = real();
  auto prompt = ids_of(golden_prompts().at(1).at("input_ids"));
  auto expected = ids_of(golden_prompts().at(1).at("greedy"));
  expected.resize(std::min<size_t>(expected.size(), 24));
  Generator generator(model, &tokenizer);
  generator.set_draft(&model, &tokenizer);
  auto result = generator.generate(prompt, golden::greedy(24));
  CHECK(result.ids == expected);
  CHECK(result.stats.accepted_tokens >= result.stats.drafted_tokens - 4);
}

TEST_CASE("a draft with other tokens is refused") {
  auto& [model, tokenizer] = real();
  auto tiny = arch::load_model(golden::folder("llama"));
  Generator generator(model, &tokenizer);
  auto other = Tokenizer::from_json(R"({
    "version": "1.0", "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}
  })",
                                    "test");
  for (const Tokenizer* its : {static_cast<const Tokenizer*>(nullptr),
                               static_cast<const Tokenizer*>(&other)}) {
    try {
      generator.set_draft(&tiny, its);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.finding().id == "draft.vocabulary");
    }
  }
}
