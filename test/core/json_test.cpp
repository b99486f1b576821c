#include "assay/core/json.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"

using namespace assay;

namespace {
std::string id_of(const std::string& text) {
  try {
    parse_json(text, "test.json");
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "";
}
}  // namespace

TEST_CASE("order is kept") {
  CHECK(parse_json(R"({"b": 1, "a": [2]})", "x").dump() ==
        R"({"b":1,"a":[2]})");
}

TEST_CASE("values are those of nlohmann's own parser") {
  constexpr auto kText =
      R"([null, true, -3, 18446744073709551615, 1.5e-3, "é\n", {},
          {"a": [], "b": {"c": [[1], {"d": "x"}]}, "": 0}])";
  CHECK(parse_json(kText, "x") == Json::parse(kText));
  CHECK(parse_json("7", "x") == 7);
}

TEST_CASE("what readers disagree on is refused") {
  CHECK(id_of(R"({"a": 1, "a": 2})") == "json.duplicate-key");
  CHECK(id_of(R"({"a": {"b": 1}, "c": {"b": 2}})") == "");
  CHECK(id_of("{\"a\": 1") == "json.malformed");
  CHECK(id_of("1 2") == "json.malformed");
  CHECK(id_of("") == "json.malformed");
  CHECK(id_of("[1e999]") == "json.malformed");
  CHECK(id_of("[\"\xff\"]") == "json.malformed");
  CHECK(id_of(std::string(128, '[') + std::string(128, ']')) == "");
  CHECK(id_of(std::string(129, '[') + std::string(129, ']')) ==
        "json.too-deep");
  CHECK(id_of(std::string(200, '[') + std::string(200, ']')) ==
        "json.too-deep");
}
