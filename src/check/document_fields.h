#pragma once

// The kind of value that fields of the small documents beside the weights have,
// whatever the model is: a text, a flag, a count... A field of another kind is
// an error; null, and a field that is left out, is none.

#include <cstdint>
#include <filesystem>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"

namespace assay::rules {

/** The document of at most `most` bytes; null where there is no such file.
 * Throws Error for one that is no JSON. */
Json document_at(const std::filesystem::path& file, uint64_t most);

/** One document. Its name tells which fields are known; `config_id` is the id
 * for a config.json, the other documents have ids of their own. */
std::vector<Finding> document_fields(const Json& document,
                                     const std::filesystem::path& file,
                                     std::string_view config_id);

/** All documents of a folder that are there, and which of them cannot be
 * read. */
std::vector<Finding> folder_fields(const std::filesystem::path& folder,
                                   std::string_view config_id);

/** Adds those on a field that `findings` names already are left out. */
void add_fields(std::vector<Finding>& findings, std::vector<Finding> fields);

}  // namespace assay::rules
