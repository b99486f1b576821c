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

TEST_CASE("what readers disagree on is refused") {
  CHECK(id_of(R"({"a": 1, "a": 2})") == "json.duplicate-key");
  CHECK(id_of(R"({"a": {"b": 1}, "c": {"b": 2}})") == "");
  CHECK(id_of("{\"a\": 1") == "json.malformed");
  CHECK(id_of("1 2") == "json.malformed");
  CHECK(id_of(std::string(200, '[') + std::string(200, ']')) ==
        "json.too-deep");
}
