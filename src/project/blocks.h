#pragma once

// Blocks that a program writes into documents that people edit. Each ends with
// a line that holds a hash of what was written, so words that somebody put into
// it later are noticed, and never overwritten.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/project/document.h"

namespace assay::project {

/** Document::set_block with that last line. Throws Error project.edited-block
 * where the block was changed by hand since. */
void write_block(Document& document,
                 std::string_view id,
                 std::vector<std::string> lines,
                 std::optional<size_t> at = {});

/** A block's id from a name: letters and digits in lower case, and '-'; two
 * names never share one. */
std::string block_id(std::string_view prefix, std::string_view name);

}  // namespace assay::project
