#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/platform.h"
#include "assay/project/store.h"

namespace assay::project {

/** Where tests put thousands of files on which they wait: in memory where the
 * system has such a place, since what a killed process leaves is the same
 * there. A flush to a busy disk takes longer than all else. */
inline std::filesystem::path quick_folder() {
  std::error_code error;
  bool chosen = std::getenv("TMPDIR") != nullptr;
  bool there = std::filesystem::is_directory("/dev/shm", error);
  return there && !chosen ? std::filesystem::path("/dev/shm")
                          : std::filesystem::temp_directory_path();
}

/** A folder of its own for a test, removed after it. */
struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    static std::atomic<int> count = 0;
    path = quick_folder() /
           ("assay-project-test-" + std::to_string(platform::process_id()) +
            "-" + std::to_string(count++));
    std::filesystem::create_directories(path);
    path = std::filesystem::canonical(path);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

/** A project in a folder of its own. */
struct Project {
  TemporaryFolder folder;
  Store store{folder.path};

  void write(const std::string& name, std::string_view text) {
    std::filesystem::create_directories((folder.path / name).parent_path());
    write_text(folder.path / name, text);
  }
  std::string read(const std::string& name) const {
    return read_text(folder.path / name);
  }
};

/** The id of the Error that the work throws; empty: none. */
template <class Work>
std::string failure(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return {};
}

}  // namespace assay::project
