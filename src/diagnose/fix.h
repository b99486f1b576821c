#pragma once

// check --fix: repairs what the files prove, shown as a diff before anything
// is written. The result is a new folder, or the model itself with a backup
// inside; weights are never written to. Then the result is checked again.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "assay/check/check.h"
#include "assay/core/json.h"
#include "assay/diagnose/repairs.h"

namespace assay {

struct FixOptions {
  enum class Write {
    nothing,   ///< the diff alone
    folder,    ///< a new folder, `out`
    in_place,  ///< the model itself; what it replaces is kept in a backup
  };
  Write write = Write::nothing;
  /** Empty: beside the model, with "-fixed" after its name. */
  std::filesystem::path out = {};
  /** How the model and the result are checked. */
  CheckOptions check = {};
  /** Sees the report when all is planned and nothing is written yet. */
  std::function<void(const struct FixReport&)> before_writing = {};
};

struct FixReport {
  std::filesystem::path path;
  CheckReport before;
  std::vector<FileChange> changes;
  std::vector<Untouched> untouched;  ///< errors and warnings that stay, and why
  /** Where the repaired model lies; empty where nothing was written. */
  std::filesystem::path result;
  std::filesystem::path backup;  ///< of a repair in place
  /** Of the result; where nothing was written, of what it would be. */
  CheckReport after;
  /** Of the errors, warnings and notes before: those that are no more. */
  std::vector<Finding> gone;
  /** Those after that were not there before (seen only now that others no
   * longer hide them). */
  std::vector<Finding> fresh;
};

/** Plans repairs, at most as many rounds as repairs uncover new findings, and
 * writes as asked. A file by itself, which holds its settings inside, gets its
 * findings back untouched. Throws Error fix.*, file.*. */
FixReport fix(const std::filesystem::path& model,
              const FixOptions& options = {});

/** All changes as one unified diff. */
std::string diff_of(const FixReport& report);

Json to_json(const FixReport& report);

}  // namespace assay
