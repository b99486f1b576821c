// One value changes, every other byte stays.

#include "assay/core/json_edit.h"

#include <stdexcept>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/unified_diff.h"

using namespace assay;

namespace {

using Path = std::vector<std::string>;

constexpr std::string_view kText =
    "{\n"
    "  \"a\": 1e-05,\n"
    "  \"b\" : {\"c\": [1, 2,  3], \"d\": \"}\\\"\"},\n"
    "  \"e\": -Infinity\n"
    "}\n";

std::string with(std::string_view from, std::string_view to) {
  std::string text(kText);
  auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a value is replaced where it stands") {
  CHECK(set_json_value(kText, Path{"a"}, 2) == with("1e-05", "2"));
  CHECK(set_json_value(kText, Path{"b", "c", "2"}, 7) == with("  3]", "  7]"));
  CHECK(set_json_value(kText, Path{"b", "d"}, "x") ==
        with("\"}\\\"\"", "\"x\""));
  CHECK(set_json_value(kText, Path{"e"}, 0) == with("-Infinity", "0"));
}

TEST_CASE("a member is added after the last, written like the others") {
  CHECK(set_json_value(kText, Path{"f"}, true) ==
        with("-Infinity\n", "-Infinity,\n  \"f\": true\n"));
  CHECK(set_json_value(kText, Path{"b", "x"}, 1) ==
        with("\"}\\\"\"}", "\"}\\\"\", \"x\": 1}"));
  CHECK(set_json_value("{}", Path{"a"}, 1) == "{\"a\": 1}");
  CHECK(set_json_value("{\"a\":1}", Path{"b"}, 2) == "{\"a\":1,\"b\":2}");
  CHECK(set_json_value("{\n  \"a\": {}\n}", Path{"a", "b"}, Json::array({1})) ==
        "{\n  \"a\": {\n    \"b\": [\n      1\n    ]\n  }\n}");
  CHECK_THROWS_AS(set_json_value(kText, Path{"x", "y"}, 1),
                  std::invalid_argument);
  CHECK_THROWS_AS(set_json_value(kText, Path{"a", "y"}, 1),
                  std::invalid_argument);
}

TEST_CASE("a member is removed with its comma") {
  CHECK(remove_json_value(kText, Path{"a"}) == with("\"a\": 1e-05,\n  ", ""));
  CHECK(remove_json_value(kText, Path{"e"}) ==
        with(",\n  \"e\": -Infinity", ""));
  CHECK(remove_json_value("{\"a\": 1}", Path{"a"}) == "{}");
  CHECK(remove_json_value(kText, Path{"x"}) == kText);
  CHECK(remove_json_value(kText, Path{"b", "c"}) ==
        with("\"c\": [1, 2,  3], ", ""));
}

TEST_CASE("keys are compared as what they mean") {
  CHECK(set_json_value("{\"\\u0061\": 1}", Path{"a"}, 2) == "{\"\\u0061\": 2}");
}

// Written by hand; `diff -u` of GNU diffutils 3.8 printed the same for three of
// the cases when asked afterwards.
TEST_CASE("a unified diff shows changes with three lines around them") {
  CHECK(unified_diff("a\n", "a\n", {"x", "y"}).empty());
  CHECK(unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n",
                     "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n",
                     {"a/f", "b/f"}) ==
        "--- a/f\n+++ b/f\n"
        "@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
        "@@ -12,3 +12,4 @@\n 12\n 13\n 14\n+15\n");
  CHECK(unified_diff("", "a\nb\n", {"/dev/null", "b/f"}) ==
        "--- /dev/null\n+++ b/f\n@@ -0,0 +1,2 @@\n+a\n+b\n");
  CHECK(unified_diff("a", "a\n", {"a/f", "b/f"}) ==
        "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n"
        "+a\n");
}
