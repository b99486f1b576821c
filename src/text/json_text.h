#pragma once

// Writing JSON as text, piece by piece. A vocabulary has 10^5 entries, too
// many for an object that keeps its keys in order.

#include <string>
#include <string_view>

namespace assay::json_text {

/** Appends `text` as a JSON string. False, and nothing appended, if it is not
 * UTF-8. */
bool append_string(std::string& out, std::string_view text);

}  // namespace assay::json_text
