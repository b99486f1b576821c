#pragma once

// Sessions: a sitting of work on a project, by a person or an agent. Its start
// is remembered in .assay/session.json (of this machine, not in git): the
// tasks, decisions, learnings, results and files as they were. Its end is a
// block in TODO.md, made from what differs then.

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/json.h"
#include "assay/project/changes.h"
#include "assay/project/diagnostics.h"
#include "assay/project/page.h"
#include "assay/project/tasks.h"

namespace assay::project {

constexpr std::string_view kSessionFile = ".assay/session.json";
/** The heading in TODO.md under which ends stand, the newest first. */
constexpr std::string_view kSessionsHeading = "Sessions";

struct TaskMark {
  std::string id, text;
  TaskState state = TaskState::open;
  std::string section;  ///< the innermost heading above it
  /** The state it was last seen in, where that is another one. */
  std::optional<TaskState> later = {};

  TaskState last_seen() const { return later.value_or(state); }
};

/** A project as it was at a moment. */
struct SessionMark {
  std::string at;  ///< "2026-11-24 09:30:05"
  std::vector<TaskMark> tasks;
  std::set<std::string> decisions;  ///< titles
  std::set<std::string> learnings;
  std::vector<std::string> results;  ///< ids of runs
  TreeState tree;
};

struct SessionNotes {
  std::optional<SessionMark> open;  ///< the session that has not ended
  std::string ended_at;             ///< of the last one; empty: none here
  TreeState ended_tree;
};

/** Throws Error session.unreadable. */
SessionNotes read_notes(const Store& store);

/** The page that a session begins with. Changes nothing. */
Page session_page(const Store& store, const SessionNotes& notes);

struct SessionStart {
  Page page;
  std::string since;  ///< when the session that is open began
};

/** Begins a session and makes its page; one that is open already stays the one
 * that it is. */
SessionStart start_session(Store& store);

/** Remembers the unfinished tasks that have come since the session began, and
 * what became of the others, so that none goes unnoticed. Changes nothing where
 * no session is open. add_task and set_task call it. Throws Error
 * session.unreadable. */
void note_tasks(Store& store);

/** What became of things since the session began. */
struct SessionReport {
  std::string since, at;
  std::vector<std::string> completed, in_progress, next;
  /** Unfinished when they were last seen (by the start, a task verb or a status
   * since, or in a commit), and gone now. */
  std::vector<TaskMark> lost;
};

/** Throws Error session.none. */
SessionReport session_report(const Store& store);

struct EndOptions {
  bool keep = false;  ///< puts lost tasks back
  bool drop = false;  ///< writes down that they were let go
  bool commit = false;
  /** The outcomes of the diagnostics, for Next Steps. */
  std::vector<DiagnosticResult> diagnostics;
};

/** Throws Error session.lost-task where tasks are lost and the options do not
 * say what becomes of them. */
void expect_nothing_lost(const SessionReport& report,
                         const EndOptions& options);

/** Ends the session: writes its block, and remembers the files as they are.
 * Throws Error session.none, session.lost-task (without keep or drop; nothing
 * was changed then) and session.commit (the end is written then). */
SessionReport end_session(Store& store, const EndOptions& options);

/** The lines of the block, heading included. */
std::vector<std::string> block_lines(const SessionReport& report);

Json to_json(const SessionReport& report);

}  // namespace assay::project
