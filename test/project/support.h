#pragma once

#include <atomic>
#include <filesystem>
#include <string>

#include "assay/core/platform.h"

namespace assay::project {

/** A folder of its own for a test, removed after it. */
struct TemporaryFolder {
  std::filesystem::path path;
  TemporaryFolder() {
    static std::atomic<int> count = 0;
    path = std::filesystem::temp_directory_path() /
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

}  // namespace assay::project
