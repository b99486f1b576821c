// The tokenizer made from a GGUF's metadata is the original one: same ids,
// same texts.

#include <cstdlib>

#include <doctest/doctest.h>

#include "assay/core/finding.h"

#include "golden.h"

using assay::Error;
using assay::GgufMetadata;
using assay::Tokenizer;
using Ids = std::vector<int32_t>;

namespace {

Tokenizer from_gguf(const GgufMetadata& metadata) {
  return Tokenizer::from_json(tokenizer_json_from_gguf(metadata, "test.gguf"),
                              "test.gguf");
}

std::string finding_of(const GgufMetadata& metadata) {
  try {
    from_gguf(metadata);
  } catch (const Error& error) {
    return error.finding().id + ": " + error.finding().where + ": " +
           error.finding().actual;
  }
  return "";
}

GgufMetadata bpe(const std::string& pre) {
  GgufMetadata metadata;
  metadata.set("general.architecture", assay::gguf_text("llama"));
  metadata.set("tokenizer.ggml.model", assay::gguf_text("gpt2"));
  metadata.set("tokenizer.ggml.pre", assay::gguf_text(pre));
  metadata.set("tokenizer.ggml.tokens",
               assay::gguf_texts({"a", "b", "ab", "Ġ", "1", "<e>"}));
  metadata.set("tokenizer.ggml.token_type",
               assay::gguf_i32s({1, 1, 1, 1, 1, 3}));
  metadata.set("tokenizer.ggml.merges", assay::gguf_texts({"a b"}));
  return metadata;
}

}  // namespace

TEST_CASE("GGUF: the ids of the tokenizer.json it was made from") {
  for (const std::string kind : golden::kKinds) {
    CAPTURE(kind);
    auto tokenizer = from_gguf(golden::metadata(kind));
    CHECK(tokenizer.vocab_size() == golden::tokenizer(kind).vocab_size());
    for (const auto& c : golden::cases(kind)) {
      auto text = c["text"].get<std::string>();
      CAPTURE(text);
      CHECK(tokenizer.encode(text) == c["ids"].get<Ids>());
      auto plain = c["ids_no_special"].get<Ids>();
      CHECK(tokenizer.encode(text, false) == plain);
      CHECK(tokenizer.decode(plain, false) == c["decoded"].get<std::string>());
      // Converters mark <｜User｜> as a control token; the original does not.
      if (kind != "deepseek-v3") {
        CHECK(tokenizer.decode(c["ids"].get<Ids>(), true) ==
              c["decoded_skip_special"].get<std::string>());
      }
    }
  }
}

TEST_CASE("GGUF: tokenizer_config.json names the special tokens") {
  for (const std::string kind : golden::kKinds) {
    CAPTURE(kind);
    auto made = assay::parse_json(
        tokenizer_config_from_gguf(golden::metadata(kind), kind), kind);
    auto path = golden::folder(kind) / "tokenizer_config.json";
    auto original = assay::parse_json(assay::read_text(path), kind);
    for (auto* name : {"bos_token", "eos_token", "unk_token", "pad_token"}) {
      CAPTURE(name);
      if (original.contains(name)) {
        REQUIRE(made.contains(name));
        CHECK(made[name] == original[name].get<std::string>());
      }
    }
    auto chat = golden::folder(kind) / "chat_template.jinja";
    if (std::filesystem::exists(chat)) {
      CHECK(made["chat_template"] == assay::read_text(chat));
    }
  }
}

TEST_CASE("GGUF: every way to split text that is listed can be built") {
  for (const std::string pre :
       {"bailingmoe",     "bloom",        "chatglm-bpe",
        "codeshell",      "command-r",    "dbrx",
        "deepseek-coder", "deepseek-llm", "deepseek-r1-qwen",
        "deepseek-v3",    "default",      "exaone",
        "exaone-moe",     "exaone4",      "falcon",
        "falcon3",        "glm4",         "gpt-2",
        "gpt-4o",         "jais",         "llama-bpe",
        "llama4",         "megrez",       "mpt",
        "olmo",           "poro-chat",    "qwen2",
        "qwen35",         "refact",       "seed-coder",
        "smaug-bpe",      "smollm",       "stablelm2",
        "starcoder",      "tekken",       "viking"}) {
    CAPTURE(pre);
    auto tokenizer = from_gguf(bpe(pre));
    CHECK(tokenizer.encode("ab<e>", false) == Ids{2, 5});
    CHECK(tokenizer.decode(Ids{2, 3, 4}) == "ab 1");
  }
}

TEST_CASE("GGUF: what is not known is refused by name") {
  CHECK(finding_of(bpe("made-up")) ==
        "tokenizer.unsupported: test.gguf tokenizer.ggml.pre: 'made-up'");
  auto metadata = bpe("gpt-2");
  metadata.set("tokenizer.ggml.model", assay::gguf_text("rwkv"));
  CHECK(finding_of(metadata) ==
        "tokenizer.unsupported: test.gguf tokenizer.ggml.model: 'rwkv'");
  CHECK(finding_of(GgufMetadata()) ==
        "tokenizer.missing: test.gguf tokenizer.ggml.model: none");
}

