#pragma once

// Texts made from the table of commands: help, the manual page, completions
// for three shells.

#include <string>
#include <string_view>

#include "assay/cli/command.h"

namespace assay::cli {

/** Help of one command, or of all when it is null; as wide as `width`. */
std::string help_text(const Command* command, int width);

/** The manual page, in man(7). */
std::string man_page(std::string_view version);

/** For "bash", "zsh" or "fish". */
std::string completions(std::string_view shell);

}  // namespace assay::cli
