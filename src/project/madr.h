#pragma once

// MADR (Markdown Any Decision Records, versions 2 to 4): a decision a file,
// docs/decisions/NNNN-title.md. Internal to the room.

#include <string>
#include <string_view>
#include <vector>

#include "assay/project/learnings.h"

namespace assay::project {

/** True where the project keeps its decisions so. */
bool keeps_madr(const Store& store);

/** All of them, by number. */
std::vector<DecisionView> madr_decisions(const Store& store);

/** The file name of the next one: "0008-use-4-bit.md". */
std::string next_madr_name(const Store& store, std::string_view title);

/** Letters, digits and '-': a title as part of a file name. */
std::string file_title(std::string_view title);

/** "## Decision Outcome" and what follows it. */
std::vector<std::string> madr_body(const Decision& decision);
/** Front matter and title. */
std::string madr_head(const Decision& decision);

/** Sets `key: value` in the front matter (made where absent), or in MADR 2's
 * list below the title ("* Status: accepted"). */
void set_madr_field(Document& document,
                    std::string_view key,
                    const std::string& value);

}  // namespace assay::project
