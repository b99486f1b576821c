#pragma once

// What the files of a session share.

#include <string>
#include <vector>

#include "assay/project/insights.h"
#include "assay/project/learnings.h"
#include "assay/project/results.h"
#include "assay/project/session.h"

namespace assay::project {

/** The documents, read once. */
struct ProjectNow {
  std::vector<TaskView> tasks;
  std::vector<DecisionView> decisions;
  std::vector<Learning> learnings;
  Ledger ledger;
};

ProjectNow read_project(const Store& store);

SessionMark mark_project(const ProjectNow& project, TreeState tree);

Page make_page(const Store& store,
               const SessionNotes& notes,
               const ProjectNow& project,
               const TreeState& now);

void write_notes(Store& store, const SessionNotes& notes);

bool unfinished(TaskState state);

/** "text (a1b2c3)". */
std::string with_id(const std::string& text, const std::string& id);

/** "a, b, c and 4 more". */
std::string listed(const std::vector<std::string>& names, size_t limit);

/** Unfinished tasks in the order they come up: those in progress, then the
 * open ones of the first unfinished section, then the others. */
std::vector<const TaskView*> tasks_in_order(const std::vector<TaskView>& all);

}  // namespace assay::project
