#include "assay/project/changes.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/core/platform_process.h"
#include "assay/project/hash.h"
#include "assay/project/text.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxHashed = 8u << 20;
constexpr size_t kMaxFiles = 20'000;
constexpr std::string_view kLarge = "-";

// What no person writes: a project without git has no list of its own.
constexpr std::array<std::string_view, 15> kSkipped = {".assay",
                                                       ".git",
                                                       ".hg",
                                                       ".svn",
                                                       ".venv",
                                                       ".conda",
                                                       "venv",
                                                       "node_modules",
                                                       "__pycache__",
                                                       "build",
                                                       "dist",
                                                       ".cache",
                                                       ".mypy_cache",
                                                       ".pytest_cache",
                                                       ".ipynb_checkpoints"};

int64_t time_of(const fs::path& path) {
  std::error_code error;
  auto time = fs::last_write_time(path, error);
  return error ? 0
               : std::chrono::duration_cast<std::chrono::nanoseconds>(
                     time.time_since_epoch())
                     .count();
}

// A file that changes again within one tick of the file system's clock looks
// the same by its time: such a time is not to be relied on.
bool is_fresh(const fs::path& path) {
  std::error_code error;
  auto time = fs::last_write_time(path, error);
  return error ||
         fs::file_time_type::clock::now() - time < std::chrono::seconds(1);
}

FileMark mark_of(const fs::path& path, const FileMark* before) {
  FileMark mark;
  std::error_code error;
  auto kind = fs::symlink_status(path, error).type();
  if (kind == fs::file_type::symlink) {
    // A link is where it points to, as in git.
    auto target = fs::read_symlink(path, error).string();
    mark.size = target.size();
    mark.hash = sha256(target);
    return mark;
  }
  if (kind == fs::file_type::directory) {
    // A submodule, or a repository within: told apart by its own time.
    mark.time = time_of(path);
    mark.hash = kLarge;
    return mark;
  }
  if (kind != fs::file_type::regular) {
    return mark;
  }
  mark.size = fs::file_size(path, error);
  mark.time = time_of(path);
  if (mark.size > kMaxHashed) {
    mark.hash = kLarge;
  } else if (before != nullptr && before->size == mark.size &&
             before->time == mark.time && !before->hash.empty()) {
    mark.hash = before->hash;
  } else {
    mark.hash = sha256_file(path);
    if (is_fresh(path)) {
      mark.time = 0;
    }
  }
  return mark;
}

bool same(const FileMark& one, const FileMark& other) {
  bool large = one.hash == kLarge;
  return one.hash == other.hash && one.size == other.size &&
         (!large || one.time == other.time);
}

// The folder of the repository, and the project's place in it ("" or "a/b/").
fs::path repository(const fs::path& root, std::string& prefix) {
  auto folder = root;
  std::error_code error;
  while (!fs::exists(folder / ".git", error)) {
    if (folder == folder.parent_path()) {
      return {};
    }
    folder = folder.parent_path();
  }
  auto inside = root.lexically_relative(folder).generic_string();
  prefix = inside == "." ? "" : inside + "/";
  return folder;
}

std::vector<std::string_view> split_nul(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    auto end = std::min(text.find('\0'), text.size());
    parts.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return parts;
}

// The path behind `count` fields of a line of `git status --porcelain=v2`.
std::string_view after_fields(std::string_view line, int count) {
  for (int field = 0; field < count; ++field) {
    auto space = line.find(' ');
    if (space == std::string_view::npos) {
      return {};
    }
    line.remove_prefix(space + 1);
  }
  return line;
}

std::string_view status_path(std::string_view line) {
  if (line.starts_with("? ")) {
    return line.substr(2);
  }
  if (line.starts_with("1 ")) {
    return after_fields(line, 8);
  }
  return line.starts_with("u ") ? after_fields(line, 10) : std::string_view();
}

void mark_file(const Store& store,
               const std::string& path,
               const TreeState* before,
               TreeState& state) {
  if (state.files.size() >= kMaxFiles) {
    state.complete = false;
    return;
  }
  const FileMark* known = nullptr;
  if (before != nullptr) {
    auto found = before->files.find(path);
    known = found == before->files.end() ? nullptr : &found->second;
  }
  state.files[path] = mark_of(store.root() / path, known);
}

bool read_git(const Store& store, const TreeState* before, TreeState& state) {
  std::string prefix;
  if (repository(store.root(), prefix).empty()) {
    return false;
  }
  auto status = run_git(store,
                        {"status",
                         "--porcelain=v2",
                         "--branch",
                         "-z",
                         "--no-renames",
                         "--untracked-files=all",
                         "--",
                         "."});
  if (status.exit_code != 0) {
    return false;
  }
  state.git = true;
  constexpr std::string_view kCommit = "# branch.oid ";
  for (auto line : split_nul(status.output)) {
    if (line.starts_with(kCommit)) {
      auto commit = line.substr(kCommit.size());
      state.commit = commit == "(initial)" ? "" : std::string(commit);
      continue;
    }
    auto path = status_path(line);
    if (!path.empty() && path.starts_with(prefix)) {
      mark_file(store, std::string(path.substr(prefix.size())), before, state);
    }
  }
  return true;
}

