#pragma once

// What the verbs of the project's memory share.

#include <string>
#include <string_view>

#include "assay/cli/arguments.h"
#include "assay/project/store.h"

namespace assay::cli {

/** The project around the current folder. Throws Error project.absent. */
project::Store open_store();

/** The words of an operand, as one text. */
std::string joined_words(const Arguments& arguments, std::string_view name);

}  // namespace assay::cli
