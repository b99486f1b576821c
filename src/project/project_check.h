#pragma once

// What is wrong with a project's own files: names, documents that are missing,
// speak of what is gone, or contradict each other or what is there.

#include <vector>

#include "assay/core/finding.h"
#include "assay/project/store.h"

namespace assay::project {

struct ProjectCheckOptions {
  /** Runs the diagnostics that finished tasks name; otherwise their last
   * outcomes count. Needs trust, see diagnostics.h. */
  bool run = true;
  bool slow = false;  ///< slow ones too
};

struct ProjectCheck {
  std::vector<Finding> findings;
  size_t documents = 0, links = 0, tasks = 0, results = 0;  ///< looked at
};

ProjectCheck check_project(Store& store, const ProjectCheckOptions& options);

}  // namespace assay::project
