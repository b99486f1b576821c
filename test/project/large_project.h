#pragma once

// A project of many years, the same each time: tasks, decisions, learnings,
// results. With ASSAY_LARGE_PROJECT=FOLDER, `test_project -tc=*behind*` leaves
// one there for timing.

#include <filesystem>

namespace assay::project {

struct LargeSize {
  int tasks = 5000;
  int decisions = 500;
  int results = 10000;
};

void write_large_project(const std::filesystem::path& folder,
                         const LargeSize& size);

}  // namespace assay::project
