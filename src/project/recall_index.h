#pragma once

// The index of recall: passages in an SQLite database, their words in FTS5.
// Internal to the room.

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "assay/project/recall.h"

struct sqlite3;

namespace assay::project {

/** What SQLite said. */
struct SqliteFailure : std::runtime_error {
  SqliteFailure(const char* what, bool in_use)
      : std::runtime_error(what), busy(in_use) {}
  bool busy;  ///< another process holds the database
};

struct IndexedPassage {
  Passage passage;
  std::string key;  ///< of a run: its id
  double score = 0;
};

class RecallIndex {
 public:
  /** Opens or makes the database; an empty path makes one in memory. Throws
   * SqliteFailure, as do all members. */
  explicit RecallIndex(const std::filesystem::path& file);
  ~RecallIndex();
  RecallIndex(const RecallIndex&) = delete;
  RecallIndex& operator=(const RecallIndex&) = delete;

  /** Reads again what changed. Files that can't be read leave the index, and
   * go to `findings`. */
  void refresh(const Store& store, std::vector<Finding>& findings);

  /** `query` in the language of FTS5; best first. */
  std::vector<IndexedPassage> search(const std::string& query,
                                     const RecallOptions& options);

 private:
  void run(const std::string& sql);
  void make_tables();
  void expect_stamp();
  void commit();
  bool is_stale(const Store& store, const std::string& file, bool settle);
  void remove(const std::string& file, const std::string& key = {});
  void add(const Passage& passage, const std::string& key);
  void index_file(const Store& store,
                  const std::string& file,
                  std::vector<Finding>& findings);
  void index_document(const Store& store, const std::string& file);
  void index_ledger(const Store& store, std::vector<Finding>& findings);
  void note_state(const Store& store, const std::string& file);
  void forget_state(const std::string& file);
  std::vector<std::string> known_files();

  std::filesystem::path file_;
  sqlite3* database_ = nullptr;
};

/** The files that recall looks at, relative to the project. */
std::vector<std::string> recall_files(const Store& store);

/** Text as the tokenizer needs it: letters of scripts that put no spaces
 * between words stand alone, so that a phrase finds them. */
std::string searchable(std::string_view text);

}  // namespace assay::project
