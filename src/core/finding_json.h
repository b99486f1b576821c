#pragma once

// Findings as JSON, the same in every report.

#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"

namespace assay {

/** {"id", "severity", "where", "expected", "actual", "cause", "remedy"}. */
Json to_json(const Finding& finding);
Json to_json(const std::vector<Finding>& findings);

}  // namespace assay
