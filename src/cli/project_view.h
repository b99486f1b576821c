#pragma once

// What the verbs of a project share: how outcomes look, and which are bad.

#include "assay/cli/memory.h"
#include "assay/cli/output.h"
#include "assay/project/diagnostics.h"

namespace assay::cli {

/** "passed  documents  0.1 s"; with `details` the last lines that a failing one
 * printed, too. */
void print_result(const project::DiagnosticResult& result,
                  Output& output,
                  bool details = true);

/** True for failed and timed out. */
bool is_bad(const project::DiagnosticResult& result);

}  // namespace assay::cli
