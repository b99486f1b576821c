#pragma once

// Settings: what assay.toml says of a project. People write it; Assay reads
// it and never changes it. A key it does not know is a finding, not an error:
// a newer Assay may have written it.

#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/project/store.h"

namespace assay::project {

constexpr std::string_view kSettingsFile = "assay.toml";

struct ModelSetting {
  std::string name, path;
  int line = 1;
};

struct DiagnosticSetting {
  std::string name, purpose;
  std::string command;             ///< as text, for the shell if it needs one
  std::vector<std::string> words;  ///< as an array: never through a shell
  bool slow = false;
  int seconds = 0;  ///< 0: the limit of its kind
  int line = 1;
};

struct Settings {
  std::string name;  ///< empty: the folder's
  std::string kind;  ///< llm, vlm, image, ml, or empty
  std::vector<ModelSetting> models;
  std::vector<DiagnosticSetting> diagnostics;
  double regression_percent = 5;  ///< worse by more than this is a regression
  int quick_seconds = 20;         ///< the limit of a quick diagnostic
  int slow_seconds = 600;         ///< and of a slow one
  /** What scripts may be called; `*` stands for any letters. */
  std::vector<std::string> script_names = {
      "convert_*", "test_*", "validate_*", "check_*"};
  std::vector<Finding> findings;  ///< keys not known
};

/** Without the file: the values above. Throws Error settings.malformed. */
Settings read_settings(const Store& store);

}  // namespace assay::project