bool is_skipped(const std::string& name) {
  return std::ranges::find(kSkipped, name) != kSkipped.end();
}

// All files below the project's folder; `see` says whether to go on.
template <class See>
void walk_folder(const fs::path& root, const See& see) {
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(
      root, fs::directory_options::skip_permission_denied, error);
  for (; !error && walk != fs::recursive_directory_iterator();
       walk.increment(error)) {
    bool folder =
        walk->symlink_status(error).type() == fs::file_type::directory;
    if (folder && is_skipped(walk->path().filename().string())) {
      walk.disable_recursion_pending();
    } else if (!folder &&
               !see(walk->path().lexically_relative(root).generic_string())) {
      return;
    }
  }
}

void read_folder(const Store& store,
                 const TreeState* before,
                 TreeState& state) {
  walk_folder(store.root(), [&](const std::string& path) {
    mark_file(store, path, before, state);
    return state.complete;
  });
}

using Kinds = std::map<std::string, FileChange::Kind>;

// What git itself says of the way from one commit to another.
bool diff_commits(const Store& store,
                  const TreeState& before,
                  const TreeState& now,
                  Kinds& found) {
  if (before.commit == now.commit || now.commit.empty()) {
    return true;
  }
  // Without a commit before, all that was committed since is compared with
  // the empty tree.
  constexpr const char* kEmptyTree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
  auto diff = run_git(store,
                      {"diff",
                       "--name-status",
                       "-z",
                       "--no-renames",
                       "--no-ext-diff",
                       "--no-textconv",
                       "--relative",
                       before.commit.empty() ? kEmptyTree : before.commit,
                       now.commit,
                       "--",
                       "."});
  if (diff.exit_code != 0) {
    return false;
  }
  auto parts = split_nul(diff.output);
  for (size_t index = 0; index + 1 < parts.size(); index += 2) {
    auto kind = FileChange::Kind::changed;
    if (parts[index] == "A") {
      kind = FileChange::Kind::added;
    } else if (parts[index] == "D") {
      kind = FileChange::Kind::removed;
    }
    found[std::string(parts[index + 1])] = kind;
  }
  return true;
}

void read_subjects(const Store& store,
                   const TreeState& before,
                   const TreeState& now,
                   Changes& changes) {
  if (before.commit == now.commit || now.commit.empty()) {
    return;
  }
  auto range = before.commit.empty()
                   ? now.commit
                   : fmt::format("{}..{}", before.commit, now.commit);
  auto log = run_git(store,
                     {"log",
                      "--max-count=50",
                      "-z",
                      "--no-show-signature",
                      "--format=%s",
                      range,
                      "--",
                      "."});
  if (log.exit_code == 0) {
    for (auto subject : split_nul(log.output)) {
      changes.commits.emplace_back(trim(subject));
    }
  }
}

// A file that differed from its commit at one end, or at both.
void compare_marked(const Store& store,
                    const TreeState& before,
                    const TreeState& now,
                    Kinds& found) {
  std::set<std::string> paths;
  for (const auto* state : {&before, &now}) {
    for (const auto& [path, mark] : state->files) {
      paths.insert(path);
    }
  }
  for (const auto& path : paths) {
    auto was = before.files.find(path);
    auto is = now.files.find(path);
    FileMark current;
    if (is != now.files.end()) {
      current = is->second;
    } else if (now.git) {
      current = mark_of(store.root() / path, nullptr);
    }
    if (was != before.files.end()) {
      if (same(was->second, current)) {
        found.erase(path);
      } else if (current.hash.empty()) {
        found[path] = FileChange::Kind::removed;
      } else {
        found[path] = was->second.hash.empty() ? FileChange::Kind::added
                                               : FileChange::Kind::changed;
      }
      continue;
    }
    // It was as committed (git), or was not there.
    if (current.hash.empty()) {
      found[path] = FileChange::Kind::removed;
    } else if (!found.contains(path)) {
      found[path] = FileChange::Kind::added;
    }
  }
}

// git knows whether a file that differs now was there at the commit before.
void correct_added(const Store& store, const TreeState& before, Kinds& found) {
  if (!before.git || before.commit.empty()) {
    return;
  }
  std::vector<std::string> words = {
      "ls-tree", "-z", "--name-only", before.commit, "--"};
  size_t asked = 0;
  for (const auto& [path, kind] : found) {
    if (kind == FileChange::Kind::added && ++asked <= 500) {
      words.push_back(path);
    }
  }
  if (asked == 0) {
    return;
  }
  auto tree = run_git(store, words);
  for (auto path : split_nul(tree.output)) {
    if (auto entry = found.find(std::string(path)); entry != found.end()) {
      entry->second = FileChange::Kind::changed;
    }
  }
}

}  // namespace

