#pragma once

// --record: what a verb found or measured goes into the project's memory.

#include <functional>
#include <optional>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/record/record.h"

namespace assay::cli {

/** The option --record. */
Option record_option();

class Recording {
 public:
  /** Where --record was given: opens the project around the current folder.
   * Throws Error project.absent, so before the work begins. */
  explicit Recording(const Arguments& arguments);

  /** Calls `write` if --record was given, and says on standard error what was
   * written. Returns `code`, or kFindings where something could not be. */
  int keep(Output& output,
           int code,
           const std::function<RecordReport(const RecordTarget&)>& write);

 private:
  std::optional<project::Store> store_;
  std::string command_;
};

}  // namespace assay::cli
