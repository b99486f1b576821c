#pragma once

// SHA-256 (FIPS 180-4): what tells whether a file is still the one seen.

#include <filesystem>
#include <string>
#include <string_view>

namespace assay::project {

/** 64 hex digits. */
std::string sha256(std::string_view bytes);
/** Of a file's content. Throws Error file.unreadable. */
std::string sha256_file(const std::filesystem::path& path);

}  // namespace assay::project
