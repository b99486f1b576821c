#pragma once

// Draft: a model folder as it would be after repairs. It lies in a temporary
// folder: changed documents as files, all else as links to the originals, so
// that check can look at it; the model itself is not touched.

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/json.h"
#include "assay/core/json_edit.h"

namespace assay {

/** What becomes of one file. Paths are relative to the model. */
struct FileChange {
  std::filesystem::path from;  ///< empty: it is new
  std::filesystem::path to;    ///< empty: it is left out
  bool is_text = false;        ///< before and after hold its text
  std::string before, after;
  std::vector<std::string> reasons;  ///< one a repair

  /** "written", "edited", "renamed", "renamed and edited", "left out". */
  std::string_view kind() const;
  /** As a unified diff, or a line that tells of a file without one. */
  std::string diff() const;
};

class Draft {
 public:
  /** Throws Error fix.not-a-folder, fix.too-large, file.unwritable. */
  explicit Draft(std::filesystem::path model);
  ~Draft();
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;

  const std::filesystem::path& model() const { return model_; }
  /** Where the draft lies. */
  const std::filesystem::path& folder() const { return folder_; }
  /** `text` with paths of the draft turned into those of the model. */
  std::string in_model(std::string_view text) const;

  bool exists(const std::filesystem::path& file) const;
  std::string text(const std::filesystem::path& file) const;
  Json json(const std::filesystem::path& file) const;
  /** Names of the files in a folder of the draft, sorted. */
  std::vector<std::string> files(const std::filesystem::path& below = "") const;
  /** Names of its folders, sorted. */
  std::vector<std::string> folders() const;

  void write(const std::filesystem::path& file,
             std::string text,
             std::string reason);
  void set(const std::filesystem::path& file,
           JsonPath path,
           const Json& value,
           std::string reason);
  void remove(const std::filesystem::path& file,
              JsonPath path,
              std::string reason);
  /** Of a file, or of a folder with all its files. */
  void rename(const std::filesystem::path& from,
              const std::filesystem::path& to,
              std::string reason);
  void drop(const std::filesystem::path& file, std::string reason);

  /** In the order of their names; without those that came to nothing. */
  std::vector<FileChange> changes() const;
  /** Every file of the draft, changed or not, relative to it. */
  std::vector<std::filesystem::path> all_files() const;
  /** How often something was changed so far. */
  size_t steps() const { return steps_; }

 private:
  void mirror();
  FileChange& change_of(const std::filesystem::path& file);

  std::filesystem::path model_, outer_, folder_;
  std::map<std::filesystem::path, FileChange> changes_;  ///< by present name
  std::vector<FileChange> dropped_;
  size_t steps_ = 0;
};

}  // namespace assay
