#pragma once

// Other processes: a lock that excludes them, and running a program; and what
// outlives all of them: names that reached the disk. The bodies are the same on
// Linux and macOS.

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace assay::platform {

/** Takes the lock of the file (made if absent), which the system gives back
 * when its holder ends, however it ends. Waits at most `wait`; -1 where
 * somebody else still holds it then. Throws Error file.unwritable. */
int lock_file(const std::filesystem::path& path,
              std::chrono::milliseconds wait);
void unlock_file(int descriptor);

/** Flushes a folder's names to the disk, so that a rename survives a loss of
 * power; empty: the current folder. False with errno set on failure; true
 * where the file system has no such thing. */
bool sync_folder(const std::filesystem::path& folder);

struct ProcessResult {
  /** As a shell says it: 128 + signal where one ended it, 127 where the
   * program could not be started. */
  int exit_code = 127;
  bool timed_out = false;
  std::string output;  ///< standard output and standard error, in order
};

struct ProcessOptions {
  std::filesystem::path folder;  ///< where it runs; empty: here
  std::chrono::milliseconds limit{10'000};
  size_t max_output = 1u << 20;  ///< what comes after it is dropped
  bool keep_errors = true;       ///< standard error belongs to the output
};

/** Runs a program (found on PATH) with its arguments, no shell between, and
 * nothing on its standard input. At the limit it is killed with all that it
 * started. */
ProcessResult run_process(const std::vector<std::string>& words,
                          const ProcessOptions& options);

/** Runs a program of the user's choice in the foreground, with this process's
 * terminal: `command` as a shell takes it ("vi", "code --wait"), followed by
 * the words. Returns its exit code, as above. */
int run_in_terminal(const std::string& command,
                    const std::vector<std::string>& words);

/** Where the running program lies; empty where the system does not say. */
std::filesystem::path program_file();

}  // namespace assay::platform
