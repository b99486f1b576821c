#pragma once

// JSON for small documents (configurations, reports): order kept, strict.
// Headers and vocabularies of megabytes are read with simdjson where they are
// used, not here.

#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace assay {

using Json = nlohmann::ordered_json;

/** Parses `text`; `where` names it in findings. Refuses (Error json.malformed,
 * json.duplicate-key, json.too-deep) what is not one JSON value, repeats a key
 * in one object, or nests deeper than 128. */
Json parse_json(std::string_view text, std::string_view where);

/** Two-space indented, with a final newline. */
std::string to_text(const Json& json);

}  // namespace assay
