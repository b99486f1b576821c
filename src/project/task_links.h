#pragma once

// The link from a task to the diagnostic that proves it: "diagnostic: NAME" in
// the task's lines, or a link to DIAGNOSTICS.md with the heading's anchor.

#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/project/diagnostics.h"
#include "assay/project/tasks.h"

namespace assay::project {

struct TaskLink {
  TaskView task;
  std::string diagnostic;  ///< the name, or the anchor
  int line = 1;            ///< where it is named
};

/** Those of all tasks, in the order of TODO.md. */
std::vector<TaskLink> task_links(const Store& store,
                                 const std::vector<TaskView>& tasks);

/** The diagnostic that a link names, or null. */
const Diagnostic* linked_diagnostic(const std::vector<Diagnostic>& all,
                                    const TaskLink& link);

/** task.contradiction for each finished task whose diagnostic did not pass. */
std::vector<Finding> done_but_failing(
    const Store& store,
    const std::vector<TaskView>& tasks,
    const std::vector<DiagnosticResult>& results);

}  // namespace assay::project
