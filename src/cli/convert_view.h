#pragma once

// What convert and quantize share: how a conversion's report is shown, and the
// options that say how to quantize.

#include <string_view>
#include <vector>

#include "assay/cli/command.h"
#include "assay/cli/output.h"
#include "assay/convert/convert.h"

namespace assay::cli {

void print(const ConvertReport& report, Output& output);

/** --bits, --group-size, --mode, --recipe. */
std::vector<Option> quantization_options(std::string_view bits_help);

}  // namespace assay::cli
