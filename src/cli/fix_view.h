#pragma once

// check --fix: what it would change, what it left and why, and the result.

#include "assay/check/check.h"
#include "assay/cli/arguments.h"
#include "assay/cli/output.h"

namespace assay::cli {

/** Runs `check MODEL --fix`; the exit code of the check of the result. */
int run_fix(const Arguments& arguments,
            const CheckOptions& options,
            Output& output);

}  // namespace assay::cli