TEST_CASE("GGUF: a file that does not name its way to split text: a warning") {
  CHECK(gguf_tokenizer_findings(bpe("smollm"), "x").empty());
  auto findings = gguf_tokenizer_findings(bpe("default"), "x");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].id == "tokenizer.pre-assumed");
}

TEST_CASE("GGUF: fields that contradict each other are named") {
  auto with = [](const char* key, assay::GgufValue value) {
    auto metadata = bpe("gpt-2");
    metadata.set(key, std::move(value));
    return finding_of(metadata);
  };
  CHECK(with("tokenizer.ggml.token_type", assay::gguf_i32s({1, 1})) ==
        "tokenizer.malformed: test.gguf tokenizer.ggml.token_type: 2 values");
  CHECK(
      with("tokenizer.ggml.token_type", assay::gguf_i32s({1, 1, 7, 1, 1, 1})) ==
      "tokenizer.malformed: test.gguf tokenizer.ggml.token_type[2]: 7");
  CHECK(with("tokenizer.ggml.bos_token_id", assay::gguf_u32(6)) ==
        "tokenizer.malformed: test.gguf tokenizer.ggml.bos_token_id: 6");
  CHECK(with("tokenizer.ggml.add_bos_token", assay::gguf_bool(true)) ==
        "tokenizer.malformed: test.gguf tokenizer.ggml.add_bos_token: none");
  CHECK(with("tokenizer.ggml.merges", assay::gguf_texts({"ab"})) ==
        "tokenizer.malformed: test.gguf tokenizer.ggml.merges[0]: 'ab'");
  CHECK(with("tokenizer.ggml.merges", assay::gguf_texts({"a x"}))
            .starts_with("tokenizer.malformed: test.gguf"));
  CHECK(with("tokenizer.ggml.tokens",
             assay::gguf_texts({"a", "b", "ab", "a", "1", "<e>"}))
            .starts_with(
                "tokenizer.malformed: test.gguf tokenizer.ggml.tokens[3]"));
  CHECK(with("tokenizer.ggml.tokens",
             assay::gguf_texts({"a", "b", "ab", "\xFF", "1", "<e>"}))
            .starts_with("tokenizer.malformed: test.gguf"));
  CHECK(with("tokenizer.ggml.tokens", assay::gguf_u32(1))
            .starts_with("gguf.metadata-type"));
}

TEST_CASE("GGUF: what fills the embedding up is no token") {
  auto metadata = bpe("gpt-2");
  metadata.set("tokenizer.ggml.tokens",
               assay::gguf_texts({"a", "b", "ab", "Ġ", "<e>", "[PAD5]"}));
  metadata.set("tokenizer.ggml.token_type",
               assay::gguf_i32s({1, 1, 1, 1, 3, 5}));
  auto tokenizer = from_gguf(metadata);
  CHECK(tokenizer.vocab_size() == 5);
  CHECK(!tokenizer.token_to_id("[PAD5]"));
}

TEST_CASE("GGUF: BERT's words and continuations") {
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", assay::gguf_text("bert"));
  metadata.set(
      "tokenizer.ggml.tokens",
      assay::gguf_texts(
          {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "▁play", "ing", "▁the"}));
  metadata.set("tokenizer.ggml.token_type",
               assay::gguf_i32s({3, 3, 3, 3, 1, 1, 1}));
  metadata.set("tokenizer.ggml.bos_token_id", assay::gguf_u32(2));
  metadata.set("tokenizer.ggml.seperator_token_id", assay::gguf_u32(3));
  metadata.set("tokenizer.ggml.unknown_token_id", assay::gguf_u32(1));
  auto tokenizer = from_gguf(metadata);
  CHECK(tokenizer.encode("Playing the play") == Ids{2, 4, 5, 6, 4, 3});
  CHECK(tokenizer.encode("ing [SEP]", false) == Ids{1, 3});
  CHECK(tokenizer.id_to_token(5) == "##ing");
}

TEST_CASE("GGUF: T5's blanks get their names back") {
  auto metadata = golden::metadata("t5");
  auto tokens = *metadata.texts("tokenizer.ggml.tokens");
  auto scores = *metadata.numbers("tokenizer.ggml.scores");
  auto types = *metadata.integers("tokenizer.ggml.token_type");
  std::vector<float> new_scores(scores.begin(), scores.end());
  std::vector<int32_t> new_types(types.begin(), types.end());
  for (int i = 0; i < 128; ++i) {
    tokens.push_back("[PAD" + std::to_string(400 + i) + "]");
    new_scores.push_back(-1000);
    new_types.push_back(5);
  }
  metadata.set("tokenizer.ggml.tokens", assay::gguf_texts(tokens));
  metadata.set("tokenizer.ggml.scores", assay::gguf_f32s(new_scores));
  metadata.set("tokenizer.ggml.token_type", assay::gguf_i32s(new_types));
  auto tokenizer = from_gguf(metadata);
  CHECK(tokenizer.token_to_id("<extra_id_0>") == 499);
  CHECK(tokenizer.token_to_id("<extra_id_99>") == 400);
  CHECK(tokenizer.vocab_size() == 500);
}
