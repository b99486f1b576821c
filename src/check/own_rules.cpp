#include "assay/check/own_rules.h"

#include <algorithm>
#include <cctype>
#include <set>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxFile = 1u << 20;
constexpr size_t kMaxRules = 1000;
constexpr size_t kMaxFindings = 8;  // of one rule
constexpr int kRulesVersion = 1;

/** Reads the fields of one file, and refuses what it does not know. */
class RulesReader {
 public:
  explicit RulesReader(std::string file) : file_(std::move(file)) {}

  OwnRules read(const Json& json) {
    if (!json.is_object() ||
        json.value("assay_rules", Json()) != kRulesVersion) {
      malformed(
          file_,
          fmt::format("an object with \"assay_rules\": {}", kRulesVersion),
          "another document");
    }
    known(json, file_, {"assay_rules", "about", "names", "rules"});
    OwnRules rules;
    rules.file = file_;
    rules.name = fs::path(file_).stem().string();
    rules.about = text(json, "about", file_);
    names(json, rules);
    auto list = json.value("rules", Json());
    if (!list.is_array() || list.empty() || list.size() > kMaxRules) {
      malformed(file_ + ": rules",
                fmt::format("a list of 1 to {} rules", kMaxRules),
                list.is_array() ? fmt::format("{}", list.size())
                                : std::string(list.type_name()));
    }
    std::set<std::string> ids;
    for (size_t i = 0; i < list.size(); ++i) {
      auto where = fmt::format("{}: rules[{}]", file_, i);
      auto one = rule(list[i], where);
      if (!ids.insert(one.id).second) {
        malformed(where + ".id", "an id of its own", quote(one.id));
      }
      rules.rules.push_back(std::move(one));
    }
    return rules;
  }

 private:
  [[noreturn]] static void malformed(const std::string& where,
                                     std::string expected,
                                     std::string actual) {
    fail("rules.malformed", where, std::move(expected), std::move(actual));
  }

  static void known(const Json& json,
                    const std::string& where,
                    std::initializer_list<std::string_view> names) {
    for (const auto& [key, value] : json.items()) {
      if (std::ranges::find(names, key) == names.end()) {
        std::string list;
        for (auto name : names) {
          list += fmt::format("{}{}", list.empty() ? "" : ", ", name);
        }
        malformed(where, "only " + list, quote(key));
      }
    }
  }

  static std::string text(const Json& json,
                          const char* name,
                          const std::string& where,
                          bool needed = false) {
    auto value = json.value(name, Json());
    if (value.is_string() && (!needed || !value.get<std::string>().empty())) {
      return value.get<std::string>();
    }
    if (needed || !value.is_null()) {
      malformed(fmt::format("{}.{}", where, name),
                "a text",
                value.is_null() ? "none" : value.type_name());
    }
    return "";
  }

  void names(const Json& json, OwnRules& rules) const {
    auto all = json.value("names", Json::object());
    if (!all.is_object()) {
      malformed(file_ + ": names", "an object of patterns", all.type_name());
    }
    for (const auto& [name, pattern] : all.items()) {
      rules.names[name] = text(all, name.c_str(), file_ + ": names", true);
    }
  }

  static Expression expression(const Json& json,
                               const char* name,
                               const std::string& where) {
    auto written = text(json, name, where, true);
    try {
      return Expression(written);
    } catch (const ExpressionError& error) {
      fail("rules.syntax",
           fmt::format("{}.{}: column {}", where, name, error.column),
           error.what(),
           quote(written));
    }
  }

  static OwnRule rule(const Json& json, const std::string& where) {
    if (!json.is_object()) {
      malformed(where, "an object", json.type_name());
    }
    known(
        json,
        where,
        {"id", "title", "severity", "when", "for", "check", "cause", "remedy"});
    OwnRule rule{.id = text(json, "id", where, true),
                 .title = text(json, "title", where),
                 .when = {},
                 .each = text(json, "for", where),
                 .check = expression(json, "check", where),
                 .cause = text(json, "cause", where),
                 .remedy = text(json, "remedy", where)};
    if (!std::ranges::all_of(rule.id, [](unsigned char c) {
          return std::isalnum(c) != 0 || c == '-' || c == '_';
        })) {
      malformed(where + ".id", "letters, digits, '-' and '_'", quote(rule.id));
    }
    if (!json.value("when", Json()).is_null()) {
      rule.when = expression(json, "when", where);
    }
    auto severity = text(json, "severity", where);
    if (severity == "warning") {
      rule.severity = Severity::warning;
    } else if (severity == "note") {
      rule.severity = Severity::note;
    } else if (!severity.empty() && severity != "error") {
      malformed(where + ".severity", "error, warning or note", quote(severity));
    }
    return rule;
  }

