#include "assay/text/tokenizer_to_gguf.h"

#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/text/gguf_vocabulary.h"
#include "assay/text/pre_tokenizers.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

// Words, digits, case, apostrophes, runs of spaces and line ends, other
// scripts: what splittings differ in.
constexpr std::string_view kProbe =
    "Hello World, it's 12345 o'clock!  We'LL go\n\n to the caf\xC3\xA9 "
    "(na\xC3\xAFve)...\t\xE4\xBD\xA0\xE5\xA5\xBD\xE4\xB8\x96\xE7\x95\x8C 3.14 "
    "x=y+z; // a/b\r\n   \xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 "
    "iPhone HTTPServer \xF0\x9F\x98\x80 2024-01-02 7  8   123  4\n 1234567 ";

[[noreturn]] void unsupported(const ModelFiles& model,
                              std::string expected,
                              std::string actual) {
  fail("tokenizer.unsupported",
       model.tokenizer_json.string(),
       std::move(expected),
       std::move(actual));
}

struct Vocabulary {
  std::vector<std::string> texts;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
};

// Not Assay's ordered JSON: its objects are searched from the front, and a
// vocabulary has 10^5 entries.
using FastJson = nlohmann::json;

void put(Vocabulary& vocabulary, size_t id, std::string text, TokenType type) {
  constexpr size_t kMost = size_t{1} << 24;
  if (id >= kMost) {
    fail("tokenizer.malformed",
         "tokenizer.json",
         "ids below 2^24",
         std::to_string(id));
  }
  if (id >= vocabulary.texts.size()) {
    vocabulary.texts.resize(id + 1);
    vocabulary.types.resize(id + 1, static_cast<int32_t>(TokenType::unused));
  }
  vocabulary.texts[id] = std::move(text);
  vocabulary.types[id] = static_cast<int32_t>(type);
}

std::string merge_text(const FastJson& merge) {
  return merge.is_array() ? merge.at(0).get<std::string>() + " " +
                                merge.at(1).get<std::string>()
                          : merge.get<std::string>();
}

bool is_byte_token(const std::string& text) {
  return text.size() == 6 && text.starts_with("<0x") && text.ends_with(">");
}

Vocabulary read_vocabulary(const FastJson& json, bool byte_fallback) {
  Vocabulary vocabulary;
  const auto& model = json.at("model");
  for (const auto& [text, id] : model.at("vocab").items()) {
    bool byte = byte_fallback && is_byte_token(text);
    put(vocabulary,
        id.get<size_t>(),
        text,
        byte ? TokenType::byte : TokenType::normal);
  }
  for (const auto& merge : model.at("merges")) {
    vocabulary.merges.push_back(merge_text(merge));
  }
  auto unk = model.value("unk_token", FastJson());
  auto added = json.value("added_tokens", FastJson::array());
  for (const auto& token : added) {
    auto text = token.at("content").get<std::string>();
    bool special = token.value("special", false);
    bool unknown = byte_fallback && unk.is_string() && unk == text;
    put(vocabulary,
        token.at("id").get<size_t>(),
        text,
        unknown   ? TokenType::unknown
        : special ? TokenType::control
                  : TokenType::user_defined);
  }
  for (size_t i = 0; i < vocabulary.texts.size(); ++i) {
    if (vocabulary.texts[i].empty()) {  // holes need a text of their own
      vocabulary.texts[i] = fmt::format("[PAD{}]", i);
    }
  }
  return vocabulary;
}

// Earlier merges score higher; what no merge makes comes last.
std::vector<float> scores_of(const Vocabulary& vocabulary) {
  std::unordered_map<std::string, float> rank;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    auto whole = vocabulary.merges[i];
    auto space = whole.find(' ');
    whole.erase(space, 1);
    rank.emplace(std::move(whole), -static_cast<float>(i));
  }
  std::vector<float> scores;
  for (const auto& text : vocabulary.texts) {
    auto found = rank.find(text);
    scores.push_back(found == rank.end() ? -1e6f : found->second);
  }
  return scores;
}

void add_special(const ModelFiles& model,
                 const Tokenizer& tokenizer,
                 GgufMetadata& metadata) {
  auto special = special_tokens(model, tokenizer);
  auto with = tokenizer.encode("a", true);
  auto without = tokenizer.encode("a", false);
  // What is put around a text tells, where no document names it.
  bool before = with.size() > without.size() && !without.empty() &&
                with.front() != without.front();
  bool after = with.size() > without.size() && !without.empty() &&
               with.back() != without.back();
  auto bos = before ? std::optional(with.front()) : special.bos;
  auto eos =
      special.eos.empty() ? std::nullopt : std::optional(special.eos.front());
  eos = after ? std::optional(with.back()) : eos;
  auto set = [&metadata](const char* name, std::optional<int32_t> id) {
    if (id && *id >= 0) {
      metadata.set(fmt::format("tokenizer.ggml.{}_token_id", name),
                   gguf_u32(static_cast<uint32_t>(*id)));
    }
  };
  set("bos", bos);
  set("eos", eos);
  set("unknown", special.unk);
  set("padding", special.pad);
  metadata.set("tokenizer.ggml.add_bos_token", gguf_bool(before));
  metadata.set("tokenizer.ggml.add_eos_token", gguf_bool(after));
}