std::string_view name(FileChange::Kind kind) {
  switch (kind) {
    case FileChange::Kind::added:
      return "added";
    case FileChange::Kind::changed:
      return "changed";
    case FileChange::Kind::removed:
      break;
  }
  return "removed";
}

GitResult run_git(const Store& store,
                  const std::vector<std::string>& words,
                  bool messages) {
  std::vector<std::string> all = {"env",
                                  "GIT_OPTIONAL_LOCKS=0",
                                  "GIT_TERMINAL_PROMPT=0",
                                  "LC_ALL=C",
                                  "git",
                                  "--no-pager",
                                  "--literal-pathspecs",
                                  "-c",
                                  "core.fsmonitor=false",
                                  "-c",
                                  "core.quotePath=false"};
  all.insert(all.end(), words.begin(), words.end());
  auto result = platform::run_process(all,
                                      {.folder = store.root(),
                                       .limit = std::chrono::seconds(20),
                                       .max_output = 16u << 20,
                                       .keep_errors = messages});
  return {result.timed_out ? 124 : result.exit_code, std::move(result.output)};
}

bool has_git(const Store& store) {
  std::string prefix;
  return !repository(store.root(), prefix).empty() &&
         run_git(store, {"rev-parse", "--git-dir"}).exit_code == 0;
}

TreeState tree_state(const Store& store, const TreeState* before) {
  TreeState state;
  if (!read_git(store, before, state)) {
    read_folder(store, before, state);
  }
  return state;
}

std::vector<std::string> project_files(const Store& store) {
  std::vector<std::string> files;
  std::string prefix;
  if (!repository(store.root(), prefix).empty()) {
    auto listing = run_git(store,
                           {"ls-files",
                            "-z",
                            "--cached",
                            "--others",
                            "--exclude-standard",
                            "--deduplicate",
                            "--",
                            "."});
    if (listing.exit_code == 0) {
      std::error_code error;
      for (auto path : split_nul(listing.output)) {
        if (fs::exists(store.root() / path, error)) {
          files.emplace_back(path);
        }
      }
      std::ranges::sort(files);
      return files;
    }
  }
  walk_folder(store.root(), [&](const std::string& path) {
    files.push_back(path);
    return files.size() < kMaxFiles;
  });
  std::ranges::sort(files);
  return files;
}

Changes changes_between(const Store& store,
                        const TreeState& before,
                        const TreeState& now) {
  Changes changes;
  if (before.git != now.git) {
    changes.remark =
        "git came or went since: files can't be compared with then";
    return changes;
  }
  Kinds found;
  if (now.git && !diff_commits(store, before, now, found)) {
    changes.remark = fmt::format(
        "commit {} is gone (history was rewritten): only files that were not "
        "committed are compared",
        before.commit.substr(0, 12));
  }
  compare_marked(store, before, now, found);
  if (now.git) {
    correct_added(store, before, found);
    read_subjects(store, before, now, changes);
  }
  if (!before.complete || !now.complete) {
    changes.remark = fmt::format("only {} files are compared", kMaxFiles);
  }
  for (const auto& [path, kind] : found) {
    changes.files.push_back({path, kind});
  }
  return changes;
}

std::string commit_with_line(const Store& store,
                             std::string_view file,
                             const std::string& line) {
  auto log = run_git(store,
                     {"log",
                      "--max-count=1",
                      "--format=%H",
                      fmt::format("-S{}", line),
                      "--",
                      std::string(file)});
  return log.exit_code == 0 ? log.output.substr(0, log.output.find('\n'))
                            : std::string();
}

Json to_json(const TreeState& state) {
  auto files = Json::array();
  for (const auto& [path, mark] : state.files) {
    files.push_back({encode_path(path), mark.size, mark.time, mark.hash});
  }
  return {{"git", state.git},
          {"commit", state.commit},
          {"complete", state.complete},
          {"files", std::move(files)}};
}

TreeState tree_from_json(const Json& json) {
  TreeState state;
  try {
    state.git = json.at("git").get<bool>();
    state.commit = json.at("commit").get<std::string>();
    state.complete = json.at("complete").get<bool>();
    for (const auto& entry : json.at("files")) {
      state.files[decode_path(entry.at(0).get<std::string>())] = {
          entry.at(1).get<uint64_t>(),
          entry.at(2).get<int64_t>(),
          entry.at(3).get<std::string>()};
    }
  } catch (const nlohmann::json::exception& error) {
    fail("session.unreadable", "the notes' files", "marks", error.what());
  }
  bool hexadecimal =
      state.commit.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!hexadecimal) {
    fail("session.unreadable", "the notes' commit", "a hash", state.commit);
  }
  return state;
}

}  // namespace assay::project
