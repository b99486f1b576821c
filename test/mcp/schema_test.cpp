#include "assay/mcp/schema.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace assay;
using mcp::schema_violation;

namespace {

bool fits(const char* value, const char* schema) {
  return schema_violation(Json::parse(value), Json::parse(schema)).empty();
}

}  // namespace

TEST_CASE("arguments are held to their schema") {
  struct Case {
    const char* schema;
    const char* right;
    const char* wrong;
  };
  for (const auto& one : {
           Case{R"({"type": "string"})", R"("a")", "1"},
           Case{R"({"type": "integer"})", "2.0", "2.5"},
           Case{R"({"type": "integer"})", "-3", "1e300"},
           Case{R"({"type": ["string", "null"]})", "null", "[]"},
           Case{R"({"minimum": 1, "maximum": 3})", "3", "4"},
           Case{R"({"enum": [2, 4]})", "4", "3"},
           Case{R"({"type": "string", "minLength": 1})", R"("a")", R"("")"},
           Case{R"({"required": ["a"]})", R"({"a": 1})", "{}"},
           Case{R"({"additionalProperties": false})", "{}", R"({"b": 1})"},
           Case{R"({"properties": {"a": {"type": "string"}}})",
                R"({"a": "x", "b": 1})",
                R"({"a": 1})"},
           Case{R"({"items": {"type": "string"}, "maxItems": 2})",
                R"(["a"])",
                R"(["a", 1])"},
       }) {
    CAPTURE(one.schema);
    CHECK(fits(one.right, one.schema));
    CHECK_FALSE(fits(one.wrong, one.schema));
  }
}

TEST_CASE("a violation names the place") {
  CHECK(
      schema_violation(
          Json::parse(R"({"list": ["a", 7]})"),
          Json::parse(
              R"({"properties": {"list": {"items": {"type": "string"}}}})")) ==
      "arguments.list[1] must be \"string\", not number");
}
