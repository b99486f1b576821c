// Files made to break a reader: each is refused with a finding, in bounded
// time and memory.

#include <doctest/doctest.h>

#include "assay/core/finding.h"
#include "assay/text/chat_template.h"
#include "assay/text/tokenizer.h"

#include "golden.h"

using assay::Error;
using assay::Json;
using assay::Tokenizer;

namespace {

std::string tokenizer_finding(std::string_view json) {
  try {
    Tokenizer::from_json(json, "x.json");
  } catch (const Error& error) {
    CHECK(error.finding().where == "x.json");
    CHECK(!error.finding().actual.empty());
    return error.finding().id;
  }
  return "";
}

std::string template_finding(const std::string& source) {
  try {
    assay::render_chat(source, Json::array(), {});
  } catch (const Error& error) {
    CHECK(!error.finding().actual.empty());
    return error.finding().id;
  }
  return "";
}

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) {
    out += text;
  }
  return out;
}

}  // namespace

TEST_CASE("tokenizer.json that is none") {
  auto whole = assay::read_text(golden::folder("gpt2") / "tokenizer.json");
  for (std::string json : {std::string(),
                           std::string("{}"),
                           std::string("[]"),
                           std::string("\xFF\xFE"),
                           std::string("{\"model\":"),
                           whole.substr(0, whole.size() / 2),
                           repeat("[", 100000),
                           repeat("{\"model\":", 100000)}) {
    CAPTURE(json.substr(0, 40));
    CHECK(tokenizer_finding(json) == "tokenizer.malformed");
  }
}

TEST_CASE("tokenizer.json with parts that cannot work") {
  auto json = golden::cases("gpt2");  // any object to overwrite
  json = assay::parse_json(
      assay::read_text(golden::folder("gpt2") / "tokenizer.json"), "gpt2");
  auto with = [&](const char* pointer, Json value) {
    auto copy = json;
    copy[Json::json_pointer(pointer)] = std::move(value);
    return tokenizer_finding(copy.dump());
  };
  CHECK(with("/model/vocab/!", 4294967295u) == "tokenizer.malformed");
  CHECK(with("/model/vocab/!", 16777216) == "tokenizer.malformed");
  CHECK(with("/model/vocab/!", -1) == "tokenizer.malformed");
  CHECK(with("/model/vocab/!", 1e300) == "tokenizer.malformed");
  CHECK(with("/model/merges", {{"no", "such"}}) == "tokenizer.malformed");
  CHECK(with("/model/type", "None") == "tokenizer.malformed");
  CHECK(with("/normalizer",
             {{"type", "Precompiled"},
              {"precompiled_charsmap", "AAAA/////w=="}}) ==
        "tokenizer.malformed");
  CHECK(with("/pre_tokenizer",
             {{"type", "Split"},
              {"pattern", {{"Regex", "("}}},
              {"behavior", "Isolated"},
              {"invert", false}}) == "tokenizer.malformed");
  CHECK(with("/pre_tokenizer",
             {{"type", "Split"},
              {"pattern", {{"Regex", repeat("(", 50000) + repeat(")", 50000)}}},
              {"behavior", "Isolated"},
              {"invert", false}}) == "tokenizer.malformed");
}

TEST_CASE("text that is not UTF-8 is refused") {
  auto tokenizer = golden::tokenizer("gpt2");
  CHECK_THROWS_AS(tokenizer.encode("a\xFF"), Error);
  CHECK(!tokenizer.token_to_id("\xFF"));
}

TEST_CASE("templates that ask for too much") {
  std::string doubling = "{% set n = namespace(x=";
  std::string loop = ") %}{% for i in range(99) %}{% set n.x = ";
  for (const auto& source : {
           std::string("{% for i in range(10**9) %}{% endfor %}"),
           std::string("{% for i in range(99999) %}{% for j in range(99999) %}"
                       "{% endfor %}{% endfor %}"),
           std::string("{{ 'a' * 10**10 }}"),
           std::string("{{ [1] * 10**10 }}"),
           doubling + "'a'" + loop + "n.x + n.x %}{% endfor %}",
           doubling + "[1]" + loop +
               "[n.x, n.x] %}{% endfor %}{{ n.x|tojson }}",
           std::string("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"),
           std::string("{{ '%1000000000s'|format('x') }}"),
           std::string("{{ 'a'.center(10**9) }}"),
           std::string("{% set a = 'a' * 10**6 %}{{ a.replace('a', a) }}"),
           "{{ " + repeat("(", 100000),
           repeat("{% if true %}", 100000),
       }) {
    CAPTURE(source.substr(0, 80));
    CHECK(template_finding(source) == "template.failed");
  }
}

TEST_CASE("a vocabulary whose pieces are too long to cut") {
  assay::GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", assay::gguf_text("llama"));
  metadata.set("tokenizer.ggml.tokens",
               assay::gguf_texts({"<unk>", "a", std::string(100000, 'a')}));
  metadata.set("tokenizer.ggml.scores", assay::gguf_f32s({0, 0, -1}));
  try {
    tokenizer_json_from_gguf(metadata, "x.gguf");
    FAIL("it was taken");
  } catch (const Error& error) {
    CHECK(error.finding().id == "tokenizer.malformed");
    CHECK(error.finding().actual == "100000 bytes");
  }
}
