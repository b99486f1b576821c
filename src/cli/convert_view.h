#pragma once

// How a conversion's report is shown; quantize shows it too.

#include "assay/cli/output.h"
#include "assay/convert/convert.h"

namespace assay::cli {

void print(const ConvertReport& report, Output& output);

}  // namespace assay::cli
