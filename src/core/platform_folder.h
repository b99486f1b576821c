#pragma once

// Folders that a job fills: their lock, and whether the job lives.

#include <filesystem>

namespace assay::platform {

/** Takes the lock of a folder without waiting; the system gives it back when
 * its holder ends, however it ends. -1 where somebody has it, the folder is
 * gone, or the file system has no locks. */
int lock_folder(const std::filesystem::path& path);
void unlock_folder(int descriptor);

/** False where no process of this machine has that number, or only one that
 * ended and that nobody waited for. */
bool process_lives(int process);

}  // namespace assay::platform
