#pragma once

// Text as it is shown: valid UTF-8, short enough, and what it costs a model.

#include <cstddef>
#include <string>
#include <string_view>

namespace assay::project {

/** Bytes that are no UTF-8 become U+FFFD, control signs spaces. */
std::string as_utf8(std::string_view bytes);

/** The first `letters` of a text, "..." in place of the rest. */
std::string clip(std::string_view text, size_t letters);

/** Paths in JSON, whatever their bytes: those beyond ASCII and % as %XX. */
std::string encode_path(std::string_view path);
std::string decode_path(std::string_view text);

/** How many tokens a language model reads a text as, estimated from above:
 * for each word one and one more for every four letters after the fourth, one
 * for each digit, sign and line end, two for each letter beyond ASCII. Of what
 * SmolLM2's tokenizer counts that is 1.0 to 1.3 times for this project's own
 * documents (test/cli), up to 2.5 times in other scripts. */
size_t estimate_tokens(std::string_view text);

}  // namespace assay::project
