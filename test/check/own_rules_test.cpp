// A user's own checks: the language, its limits and its findings.

#include "assay/check/own_rules.h"

#include <algorithm>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/check/report_formats.h"

#include "../inspect/model_copy.h"

using namespace assay;
using assay::testing::ModelCopy;
namespace fs = std::filesystem;

namespace {

const std::map<std::string, std::string> kNames = {
    {"embed", "*embed_tokens.weight"}};

struct OwnRulesLlama : ModelCopy {
  OwnRulesLlama()
      : ModelCopy("llama"), profile(profile_of(path)), view(profile) {}

  Json value(const std::string& text) const {
    return Expression(text).value({view, kNames});
  }
  Profile profile;
  ModelView view;
};

size_t column_of(const std::string& text) {
  try {
    Expression expression(text);
  } catch (const ExpressionError& error) {
    return error.column;
  }
  return 0;
}

Finding refused(const std::string& json) {
  try {
    rules_from_text(json, "own.json");
  } catch (const Error& error) {
    return error.finding();
  }
  return {};
}

std::string rules_with(const std::string& check, const std::string& more = "") {
  return Json{
      {"assay_rules", 1},
      {"names", kNames},
      {"rules",
       Json::array({parse_json(
           fmt::format(
               R"({{"id": "one", "check": {}{}}})", Json(check).dump(), more),
           "rule")})}}
      .dump();
}

std::vector<Finding> run(const OwnRulesLlama& model,
                         const std::string& check,
                         const std::string& more = "") {
  return run_rules(rules_from_text(rules_with(check, more), "own.json"),
                   model.profile);
}

}  // namespace

TEST_CASE("expressions over fields, shapes, types and counts") {
  OwnRulesLlama model;
  for (const auto* holds :
       {"hidden_size == shape(embed)[1]",
        "shape(embed) == [vocab_size, hidden_size]",
        "shape(\"lm_head.weight\")[0] == 256",
        "shape(lm_head.weight)[-1] == 64",
        "count(model.layers.*.input_layernorm.weight) == num_hidden_layers",
        "count(\"*\", len(shape) == 2) == 1 + 7 * num_hidden_layers + 1",
        "all(*norm.weight, len(shape) == 1 and shape[0] == hidden_size)",
        "any(*, name == 'lm_head.weight')",
        "not any(*, dtype == \"BF16\")",
        "dtype(embed) in ['F32', 'F16']",
        "exists(rope_parameters.rope_theta)",
        "exists(lm_head.weight) and not exists(no_such_field)",
        "rope_parameters.rope_theta >= 1000 and rope_parameters.rope_type == "
        "'default'",
        "architectures[0] == 'LlamaForCausalLM'",
        "'LlamaForCausalLM' in architectures",
        "model_type == \"llama\" || false",
        "head_dim * num_attention_heads == hidden_size && true",
        "hidden_size / num_attention_heads == head_dim",
        "7 // 2 == 3 and -7 // 2 == -4 and -7 % 3 == 2 and 7 % 3 == 1",
        "1 + 2 * 3 == 7 and (1 + 2) * 3 == 9 and -2 + 2 == 0",
        "1 < 2 <= 2 < 3",
        "!(1 > 2) and not 1 == 2",
        "min(3, 1, 2) == 1 and max([4, 5]) == 5 and sum(shape(embed)) == 320",
        "abs(-2.5) == 2.5 and floor(2.5) == 2 and len('abc') == 3",
        "elements(embed) == 256 * 64",
        "starts_with(model_type, 'll') and ends_with(model_type, 'ma')",
        "contains(architectures, 'LlamaForCausalLM')",
        "field('generation_config.json', 'eos_token_id') == eos_token_id",
        "tie_word_embeddings == false",
        "all(model.layers.*.weight, layer < num_hidden_layers)",
        "'a' + 'b' == 'ab'"}) {
    CAPTURE(holds);
    CHECK(model.value(holds) == true);
  }
  CHECK(model.value("hidden_size == 65") == false);
  CHECK(model.value("1 < 2 < 2") == false);
}

TEST_CASE("a syntax error tells its column") {
  CHECK(column_of("hidden_size = 3") == 13);
  CHECK(column_of("hidden_size == ") == 16);
  CHECK(column_of("") == 1);
  CHECK(column_of("(1 + 2") == 7);
  CHECK(column_of("1 +* 2") == 4);
  CHECK(column_of("nothing(1)") == 1);
  CHECK(column_of("1 2") == 3);
  CHECK(column_of("'abc") == 1);
  CHECK(column_of("shape()") == 7);
  CHECK(column_of("all(*)") == 6);
  CHECK(column_of("3x") == 2);
  CHECK(column_of("a @ b") == 3);
  CHECK(column_of("a ==== b") == 5);
  auto finding = refused(rules_with("hidden_size = 3"));
  CHECK(finding.id == "rules.syntax");
  CHECK(finding.where == "own.json: rules[0].check: column 13");
}

