// SmolLM2-135M-Instruct as GGUF: prompts and ids as transformers makes them of
// the same file (tools/golden/make_smollm2_golden.py).

#include <doctest/doctest.h>

#include "assay/formats/model_files.h"
#include "assay/text/chat_template.h"

#include "golden.h"

using Ids = std::vector<int32_t>;

namespace {

bool model_is_there() {
  bool there = std::filesystem::exists(ASSAY_MODEL);
  WARN_MESSAGE(there, "no model at " << ASSAY_MODEL << ": nothing checked");
  return there;
}

}  // namespace

TEST_CASE("SmolLM2: prompts, ids and texts of transformers") {
  if (!model_is_there()) {
    return;
  }
  auto model = assay::open_model(ASSAY_MODEL);
  auto tokenizer = load_tokenizer(model);
  auto special = special_tokens(model, tokenizer);
  CHECK(tokenizer.vocab_size() == 49152);
  CHECK(special.eos == Ids{2});
  auto folder = std::filesystem::path(ASSAY_TEST_DIR) / "golden/smollm2";
  auto golden = assay::parse_json(assay::read_text(folder / "generation.json"),
                                  "generation.json");
  REQUIRE(golden["prompts"].size() >= 10);
  for (const auto& c : golden["prompts"]) {
    auto prompt = c["prompt"].get<std::string>();
    if (!c["messages"].is_null()) {
      CHECK(render_chat(model.chat_template, c["messages"], special) == prompt);
    }
    CHECK(tokenizer.encode(prompt, false) == c["input_ids"].get<Ids>());
    auto greedy = c["greedy"].get<Ids>();
    CHECK(tokenizer.decode(greedy, false) == c["text"].get<std::string>());
    assay::StreamDecoder stream(tokenizer, false);
    std::string text;
    for (auto id : greedy) {
      text += stream.push(id);
    }
    CHECK(text + stream.finish() == c["text"].get<std::string>());
  }
}

TEST_CASE("SmolLM2: a long text") {
  if (!model_is_there()) {
    return;
  }
  auto tokenizer = load_tokenizer(assay::open_model(ASSAY_MODEL));
  auto folder = std::filesystem::path(ASSAY_TEST_DIR) / "golden/smollm2";
  auto golden = assay::parse_json(assay::read_text(folder / "perplexity.json"),
                                  "perplexity.json");
  auto ids = tokenizer.encode(assay::read_text(folder / "text.txt"), false);
  REQUIRE(ids.size() == golden["tokens"]);
  auto first = golden["first_tokens"].get<Ids>();
  auto last = golden["last_tokens"].get<Ids>();
  CHECK(Ids(ids.begin(), ids.begin() + std::ssize(first)) == first);
  CHECK(Ids(ids.end() - std::ssize(last), ids.end()) == last);
}
