#pragma once

// The part of JSON Schema 2020-12 that arguments of tools are held to: type,
// properties, required, additionalProperties, enum, minimum, maximum,
// minLength, maxLength, items, maxItems. Other keywords say nothing here.

#include <string>

#include "assay/core/json.h"

namespace assay::mcp {

/** What is wrong with `value`, or an empty text. `where` names it: "model". */
std::string schema_violation(const Json& value,
                             const Json& schema,
                             const std::string& where = "arguments");

}  // namespace assay::mcp
