#pragma once

// Published language models, recognised by their shapes: the values that
// nothing in the files contradicts (rotary base, norm epsilon, head counts,
// soft caps, multipliers) are held against them.

#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/inspect/inspect.h"

namespace assay::rules {

/** The table: a JSON list of {"type": model_type, "name", "source", "shape":
 * fields that must be equal, "values": fields with the published value or a
 * list of them, "rope": the same for rotary settings (absent: no stretching),
 * "context"}. Each value is that of the repository named under "source" (on
 * huggingface.co). */
std::string_view profile_table();

/** profile.unpublished-value and profile.context, against the closest of the
 * published models of this shape; nothing for shapes that none has. `where`
 * names the config. */
std::vector<Finding> published_values(const Json& config,
                                      const ModelReport& report,
                                      const std::string& where);

}  // namespace assay::rules
