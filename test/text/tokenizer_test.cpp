// Tokenizers from tokenizer.json encode and decode as transformers does, and
// a stream of ids gives the text that the ids give together.

#include "assay/text/tokenizer.h"

#include <chrono>
#include <random>

#include <doctest/doctest.h>

#include "assay/core/finding.h"

#include "../sanitized.h"
#include "golden.h"

using assay::Error;
using assay::StreamDecoder;
using assay::Tokenizer;
using Ids = std::vector<int32_t>;

namespace {

std::string streamed(const Tokenizer& tokenizer, const Ids& ids, bool skip) {
  StreamDecoder decoder(tokenizer, skip);
  std::string text;
  for (auto id : ids) {
    text += decoder.push(id);
  }
  return text + decoder.finish();
}

}  // namespace

TEST_CASE("tokenizer.json: the ids and texts of transformers") {
  for (const std::string kind : golden::kKinds) {
    CAPTURE(kind);
    auto tokenizer = golden::tokenizer(kind);
    for (const auto& c : golden::cases(kind)) {
      auto text = c["text"].get<std::string>();
      CAPTURE(text);
      auto ids = c["ids"].get<Ids>();
      auto plain = c["ids_no_special"].get<Ids>();
      CHECK(tokenizer.encode(text) == ids);
      CHECK(tokenizer.encode(text, false) == plain);
      CHECK(tokenizer.decode(plain, false) == c["decoded"].get<std::string>());
      CHECK(tokenizer.decode(ids, true) ==
            c["decoded_skip_special"].get<std::string>());
    }
  }
}

TEST_CASE("a stream of ids gives the text of all of them") {
  for (const std::string kind : golden::kKinds) {
    CAPTURE(kind);
    auto tokenizer = golden::tokenizer(kind);
    for (const auto& c : golden::cases(kind)) {
      CAPTURE(c["text"].get<std::string>());
      auto ids = c["ids"].get<Ids>();
      CHECK(streamed(tokenizer, ids, true) == tokenizer.decode(ids, true));
      CHECK(streamed(tokenizer, ids, false) == tokenizer.decode(ids, false));
    }
  }
}

TEST_CASE("texts one after the other, special tokens between: one stream") {
  std::mt19937 random(7);
  for (const std::string kind : golden::kKinds) {
    CAPTURE(kind);
    auto tokenizer = golden::tokenizer(kind);
    auto cases = golden::cases(kind);
    for (int round = 0; round < 100; ++round) {
      Ids ids;
      for (int i = 0; i < 5; ++i) {
        auto more = cases[random() % cases.size()]["ids"].get<Ids>();
        ids.insert(ids.end(), more.begin(), more.end());
      }
      CHECK(streamed(tokenizer, ids, true) == tokenizer.decode(ids, true));
      CHECK(streamed(tokenizer, ids, false) == tokenizer.decode(ids, false));
    }
  }
}

TEST_CASE("a character of several tokens comes out whole, when it is whole") {
  auto tokenizer = golden::tokenizer("gpt2");
  auto ids = tokenizer.encode("a🧿b", false);
  REQUIRE(ids.size() >= 5);  // the character is three tokens at least
  StreamDecoder decoder(tokenizer);
  CHECK(decoder.push(ids[0]) == "a");
  for (size_t i = 1; i + 2 < ids.size(); ++i) {
    CHECK(decoder.push(ids[i]) == "");
  }
  CHECK(decoder.push(ids[ids.size() - 2]) == "🧿");
  CHECK(decoder.push(ids.back()) == "b");
  CHECK(decoder.finish() == "");
}

TEST_CASE(
    "what stays incomplete is U+FFFD at the end, and nothing is held "
    "back for ever") {
  auto tokenizer = golden::tokenizer("gpt2");
  auto first_byte = tokenizer.encode("🧿", false).front();
  StreamDecoder decoder(tokenizer);
  CHECK(decoder.push(first_byte) == "");
  CHECK(decoder.finish() == "\uFFFD");
  std::string text;
  for (int i = 0; i < 100; ++i) {
    text += decoder.push(first_byte);
  }
  CHECK(text.size() > 80 * 3);
  text += decoder.finish();
  CHECK(text == tokenizer.decode(Ids(100, first_byte)));
}

TEST_CASE("names, ids and size of the vocabulary") {
  auto tokenizer = golden::tokenizer("qwen2");
  CHECK(tokenizer.vocab_size() == 647);
  CHECK(tokenizer.model_type() == "BPE");
  CHECK(tokenizer.token_to_id("<|im_start|>") == 641);
  CHECK(tokenizer.id_to_token(641) == "<|im_start|>");
  CHECK(!tokenizer.token_to_id("no such token"));
  CHECK(!tokenizer.id_to_token(647));
  CHECK(!tokenizer.id_to_token(-1));
  REQUIRE(tokenizer.added_tokens().size() == 7);
  CHECK(tokenizer.added_tokens()[3].content == "<think>");
  CHECK(!tokenizer.added_tokens()[3].special);
  CHECK(tokenizer.is_special(641));
  CHECK(!tokenizer.is_special(643));
  CHECK(!tokenizer.is_special(0));
  CHECK(golden::tokenizer("t5").model_type() == "Unigram");
}

TEST_CASE("ids that are none decode to nothing") {
  auto tokenizer = golden::tokenizer("gpt2");
  CHECK(tokenizer.decode(Ids{-1, 100000, 2147483647}) == "");
  CHECK(tokenizer.decode(Ids{}) == "");
}

TEST_CASE("a tokenizer.json that cuts or pads does neither here") {
  auto json = assay::parse_json(
      assay::read_text(golden::folder("gpt2") / "tokenizer.json"), "gpt2");
  json["truncation"] = {{"max_length", 2},
                        {"strategy", "LongestFirst"},
                        {"stride", 0},
                        {"direction", "Right"}};
  json["padding"] = {{"strategy", {{"Fixed", 64}}},
                     {"direction", "Right"},
                     {"pad_to_multiple_of", nullptr},
                     {"pad_id", 0},
                     {"pad_type_id", 0},
                     {"pad_token", "!"}};
  auto cut = Tokenizer::from_json(json.dump(), "test");
  auto whole = golden::tokenizer("gpt2");
  std::string text = "The quick brown fox jumps over the lazy dog.";
  CHECK(cut.encode(text) == whole.encode(text));
}

TEST_CASE("a megabyte encodes in less than a second") {
  std::string text;
  while (text.size() < 1 << 20) {
    text += "The quick brown fox, 123 jumps over l'été; ";
  }
  for (const std::string kind : {"llama3", "llama-spm"}) {
    CAPTURE(kind);
    auto tokenizer = golden::tokenizer(kind);
    auto start = std::chrono::steady_clock::now();
    auto ids = tokenizer.encode(text, false);
    std::chrono::duration<double> time =
        std::chrono::steady_clock::now() - start;
    CHECK(ids.size() > 10000);
    if (!assay::testing::kSanitized) {
      CHECK(time.count() < 5);  // five times the bound: machines differ
    }
  }
}
