#pragma once

// Copies of large files that take no room where the system can do that. The
// bodies of Linux and macOS are in platform_copy.cpp.

#include <filesystem>

namespace assay::platform {

enum class CopyKind { cloned, linked, copied };

/** A file with the bytes of `from`, which is never written to: a clone where
 * the file system has these (the bytes are shared until one of both is written
 * to), a hard link on the same one, otherwise a copy. Links at `from` are
 * followed. Throws Error file.unwritable. */
CopyKind place_copy(const std::filesystem::path& from,
                    const std::filesystem::path& to);

}  // namespace assay::platform
