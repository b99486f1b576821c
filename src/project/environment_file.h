#pragma once

// environment.yml, changed by its own lines: versions of what it lists, and a
// marked part for what else is installed.

#include <string>
#include <string_view>

#include "assay/project/environment.h"

namespace assay::project {

/** The text with exact versions. Throws Error env.unclear. */
std::string with_versions(const std::string& text, const Installed& installed);

/** The version that `- python=3.12` asks for; empty: none. */
std::string wanted_python(std::string_view text);

/** The items below `- pip:` that one version is set for: "name[extra]==1.0".
 * None where with_versions would refuse the file. */
std::vector<std::string> pinned_requirements(const std::string& text);

/** Names of packages compare without case and with "-", "_", "." alike. */
std::string package_key(std::string_view name);

}  // namespace assay::project