// True if the metadata gives a tokenizer that does as the original.
bool encodes_alike(const GgufMetadata& metadata, const Tokenizer& original) {
  auto made = Tokenizer::from_json(
      tokenizer_json_from_gguf(metadata, "tokenizer.json"), "tokenizer.json");
  return made.encode(kProbe, true) == original.encode(kProbe, true);
}

// Names of splittings under which llama.cpp knows a published family, then
// others with expressions of their own.
constexpr std::array kSplittings = {"llama-bpe",
                                    "qwen2",
                                    "gpt-2",
                                    "smollm",
                                    "gpt-4o",
                                    "tekken",
                                    "deepseek-v3",
                                    "dbrx",
                                    "mpt",
                                    "command-r",
                                    "qwen35",
                                    "deepseek-coder",
                                    "deepseek-llm",
                                    "falcon",
                                    "seed-coder",
                                    "bloom",
                                    "exaone-moe",
                                    "bailingmoe",
                                    "stablelm2"};

// A splitting as its rules stand in a tokenizer.json, without what changes
// offsets alone.
FastJson rules_of(const FastJson& tokenizer) {
  auto rules = tokenizer.value("pre_tokenizer", FastJson());
  if (rules.is_object() && rules.contains("pretokenizers")) {
    rules = rules["pretokenizers"];
  } else {
    rules = FastJson::array({rules});
  }
  for (auto& rule : rules) {
    if (rule.is_object()) {
      rule.erase("trim_offsets");
      if (rule.value("type", "") == "ByteLevel" &&
          !rule.contains("use_regex")) {
        rule["use_regex"] = true;
      }
    }
  }
  return rules;
}

// Of the splittings that encode the probe alike, one whose rules are those of
// the tokenizer.json; without such, the first. Those of the same rules may
// differ in normalization or in whole words, which the probe tells.
void choose_splitting(const ModelFiles& model,
                      const Tokenizer& original,
                      const FastJson& json,
                      GgufMetadata& metadata) {
  auto rules = rules_of(json);
  auto same_rules = [&] {
    return rules_of(FastJson::parse(
               tokenizer_json_from_gguf(metadata, "tokenizer.json"))) == rules;
  };
  for (bool by_rules : {true, false}) {
    for (const char* splitting : kSplittings) {
      metadata.set("tokenizer.ggml.pre", gguf_text(splitting));
      if (encodes_alike(metadata, original) && (!by_rules || same_rules())) {
        return;
      }
    }
  }
  unsupported(model, "a splitting of text that GGUF has a name for", "another");
}

GgufMetadata make(const ModelFiles& model, const std::string& text) {
  auto json = FastJson::parse(text);
  auto original = Tokenizer::from_json(text, model.tokenizer_json.string());
  if (original.model_type() != "BPE") {
    unsupported(model, "a BPE tokenizer", std::string(original.model_type()));
  }
  bool pieces = json.at("model").value("byte_fallback", false);
  auto vocabulary = read_vocabulary(json, pieces);
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", gguf_text(pieces ? "llama" : "gpt2"));
  if (pieces) {
    metadata.set("tokenizer.ggml.scores", gguf_f32s(scores_of(vocabulary)));
  }
  metadata.set("tokenizer.ggml.token_type", gguf_i32s(vocabulary.types));
  metadata.set("tokenizer.ggml.tokens",
               gguf_texts(std::move(vocabulary.texts)));
  add_special(model, original, metadata);
  metadata.set("tokenizer.ggml.merges",
               gguf_texts(std::move(vocabulary.merges)));
  if (!pieces) {
    choose_splitting(model, original, json, metadata);
    return metadata;
  }
  for (bool prefix : {true, false}) {
    metadata.set("tokenizer.ggml.add_space_prefix", gguf_bool(prefix));
    if (encodes_alike(metadata, original)) {
      return metadata;
    }
  }
  unsupported(model, "pieces as SentencePiece makes them", "others");
}

}  // namespace

GgufMetadata tokenizer_to_gguf(const ModelFiles& model) {
  if (model.tokenizer_json.empty()) {
    fail("tokenizer.missing", model.path.string(), "a tokenizer.json", "none");
  }
  auto text = read_text(model.tokenizer_json);
  try {
    return make(model, text);
  } catch (const FastJson::exception& error) {
    fail("tokenizer.malformed",
         model.tokenizer_json.string(),
         "a tokenizer.json of the usual form",
         error.what());
  }
}

}  // namespace assay
