// What other programs read of a check: each format by its own rules.

#include "assay/check/report_formats.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace assay;

namespace {

CheckReport spoiled() {
  CheckReport report;
  report.path = "models/my \"model\"";
  report.architecture = "llama";
  report.verdict = Verdict::findings;
  report.steps = {{"files", CheckStep::Outcome::passed, "3 tensors", 0.25, 1},
                  {"tensors", CheckStep::Outcome::findings, "", 0.5, 1},
                  {"inference", CheckStep::Outcome::skipped, "a < b", 0, 0}};
  report.findings = {
      make_finding("tokenizer.vocab-padding", "a", "1 row", "2 rows"),
      make_finding("shape.mismatch", "x|y\x01", "(64)", "(32) & more")};
  return report;
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("JUnit: a suite a model, a case a step, failures with their id") {
  auto report = spoiled();
  auto text = to_junit({&report, 1});
  CHECK(contains(text,
                 R"(<testsuite name="models/my &quot;model&quot;" )"
                 R"(tests="3" failures="1" errors="0" skipped="1")"));
  CHECK(contains(text, R"(name="files" time="0.250"/>)"));
  CHECK(contains(text, R"(<failure type="shape.mismatch")"));
  CHECK(contains(text, "(32) &amp; more"));
  CHECK(contains(text, R"(<skipped message="a &lt; b"/>)"));
  CHECK_FALSE(contains(text, "\x01"));
  CHECK_FALSE(contains(text, "tokenizer.vocab-padding"));  // a note
}

TEST_CASE("JUnit: what could not be decided is not a pass") {
  CheckReport report;
  report.path = "m";
  report.verdict = Verdict::undecided;
  CHECK(contains(to_junit({&report, 1}), R"(errors="1")"));
}

TEST_CASE("SARIF: results point at their rules and at an escaped URI") {
  auto report = spoiled();
  auto log = to_sarif({&report, 1}, "1.2.3");
  CHECK(log["version"] == "2.1.0");
  const auto& run = log["runs"][0];
  const auto& driver = run["tool"]["driver"];
  CHECK(driver["version"] == "1.2.3");
  REQUIRE(run["results"].size() == 2);
  for (const auto& result : run["results"]) {
    auto index = result["ruleIndex"].get<size_t>();
    CHECK(driver["rules"][index]["id"] == result["ruleId"]);
  }
  CHECK(run["results"][0]["level"] == "note");
  CHECK(run["results"][1]["level"] == "error");
  CHECK(run["results"][1]["locations"][0]["physicalLocation"]
           ["artifactLocation"]["uri"] == "models/my%20%22model%22");
}

TEST_CASE("Markdown: one line a step, and names cannot break the table") {
  auto report = spoiled();
  auto text = to_markdown({&report, 1});
  CHECK(contains(text, "Verdict: **findings**, architecture llama"));
  CHECK(contains(text, "| tensors | findings |  |\n"));
  CHECK(contains(text, "at x\\|y : expected (64)"));
}
