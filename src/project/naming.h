#pragma once

// Names of files: what a script does, a document is, a model can be called.

#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/project/settings.h"

namespace assay::project {

/** `*` stands for any letters, all others for themselves. */
bool matches_pattern(std::string_view pattern, std::string_view text);

/** True for a script that Assay expects to be named by what it does: Python
 * and shell files in the project's folder, scripts/, tools/, test/, tests/. */
bool is_script(const std::string& path);

/** naming.script, naming.document, naming.model. `models`: what lies in
 * models/, which git does not list. */
std::vector<Finding> naming_findings(const std::vector<std::string>& files,
                                     const std::vector<std::string>& models,
                                     const Settings& settings);

}  // namespace assay::project
