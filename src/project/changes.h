#pragma once

// Changes: which of a project's files differ between two moments. Where git
// is, it knows all files by their commit, and only those that differ from it
// are kept by content; elsewhere all files are. git runs without hooks, file
// system monitors and external tools, and writes nothing.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

struct FileMark {
  uint64_t size = 0;
  int64_t time = 0;  ///< of its last change, in nanoseconds
  /** SHA-256; "" for a file that is gone, "-" for one over 8 MiB, which its
   * size and time tell apart. */
  std::string hash;
};

struct TreeState {
  bool git = false;
  std::string commit;  ///< empty: none yet, or no git
  std::map<std::string, FileMark> files;
  bool complete = true;  ///< false: more files than are looked at
};

/** `before` saves reading files whose size and time are still the same. */
TreeState tree_state(const Store& store, const TreeState* before = nullptr);

/** Paths of the project's files, sorted: with git those that it does not
 * ignore, otherwise all but caches, environments and build folders. */
std::vector<std::string> project_files(const Store& store);

struct FileChange {
  enum class Kind { added, changed, removed };
  std::string path;
  Kind kind = Kind::changed;
};

std::string_view name(FileChange::Kind kind);

struct Changes {
  std::vector<FileChange> files;     ///< sorted by path
  std::vector<std::string> commits;  ///< subjects, newest first, at most 50
  std::string remark;                ///< what could not be told; empty: nothing
};

Changes changes_between(const Store& store,
                        const TreeState& before,
                        const TreeState& now);

/** The commit that brought a line into a file; empty: none. */
std::string commit_with_line(const Store& store,
                             std::string_view file,
                             const std::string& line);

struct GitResult {
  int exit_code = 127;
  std::string output;
};

/** Runs git in the project's folder, for at most 20 seconds; `messages`: with
 * what it says on standard error. */
GitResult run_git(const Store& store,
                  const std::vector<std::string>& words,
                  bool messages = false);

/** True where the project lies in a git repository and git is installed. */
bool has_git(const Store& store);

Json to_json(const TreeState& state);
/** Throws Error session.unreadable. */
TreeState tree_from_json(const Json& json);

}  // namespace assay::project
