// new-check: a file of rules to begin with, and its place in test/README.md.

#include <fmt/format.h>

#include "assay/check/own_rules.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

constexpr std::string_view kDocument = "test/README.md";
constexpr size_t kMaxName = 64;

void expect_name(const std::string& name) {
  bool plain = !name.empty() && name.size() <= kMaxName &&
               name.find_first_not_of(
                   "abcdefghijklmnopqrstuvwxyz"
                   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789-_") == std::string::npos;
  if (!plain) {
    fail("rules.name",
         "NAME",
         fmt::format("1 to {} letters, digits, '-' and '_'", kMaxName),
         quote(name));
  }
}

Json rule(const std::string& id,
          const std::string& title,
          const std::string& check,
          std::string_view severity) {
  return {
      {"id", id}, {"title", title}, {"severity", severity}, {"check", check}};
}

// Rules that hold for most language models, to be replaced.
Json examples(std::string_view severity) {
  auto width = rule("embedding-width",
                    "The embedding is as wide as the config says",
                    "hidden_size == shape(embed)[1]",
                    severity);
  width["when"] = "exists(hidden_size) and exists(embed)";
  width["cause"] = "Config and weights are of two models.";
  width["remedy"] = "Take both from one place.";
  auto layers = rule("layers",
                     "As many layers as the config says",
                     "count(norm) == num_hidden_layers",
                     severity);
  layers["when"] = "exists(num_hidden_layers) and exists(norm)";
  auto types = rule("matrices-are-half",
                    "Matrices are stored in 16 bits",
                    "len(shape) != 2 or dtype in ['F16', 'BF16']",
                    "note");
  types["for"] = "*.weight";
  return Json::array({width, layers, types});
}

Json document_of(const NewCheckOptions& options) {
  auto severity = name(options.severity);
  Json rules = Json::array();
  for (size_t i = 0; i < options.rules.size(); ++i) {
    rules.push_back(
        rule(fmt::format("rule-{}", i + 1), "", options.rules[i], severity));
  }
  Json json = {{"assay_rules", 1}, {"about", ""}};
  if (rules.empty()) {
    json["about"] = "What these rules are for.";
    json["names"] = {{"embed", "*embed*.weight"},
                     {"norm", "*.layers.*.input_*norm.weight"}};
    rules = examples(severity);
  }
  json["rules"] = std::move(rules);
  return json;
}

std::vector<std::string> told(const OwnRules& rules, const std::string& file) {
  std::vector<std::string> lines = {fmt::format("### Check: {}", rules.name),
                                    ""};
  if (!rules.about.empty()) {
    for (const auto& line : project::split_lines(rules.about)) {
      lines.push_back(line);
    }
    lines.emplace_back();
  }
  lines.emplace_back("What it does, for each model that is checked:");
  lines.emplace_back();
  for (const auto& one : rules.rules) {
    auto text = fmt::format("- `{}` ({}){}: `{}`",
                            one.id,
                            name(one.severity),
                            one.title.empty() ? "" : ", " + one.title,
                            one.check.text());
    text +=
        one.each.empty() ? "" : fmt::format(" for each tensor `{}`", one.each);
    text += one.when ? fmt::format(", where `{}`", one.when->text()) : "";
    lines.push_back(std::move(text));
  }
  for (const auto* line :
       {"",
        "How to run it (in the project, check runs it by itself):",
        "",
        "```"}) {
    lines.emplace_back(line);
  }
  lines.push_back(fmt::format("assay check MODEL --headers --rules {}", file));
  lines.emplace_back("```");
  lines.emplace_back();
  lines.push_back(fmt::format(
      "A pass: the step `rules: {}` is `passed`, and the exit code is 0 where "
      "nothing else is found.",
      rules.name));
  return lines;
}

}  // namespace

NewCheck new_check(project::Store& store,
                   const std::string& name,
                   const NewCheckOptions& options) {
  expect_name(name);
  auto file = fmt::format("{}/{}.json", kChecksFolder, name);
  auto place = store.root() / file;
  NewCheck made;
  made.file = place;
  made.document = store.root() / kDocument;
  if (auto there = store.read(file)) {
    made.rules = rules_from_text(*there, place.string());
  } else {
    auto text = to_text(document_of(options));
    made.rules = rules_from_text(text, place.string());  // before it is written
    made.created = store.create(file, text);
  }
  store.edit(kDocument, [&](project::Document& document) {
    if (document.lines().empty()) {
      document.insert(0, {"# Tests"});
    }
    document.set_block("check-" + name, told(made.rules, file));
  });
  return made;
}

Json to_json(const NewCheck& made) {
  Json rules = Json::array();
  for (const auto& one : made.rules.rules) {
    rules.push_back({{"id", made.rules.name + "." + one.id},
                     {"severity", name(one.severity)},
                     {"check", one.check.text()}});
  }
  return {{"file", made.file.string()},
          {"document", made.document.string()},
          {"created", made.created},
          {"rules", std::move(rules)}};
}

}  // namespace assay
