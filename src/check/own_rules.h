#pragma once

// Checks of the user's own: JSON files of rules over configs and tensors, kept
// in a project's `checks` folder, run by check as a step each.
// reference/DIAGNOSTICS.md has the format.

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/check/check.h"
#include "assay/check/expression.h"
#include "assay/core/finding.h"
#include "assay/project/store.h"

namespace assay {

/** The folder of own checks in a project. */
constexpr std::string_view kChecksFolder = "checks";

struct OwnRule {
  std::string id;  ///< "embedding-width"; a finding's is "FILE.embedding-width"
  std::string title;
  Severity severity = Severity::error;
  std::optional<Expression> when;  ///< where it does not hold, no rule
  std::string each;  ///< "for": a pattern; `check` holds for each such tensor
  Expression check;
  std::string cause, remedy;
};

struct OwnRules {
  std::string name;  ///< of the file
  std::string file;  ///< as given
  std::string about;
  std::map<std::string, std::string> names;  ///< for patterns
  std::vector<OwnRule> rules;
};

/** Throws Error json.*, file.*, rules.malformed, and rules.syntax with the
 * column in an expression. */
OwnRules open_rules(const std::filesystem::path& file);
OwnRules rules_from_text(std::string_view text, const std::string& file);

/** Findings of the rules that do not hold; rules.undecided for one that has
 * no value for this model. */
std::vector<Finding> run_rules(const OwnRules& rules, const Profile& model);

/** The rule files of a project, sorted; none where there is no folder. */
std::vector<std::filesystem::path> own_checks(
    const std::filesystem::path& project);
/** Those of the project that `start` lies in; none outside of one. */
std::vector<std::filesystem::path> own_checks_near(
    const std::filesystem::path& start);

/** A step "rules: NAME" of check. What is wrong with the file is a finding of
 * that step. */
ExtraStep rules_step(const std::filesystem::path& file);

struct NewCheckOptions {
  std::vector<std::string> rules;  ///< expressions; empty: examples
  Severity severity = Severity::error;
};

struct NewCheck {
  std::filesystem::path file;      ///< checks/NAME.json
  std::filesystem::path document;  ///< test/README.md
  bool created = false;            ///< false: the file was there and was kept
  OwnRules rules;
};

/** Writes checks/NAME.json, and what it does, how to run it and what a pass
 * looks like into test/README.md. A file that is there is kept, and told of
 * anew: so the document follows an edited file. Throws Error rules.name,
 * rules.*, project.*. */
NewCheck new_check(project::Store& store,
                   const std::string& name,
                   const NewCheckOptions& options = {});

Json to_json(const NewCheck& made);

}  // namespace assay
