#pragma once

// Store: the files of one project, changed by one process at a time. An edit
// takes the project's lock, reads the file as it is now, changes it in memory,
// and puts the whole new file in the old one's place: a process that is
// killed leaves the old or the new file, never half of one.

#include <chrono>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "assay/project/document.h"

namespace assay::project {

/** The folder of Assay's own notes in a project. */
constexpr std::string_view kNotesFolder = ".assay";

/** The nearest folder at or above `start` with an assay.toml or `.assay`,
 * or else with a git repository.
 * Throws Error project.absent. */
std::filesystem::path find_project(const std::filesystem::path& start);

class Store {
 public:
  /** `wait`: how long an edit waits for another process. */
  explicit Store(
      std::filesystem::path root,
      std::chrono::milliseconds wait = std::chrono::milliseconds(5000));
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  const std::filesystem::path& root() const { return root_; }

  /** The real place of a file named relative to the root. Throws Error
   * project.outside where that is not in the project. */
  std::filesystem::path resolve(std::string_view relative) const;

  /** The folder of Assay's own notes, made where it is absent, with what keeps
   * them out of git. Throws Error file.unwritable. */
  std::filesystem::path notes() const;

  bool exists(std::string_view relative) const;
  /** The bytes; absent: nothing. */
  std::optional<std::string> read(std::string_view relative) const;
  /** As Markdown; absent: an empty document. */
  Document document(std::string_view relative) const;

  using Change = std::function<std::string(const std::string& now)>;
  /** Rewrites a file (absent: empty) under the lock; folders are made. `change`
   * may throw to refuse, and is called again where somebody without the lock
   * (an editor) wrote meanwhile. True if bytes changed. Throws Error
   * project.locked, project.changing. */
  bool rewrite(std::string_view relative, const Change& change);
  /** The same for Markdown. */
  bool edit(std::string_view relative,
            const std::function<void(Document&)>& change);
  /** Makes a file that must not exist; false where it does. */
  bool create(std::string_view relative, std::string_view text);

  /** Holds the lock over several edits. */
  class Guard {
   public:
    explicit Guard(Store& store) : store_(&store) { store.lock(); }
    ~Guard() { store_->unlock(); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Store* store_;
  };

 private:
  void lock();
  void unlock();

  std::filesystem::path root_;
  std::chrono::milliseconds wait_;
  int descriptor_ = -1;
  int holders_ = 0;
};

}  // namespace assay::project
