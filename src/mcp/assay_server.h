#pragma once

// What `assay mcp` serves: the verbs as tools, the project's documents as
// resources, and prompts for the three moments of a sitting.

#include <filesystem>

#include "assay/mcp/server.h"

namespace assay::mcp {

/** `project`: the folder whose documents are shown; relative paths of models
 * start there. */
Definition assay_server(const std::filesystem::path& project);

/** The parts, a file each. */
std::vector<Tool> assay_tools(const std::filesystem::path& project);
/** The tools that read and write the project's memory. */
std::vector<Tool> memory_tools(const std::filesystem::path& project);
std::vector<Resource> project_documents(const std::filesystem::path& project);
/** start (with the page of `assay session start`), investigate, end. */
std::vector<Prompt> assay_prompts(const std::filesystem::path& project);

}  // namespace assay::mcp
