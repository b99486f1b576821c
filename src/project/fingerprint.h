#pragma once

// What tells whether a model is still the one that was measured: a hash of its
// files' names, sizes and contents, quick enough for models of any size.

#include <filesystem>
#include <string>

#include "assay/project/results.h"
#include "assay/project/store.h"

namespace assay::project {

/** "s1-" and 32 hex digits of a SHA-256 over the names, sizes and contents of
 * the model's files: a file (a split GGUF: all of its parts), or the files of a
 * folder and those below, but for documentation, hidden files and pictures.
 * Files up to 4 MiB count whole; of larger ones the first MiB (the headers) and
 * 256 pieces of 4 KiB at equal distances: training, converting or quantizing
 * changes nearly all weights, so some piece; a change of one tensor alone can
 * pass unseen. Throws Error file.unreadable. */
std::string fingerprint(const std::filesystem::path& model);

/** Name, path and fingerprint; `path` relative to the project where it lies
 * in it. */
ModelIdentity identify(const Store& store, const std::filesystem::path& model);

}  // namespace assay::project
