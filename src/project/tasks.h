#pragma once

// Tasks: the task items of TODO.md.

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

/** The document of tasks, relative to the project. */
constexpr std::string_view kTasksFile = "TODO.md";

struct TaskView {
  Task task;
  int line = 0;                      ///< counted from 1
  std::vector<std::string> section;  ///< the headings above it, outermost first
};

/** All tasks, in the order of the document. */
std::vector<TaskView> list_tasks(const Store& store);

/** Adds a task and returns it. It goes under the heading `under` (Error
 * project.no-heading where there is none); by default after the last task of
 * the section that holds the first unfinished one, or under "Next", or at the
 * end. Error project.duplicate for a text that an unfinished task has, and
 * project.empty for none. A session that is open remembers it. */
TaskView add_task(Store& store,
                  std::string_view text,
                  std::string_view under = {});

/** Changes the state of the task that `which` names and returns it: its id (or
 * the beginning of one, four digits or more), "TODO.md:LINE", its text, or a
 * part of its text that only one task has (unfinished ones first). Throws
 * Error project.no-task or project.ambiguous. A reason, if any, becomes an
 * item below the task. */
TaskView set_task(Store& store,
                  std::string_view which,
                  TaskState state,
                  std::string_view reason = {});

Json to_json(const TaskView& view);

}  // namespace assay::project