TEST_CASE("expressions are bounded") {
  CHECK(column_of(std::string(100, '(') + "1" + std::string(100, ')')) > 0);
  CHECK(column_of(std::string(5000, '1')) > 0);
  std::string chain = "1";
  for (int i = 0; i < 1000; ++i) {
    chain += "+1";
  }
  CHECK(column_of(chain) > 0);
  std::string nots;
  for (int i = 0; i < 1000; ++i) {
    nots += "not ";
  }
  CHECK(column_of(nots + "true") == 0);  // a loop, not a depth
}

TEST_CASE("what has no value does not hold") {
  OwnRulesLlama model;
  for (const auto* text : {"no_such_field == 3",
                           "shape(no_such_tensor)[0] == 1",
                           "shape(embed)[2] == 1",
                           "shape(*.weight) == [1]",
                           "model_type < 3",
                           "hidden_size / 0 == 1",
                           "hidden_size",
                           "not hidden_size",
                           "field('no.json', 'x') == 1",
                           "len() == 0"}) {
    CAPTURE(text);
    auto findings = run(model, text);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].id == "rules.undecided");
    CHECK(findings[0].severity == Severity::error);
  }
  CHECK(
      run(model, "no_such_field == 3", R"x(, "when": "exists(no_such_field)")x")
          .empty());
}

TEST_CASE("a rule that does not hold is a finding with both sides") {
  OwnRulesLlama model;
  CHECK(run(model, "hidden_size == shape(embed)[1]").empty());
  auto findings =
      run(model,
          "model_type == 'llama' and hidden_size == shape(embed)[0]",
          R"(, "severity": "warning", "cause": "C", "remedy": "R")");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].id == "own.one");
  CHECK(findings[0].severity == Severity::warning);
  CHECK(findings[0].actual == "hidden_size = 64, shape(embed)[0] = 256");
  CHECK(findings[0].cause == "C");
  CHECK(findings[0].remedy == "R");
  findings = run(model, "len(shape) == 1", R"(, "for": "lm_head.weight")");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].where == "lm_head.weight");
  CHECK(findings[0].actual == "len(shape) = 2");
}

TEST_CASE("a file of rules is read strictly") {
  CHECK(refused("[]").id == "rules.malformed");
  CHECK(refused(R"({"assay_rules": 2, "rules": []})").id == "rules.malformed");
  CHECK(refused(R"({"assay_rules": 1, "rules": []})").id == "rules.malformed");
  CHECK(refused("{").id == "json.malformed");
  CHECK(refused(rules_with("true", R"(, "sevrity": "error")")).id ==
        "rules.malformed");
  CHECK(refused(rules_with("true", R"(, "severity": "bad")")).id ==
        "rules.malformed");
  CHECK(refused(rules_with("true", R"(, "when": 3)")).id == "rules.malformed");
}

TEST_CASE("check runs own rules as a step, and every report shows them") {
  OwnRulesLlama model;
  auto file = model.path / "house.json";
  model.write("house.json", rules_with("hidden_size == 65"));
  CheckOptions options;
  options.headers_only = true;
  options.extra.push_back(rules_step(file));
  auto report = check(model.path, options);
  CHECK(report.steps.back().name == "rules: house");
  CHECK(report.verdict == Verdict::findings);
  CHECK(report.findings.back().id == "house.one");
  CHECK(to_sarif(std::vector{report}, "1").dump().find("house.one") !=
        std::string::npos);
  CHECK(to_junit(std::vector{report}).find("house.one") != std::string::npos);
  model.write("house.json", "{}");
  CHECK(check(model.path, options).findings.back().id == "rules.malformed");
}

TEST_CASE("new-check writes a check that runs, and tells of it") {
  OwnRulesLlama model;
  auto folder = model.path / "project";
  fs::create_directories(folder);
  project::Store store(folder);
  auto made = new_check(store, "house");
  CHECK(made.created);
  CHECK(own_checks(folder) == std::vector{folder / "checks" / "house.json"});
  auto findings = run_rules(open_rules(made.file), model.profile);
  for (const auto& finding : findings) {
    CAPTURE(to_line(finding));
    CHECK(finding.severity == Severity::note);  // the golden model is float32
  }
  auto told = read_text(folder / "test/README.md");
  CHECK(told.find("hidden_size == shape(embed)[1]") != std::string::npos);
  CHECK(told.find("assay check MODEL --headers --rules checks/house.json") !=
        std::string::npos);
  CHECK(told.find("A pass: ") != std::string::npos);
  // Edited by hand, the document follows, and the rest of it stays.
  write_text(made.file, rules_with("vocab_size > 0"));
  write_text(folder / "test/README.md", "# Ours\n\nText.\n" + told);
  CHECK(!new_check(store, "house").created);
  told = read_text(folder / "test/README.md");
  CHECK(told.find("`vocab_size > 0`") != std::string::npos);
  CHECK(told.find("shape(embed)") == std::string::npos);
  CHECK(told.starts_with("# Ours\n\nText.\n"));
  NewCheckOptions options{.rules = {"hidden_size % 8 == 0", "1 = 2"}};
  CHECK_THROWS_AS(new_check(store, "other", options), Error);
  CHECK(!fs::exists(folder / "checks/other.json"));
  CHECK_THROWS_AS(new_check(store, "../out"), Error);
}