  std::string file_;
};

/** The rules of one file over one model. */
class RulesRun {
 public:
  RulesRun(const OwnRules& rules, const Profile& model)
      : rules_(rules), model_(model), view_(model) {}

  std::vector<Finding> run() {
    for (const auto& rule : rules_.rules) {
      one(rule);
    }
    return std::move(findings_);
  }

 private:
  Expression::Scope scope(const ModelView::Tensor* tensor = nullptr) const {
    return {view_, rules_.names, tensor};
  }

  void one(const OwnRule& rule) {
    const char* part = "when";
    std::vector<Finding> found;
    try {
      if (rule.when && !rule.when->holds(scope())) {
        return;
      }
      part = "check";
      if (rule.each.empty()) {
        hold(rule, nullptr, found);
      } else {
        for (const auto* tensor : view_.find(rule.each, rules_.names)) {
          hold(rule, tensor, found);
        }
      }
    } catch (const ExpressionError& error) {
      found.push_back(undecided(rule, part, error));
    }
    std::ranges::move(shorten(std::move(found), kMaxFindings),
                      std::back_inserter(findings_));
  }

  void hold(const OwnRule& rule,
            const ModelView::Tensor* tensor,
            std::vector<Finding>& found) const {
    if (rule.check.holds(scope(tensor))) {
      return;
    }
    Finding finding;
    finding.id = fmt::format("{}.{}", rules_.name, rule.id);
    finding.severity = rule.severity;
    finding.where = tensor == nullptr ? model_.source : tensor->name;
    finding.expected = rule.check.text();
    finding.actual = rule.check.sides(scope(tensor));
    finding.cause = !rule.cause.empty()   ? rule.cause
                    : !rule.title.empty() ? rule.title
                                          : "The rule does not hold.";
    finding.remedy =
        rule.remedy.empty() ? fmt::format("See {}.", rules_.file) : rule.remedy;
    found.push_back(std::move(finding));
  }

  // What cannot be told does not hold either.
  Finding undecided(const OwnRule& rule,
                    const char* part,
                    const ExpressionError& error) const {
    auto finding = make_finding(
        "rules.undecided",
        fmt::format(
            "{}: {}.{}: column {}", rules_.file, rule.id, part, error.column),
        error.what(),
        model_.source);
    finding.severity = rule.severity;
    return finding;
  }

  const OwnRules& rules_;
  const Profile& model_;
  ModelView view_;
  std::vector<Finding> findings_;
};

}  // namespace

OwnRules rules_from_text(std::string_view text, const std::string& file) {
  return RulesReader(file).read(parse_json(text, file));
}

OwnRules open_rules(const fs::path& file) {
  return rules_from_text(read_text(file, kMaxFile), file.string());
}

std::vector<Finding> run_rules(const OwnRules& rules, const Profile& model) {
  return RulesRun(rules, model).run();
}

std::vector<fs::path> own_checks(const fs::path& project) {
  std::vector<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator entry(project / kChecksFolder, error), end;
       !error && entry != end;
       entry.increment(error)) {
    if (entry->path().extension() == ".json") {
      found.push_back(entry->path());
    }
  }
  std::ranges::sort(found);
  return found;
}

std::vector<fs::path> own_checks_near(const fs::path& start) {
  try {
    return own_checks(project::find_project(start));
  } catch (const Error& error) {
    if (error.finding().id != "project.absent") {
      throw;
    }
    return {};
  }
}

ExtraStep rules_step(const fs::path& file) {
  return {fmt::format("rules: {}", file.stem().string()),
          [file](const fs::path& path, CheckStep& step) {
            auto rules = open_rules(file);
            auto model = profile_of(path);
            auto findings = run_rules(rules, model);
            step.detail = fmt::format("{} rule{} of {}",
                                      rules.rules.size(),
                                      rules.rules.size() == 1 ? "" : "s",
                                      file.string());
            return findings;
          }};
}

}  // namespace assay
