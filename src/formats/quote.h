#pragma once

// Text from files, made safe to print: names out of a hostile header must not
// reach a terminal as control sequences, nor fill the screen.

#include <string>
#include <string_view>

namespace assay {

/** `'text'` with control characters, and bytes that are no UTF-8, written as
 * "\x1b"; longer texts are cut and end in "...". */
std::string quote(std::string_view text);

/** True for UTF-8 without control characters (no NUL, no newline). */
bool is_printable_utf8(std::string_view text);

}  // namespace assay
