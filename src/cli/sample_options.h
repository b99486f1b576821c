#pragma once

// The text or ids that a model is measured on, as options.

#include <vector>

#include "assay/cli/arguments.h"
#include "assay/measure/text_sample.h"

namespace assay::cli {

/** --text, --file, --tokens, --max-tokens (by default `fallback`). */
std::vector<Option> sample_option_table(std::string_view fallback);

/** Throws UsageError for ids that are no numbers, Error file.unreadable. */
SampleOptions sample_options(const Arguments& arguments);

}  // namespace assay::cli
