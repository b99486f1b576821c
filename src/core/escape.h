#pragma once

// Texts put into other languages: whatever a value holds, in Markdown it stays
// one cell of a table or one piece of a line, in XML one text.

#include <string>
#include <string_view>

namespace assay {

/** Text for a line or a cell: control characters become spaces, `|` is
 * escaped, and what HTML would take for a tag or a comment is not one. */
std::string markdown_cell(std::string_view text);

/** The same as code, within as many backticks as it takes. */
std::string markdown_code(std::string_view text);

/** Text or an attribute's value in XML 1.0, which has no control characters:
 * those become the replacement character, line ends &#10;. */
std::string xml_text(std::string_view text);

}  // namespace assay
