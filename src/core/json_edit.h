#pragma once

// Changes of single values in a JSON text: every other byte (order, spaces,
// how numbers are written) stays as it was, so that a diff shows the change
// and nothing else.

#include <span>
#include <string>
#include <string_view>

#include "assay/core/json.h"

namespace assay {

/** Keys from the outside in; an index in decimal where there is an array. */
using JsonPath = std::span<const std::string>;

/** The text with the value at `path` replaced, or added as the last member of
 * its object, as deep as the object before it. `text` must be what parse_json
 * accepts; std::invalid_argument where all but the last key of the path do not
 * lead to objects and entries that are there. */
std::string set_json_value(std::string_view text,
                           JsonPath path,
                           const Json& value);

/** The text without the member at `path`; as it was where there is none. */
std::string remove_json_value(std::string_view text, JsonPath path);

}  // namespace assay
