#include <array>

#include <fmt/format.h>
#include <simdjson.h>

#include "assay/check/profile.h"

namespace assay {
namespace {

using simdjson::dom::element;

constexpr size_t kShort = 4096;  // characters of a part that are kept as text

// FNV-1a, 64 bits (Fowler, Noll, Vo). It tells versions apart; it is no
// protection against somebody who wants two texts to look alike.
uint64_t hash(std::string_view text, uint64_t state = 0xcbf29ce484222325u) {
  for (char c : text) {
    state ^= static_cast<unsigned char>(c);
    state *= 0x100000001b3u;
  }
  return state;
}

std::string hex(uint64_t value) {
  return fmt::format("{:016x}", value);
}

// Order does not count: libraries write vocabularies by id or as they come.
class Unordered {
 public:
  void add(std::string_view entry) {
    sum_ += hash(entry);
    ++count_;
  }
  Json json() const { return {{"count", count_}, {"hash", hex(sum_)}}; }

 private:
  uint64_t sum_ = 0;
  uint64_t count_ = 0;
};

Json vocabulary(element vocab) {
  Unordered entries;
  if (vocab.is_object()) {
    for (auto field : simdjson::dom::object(vocab)) {
      auto id = simdjson::minify(field.value);
      entries.add(fmt::format("{}\n{}", field.key, id));
    }
  } else if (vocab.is_array()) {
    size_t id = 0;
    for (auto entry : simdjson::dom::array(vocab)) {  // [token, score]
      entries.add(fmt::format("{}\n{}", simdjson::minify(entry), id++));
    }
  }
  return entries.json();
}

// "a b" and ["a", "b"] are two spellings of one merge.
Json merges(element list) {
  uint64_t state = hash("");
  uint64_t count = 0;
  for (auto merge : simdjson::dom::array(list)) {
    if (merge.is_array()) {
      const char* between = "";
      for (auto part : simdjson::dom::array(merge)) {
        state = hash(std::string_view(part), hash(between, state));
        between = " ";
      }
    } else {
      state = hash(std::string_view(merge), state);
    }
    state = hash("\n", state);
    ++count;
  }
  return {{"count", count}, {"hash", hex(state)}};
}

Json added_tokens(element list) {
  Json tokens = Json::object();
  for (auto token : simdjson::dom::array(list)) {
    auto text = std::string(std::string_view(token["content"]));
    Json flags = Json::object();
    for (auto field : simdjson::dom::object(token)) {
      if (field.value.is_bool()) {
        flags[std::string(field.key)] = bool(field.value);
      }
    }
    auto id = int64_t(token["id"]);
    tokens[text] = {{"id", id}, {"flags", std::move(flags)}};
  }
  return tokens;
}

Json part(element value) {
  auto text = std::string(simdjson::minify(value));
  return text.size() <= kShort
             ? parse_json(text, "tokenizer.json")
             : Json{{"characters", text.size()}, {"hash", hex(hash(text))}};
}

Json model_facts(element model) {
  Json facts = Json::object();
  for (auto field : simdjson::dom::object(model)) {
    if (field.key == "vocab") {
      facts["vocab"] = vocabulary(field.value);
    } else if (field.key == "merges") {
      facts["merges"] = merges(field.value);
    } else {
      facts[std::string(field.key)] = part(field.value);
    }
  }
  return facts;
}

}  // namespace

Json tokenizer_facts(std::string_view text, const std::string& where) {
  constexpr std::array<std::string_view, 4> kParts = {
      "normalizer", "pre_tokenizer", "post_processor", "decoder"};
  try {
    simdjson::dom::parser parser;
    simdjson::dom::object document =
        parser.parse(simdjson::padded_string(text));
    Json facts = Json::object();
    for (auto field : document) {
      auto key = std::string(field.key);
      if (key == "model") {
        facts[key] = model_facts(field.value);
      } else if (key == "added_tokens") {
        facts[key] = added_tokens(field.value);
      } else if (std::ranges::find(kParts, key) != kParts.end()) {
        facts[key] = part(field.value);
      }
    }
    return facts;
  } catch (const simdjson::simdjson_error& error) {
    fail("tokenizer.malformed", where, "a tokenizer.json", error.what());
  }
}

}  // namespace assay
