#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/measure/compare.h"

namespace assay {
namespace {

Json to_json(const std::vector<FieldDifference>& differences) {
  Json json = Json::array();
  for (const auto& [field, a, b] : differences) {
    json.push_back({{"field", field}, {"a", a}, {"b", b}});
  }
  return json;
}

Json to_json(const TokenizerComparison& tokenizer) {
  return {
      {"equal", tokenizer.equal()},
      {"present_a", tokenizer.present_a},
      {"present_b", tokenizer.present_b},
      {"size_a", tokenizer.size_a},
      {"size_b", tokenizer.size_b},
      {"different_tokens", tokenizer.different_tokens},
      {"examples", tokenizer.examples},
      {"special", to_json(tokenizer.special)},
      {"same_encoding", tokenizer.same_encoding},
      {"first_difference",
       tokenizer.first_difference ? Json(*tokenizer.first_difference) : Json()},
      {"same_template", tokenizer.same_template}};
}

Json to_json(const std::vector<ShapeDifference>& differences) {
  auto shape = [](const std::optional<Shape>& value) {
    return value ? Json(*value) : Json();
  };
  Json json = Json::array();
  for (const auto& [name, a, b] : differences) {
    json.push_back({{"name", name}, {"a", shape(a)}, {"b", shape(b)}});
  }
  return json;
}

Json to_json(const std::vector<WeightDifference>& weights) {
  Json json = Json::array();
  for (const auto& weight : weights) {
    json.push_back({{"name", weight.name},
                    {"stored_a", weight.stored_a},
                    {"stored_b", weight.stored_b},
                    {"rms_relative", weight.rms_relative},
                    {"max_abs", weight.max_abs},
                    {"cosine", weight.cosine}});
  }
  return json;
}

}  // namespace

Json to_json(const CompareReport& report) {
  Json logits;
  if (report.logits) {
    logits = to_json(report.logits->divergence);
    logits["tokens"] = report.logits->tokens;
    logits["text"] =
        report.logits->text.empty() ? Json() : Json(report.logits->text);
  }
  return {{"a", report.a.string()},
          {"b", report.b.string()},
          {"equal", report.equal()},
          {"architecture_a", report.architecture_a},
          {"architecture_b", report.architecture_b},
          {"config", to_json(report.config)},
          {"tokenizer", report.tokenizer ? to_json(*report.tokenizer) : Json()},
          {"shapes", to_json(report.shapes)},
          {"weights", to_json(report.weights)},
          {"equal_weights", report.equal_weights},
          {"logits", logits},
          {"findings", to_json(report.findings)}};
}

}  // namespace assay
