#pragma once

// Reports of check for other programs: CI servers (JUnit), code scanning
// (SARIF), documents (Markdown). The same findings as on a terminal.

#include <span>
#include <string>

#include "assay/check/check.h"

namespace assay {

/** JUnit XML as CI servers read it: a test suite a model, a test case a step;
 * errors and warnings are failures, a skipped step is skipped. An undecided
 * model ends with a test case "verdict" in error. */
std::string to_junit(std::span<const CheckReport> reports);

/** A SARIF 2.1.0 log with one run (OASIS, Static Analysis Results Interchange
 * Format): rules are the catalogue entries that were found, levels are error,
 * warning and note. `version` is the program's. */
Json to_sarif(std::span<const CheckReport> reports, std::string_view version);

/** An item of a list, and below it the cause and the remedy. */
std::string to_markdown(const Finding& finding);

/** A block a model for reference/DIAGNOSTICS.md: verdict, steps, findings. */
std::string to_markdown(std::span<const CheckReport> reports);

}  // namespace assay
