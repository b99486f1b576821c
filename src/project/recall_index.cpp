#include "assay/project/recall_index.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <sqlite3.h>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/hash.h"
#include "assay/project/learnings.h"
#include "assay/project/results.h"
#include "assay/project/tasks.h"
#include "assay/project/trends.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr int kVersion = 1;
constexpr int kBusyMilliseconds = 3000;

using FileClock = fs::file_time_type::clock;

[[noreturn]] void fail_sqlite(sqlite3* database) {
  int code = sqlite3_errcode(database) & 0xFF;
  throw SqliteFailure(sqlite3_errmsg(database),
                      code == SQLITE_BUSY || code == SQLITE_LOCKED);
}

class Statement {
 public:
  Statement(sqlite3* database, std::string_view sql) : database_(database) {
    check(sqlite3_prepare_v2(database,
                             sql.data(),
                             static_cast<int>(sql.size()),
                             &statement_,
                             nullptr));
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(std::string_view text) {
    check(sqlite3_bind_text64(statement_,
                              ++bound_,
                              text.data(),
                              text.size(),
                              SQLITE_TRANSIENT,
                              SQLITE_UTF8));
    return *this;
  }
  Statement& bind(int64_t number) {
    check(sqlite3_bind_int64(statement_, ++bound_, number));
    return *this;
  }
  /** True while there are rows. */
  bool step() {
    int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) {
      check(code);
    }
    return code == SQLITE_ROW;
  }
  std::string text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_, column);
    auto size = sqlite3_column_bytes(statement_, column);
    return bytes == nullptr ? std::string()
                            : std::string(reinterpret_cast<const char*>(bytes),
                                          static_cast<size_t>(size));
  }
  int64_t integer(int column) const {
    return sqlite3_column_int64(statement_, column);
  }
  double number(int column) const {
    return sqlite3_column_double(statement_, column);
  }

 private:
  void check(int code) const {
    if (code != SQLITE_OK) {
      fail_sqlite(database_);
    }
  }

  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

int64_t count_of(FileClock::duration duration) {
  return static_cast<int64_t>(duration.count());
}

int64_t now() {
  return count_of(FileClock::now().time_since_epoch());
}

// Two changes within the grain of a file system's clock look like one.
int64_t grain() {
  return count_of(std::chrono::seconds(2));
}

struct FileState {
  int64_t time = 0, size = 0;
};

std::optional<FileState> state_of(const Store& store, const std::string& file) {
  std::error_code error;
  auto path = store.root() / file;
  auto time = fs::last_write_time(path, error);
  if (error) {
    return {};
  }
  auto size = fs::file_size(path, error);
  return error ? std::nullopt
               : std::optional(FileState{count_of(time.time_since_epoch()),
                                         static_cast<int64_t>(size)});
}

void add_markdown_in(const Store& store,
                     std::string_view folder,
                     std::vector<std::string>& files) {
  std::set<std::string> found;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(store.root() / folder, error)) {
    auto name = entry.path().filename().string();
    std::error_code ignored;
    if (name.ends_with(".md") && entry.is_regular_file(ignored)) {
      found.insert(fmt::format("{}/{}", folder, name));
    }
  }
  files.insert(files.end(), found.begin(), found.end());
}

Passage passage_of(const Run& run) {
  Passage passage;
  passage.kind = RecallKind::result;
  passage.file = kLedgerFile;
  passage.line = run.line;
  passage.title = fmt::format("Results > {}", run.kind);
  passage.text = fmt::format("{} {} {} ({})",
                             run.time.substr(0, 10),
                             run.id,
                             run.model.name,
                             run.kind);
  for (const auto& value : run.values) {
    passage.text +=
        fmt::format("; {} {}", value.what, figure(value.value, value.unit));
    if (!value.settings.empty()) {
      passage.text += fmt::format(" ({})", joined_facts(value.settings, ", "));
    }
  }
  for (const auto& part : {joined_facts(run.settings, "; "),
                           joined_facts(run.conditions, "; "),
                           run.model.path,
                           run.command}) {
    passage.text += (part.empty() ? "" : "; ") + part;
  }
  return passage;
}

// The code point at `at` and its length; an invalid byte is one of itself.
std::pair<uint32_t, size_t> code_point(std::string_view text, size_t at) {
  auto byte = static_cast<unsigned char>(text[at]);
  size_t length = byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
  if (byte < 0xC0 || at + length > text.size()) {
    return {byte, 1};
  }
  auto point = static_cast<uint32_t>(byte & (0xFF >> (length + 1)));
  for (size_t index = 1; index < length; ++index) {
    auto next = static_cast<unsigned char>(text[at + index]);
    if ((next & 0xC0) != 0x80) {
      return {byte, 1};
    }
    point = point << 6 | (next & 0x3F);
  }
  return {point, length};
}

// Han, kana, Hangul: Unicode's blocks of CJK.
bool stands_alone(uint32_t point) {
  return (point >= 0x2E80 && point <= 0x9FFF &&
          !(point >= 0x3000 && point <= 0x3020)) ||
         (point >= 0xAC00 && point <= 0xD7AF) ||
         (point >= 0xF900 && point <= 0xFAFF) ||
         (point >= 0x20000 && point <= 0x3FFFF);
}

}  // namespace

std::vector<std::string> recall_files(const Store& store) {
  std::vector<std::string> files;
  std::error_code error;
  constexpr std::array<std::string_view, 5> kSingle = {
      kTasksFile, "README.md", "AGENTS.md", "CLAUDE.md", "test/README.md"};
  for (auto file : kSingle) {
    if (fs::is_regular_file(store.root() / file, error)) {
      files.emplace_back(file);
    }
  }
  add_markdown_in(store, "reference", files);
  add_markdown_in(store, kDecisionsFolder, files);
  if (fs::is_regular_file(store.root() / kLedgerFile, error)) {
    files.emplace_back(kLedgerFile);
  }
  return files;
}

std::string searchable(std::string_view text) {
  std::string result;
  for (size_t at = 0; at < text.size();) {
    auto [point, length] = code_point(text, at);
    auto letter = text.substr(at, length);
    if (stands_alone(point)) {
      result += fmt::format(" {} ", letter);
    } else if (point != 0) {
      result += letter;
    }
    at += length;
  }
  return result;
}

RecallIndex::RecallIndex(const fs::path& file) : file_(file) {
  auto name = file.empty() ? std::string(":memory:") : file.string();
  int code = sqlite3_open_v2(
      name.c_str(),
      &database_,
      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
      nullptr);
  try {
    if (code != SQLITE_OK) {
      fail_sqlite(database_);
    }
    sqlite3_busy_timeout(database_, kBusyMilliseconds);
    make_tables();
  } catch (...) {
    sqlite3_close_v2(database_);
    throw;
  }
}

RecallIndex::~RecallIndex() {
  sqlite3_close_v2(database_);
}

void RecallIndex::run(const std::string& sql) {
  if (sqlite3_exec(database_, sql.c_str(), nullptr, nullptr, nullptr) !=
      SQLITE_OK) {
    fail_sqlite(database_);
  }
}

void RecallIndex::make_tables() {
  // A loss of power may break the index: then it is made anew. A killed
  // process leaves a journal, which the next one rolls back.
  run("PRAGMA synchronous = OFF; PRAGMA trusted_schema = OFF;");
  auto version = Statement(database_, "PRAGMA user_version");
  version.step();
  if (version.integer(0) == kVersion) {
    expect_stamp();
    return;
  }
  run(fmt::format(
      "BEGIN IMMEDIATE;"
      "DROP TABLE IF EXISTS file; DROP TABLE IF EXISTS passage;"
      "DROP TABLE IF EXISTS words; DROP TABLE IF EXISTS stamp;"
      "CREATE TABLE stamp(time INTEGER);"
      "CREATE TABLE file(path TEXT PRIMARY KEY, time INTEGER, size INTEGER,"
      " hash TEXT, seen INTEGER);"
      "CREATE TABLE passage(id INTEGER PRIMARY KEY, file TEXT, key TEXT,"
      " kind TEXT, line INTEGER, offset INTEGER, title TEXT, text TEXT);"
      "CREATE INDEX passage_file ON passage(file, key);"
      "CREATE VIRTUAL TABLE words USING fts5(title, text, content='',"
      " tokenize='porter unicode61 remove_diacritics 2');"
      "PRAGMA user_version = {};"
      "COMMIT;",
      kVersion));
}

// SQLite does not see every damage. The database says which time its file must
// have: whatever else writes to the file sets another one.
void RecallIndex::expect_stamp() {
  auto query = Statement(database_, "SELECT time FROM stamp");
  std::error_code error;
  if (!file_.empty() && query.step() &&
      query.integer(0) !=
          count_of(fs::last_write_time(file_, error).time_since_epoch())) {
    throw SqliteFailure("something else wrote to it", false);
  }
}

void RecallIndex::commit() {
  using std::chrono::seconds;
  // Whole seconds, which every file system keeps.
  auto time = std::chrono::time_point_cast<FileClock::duration>(
      std::chrono::floor<seconds>(FileClock::now()));
  run(fmt::format("DELETE FROM stamp; INSERT INTO stamp VALUES({}); COMMIT;",
                  count_of(time.time_since_epoch())));
  std::error_code ignored;
  if (!file_.empty()) {
    fs::last_write_time(file_, time, ignored);
  }
}

std::vector<std::string> RecallIndex::known_files() {
  std::vector<std::string> files;
  auto query = Statement(database_, "SELECT path FROM file ORDER BY path");
  while (query.step()) {
    files.push_back(query.text(0));
  }
  return files;
}

bool RecallIndex::is_stale(const Store& store,
                           const std::string& file,
                           bool settle) {
  auto query = Statement(
      database_, "SELECT time, size, hash, seen FROM file WHERE path = ?");
  query.bind(file);
  auto state = state_of(store, file);
  if (!query.step() || !state) {
    return true;
  }
  bool same =
      query.integer(0) == state->time && query.integer(1) == state->size;
  if (same && state->time < query.integer(3) - grain()) {
    return false;
  }
  bool equal = query.integer(1) == state->size &&
               query.text(2) == sha256(store.read(file).value_or(""));
  if (equal && settle) {
    note_state(store, file);
  }
  return !equal;
}

void RecallIndex::note_state(const Store& store, const std::string& file) {
  // The state before the content: a change between the two is seen next time.
  auto state = state_of(store, file).value_or(FileState());
  auto seen = now();
  auto hash = sha256(store.read(file).value_or(""));
  Statement(database_,
            "INSERT OR REPLACE INTO file(path, time, size, hash, seen)"
            " VALUES(?, ?, ?, ?, ?)")
      .bind(file)
      .bind(state.time)
      .bind(state.size)
      .bind(hash)
      .bind(seen)
      .step();
}

void RecallIndex::forget_state(const std::string& file) {
  Statement(database_, "DELETE FROM file WHERE path = ?").bind(file).step();
}

void RecallIndex::remove(const std::string& file, const std::string& key) {
  std::string where = key.empty() ? "file = ?" : "file = ? AND key = ?";
  auto query = Statement(database_,
                         "SELECT id, title, text FROM passage WHERE " + where);
  query.bind(file);
  if (!key.empty()) {
    query.bind(key);
  }
  while (query.step()) {
    Statement(database_,
              "INSERT INTO words(words, rowid, title, text)"
              " VALUES('delete', ?, ?, ?)")
        .bind(query.integer(0))
        .bind(searchable(query.text(1)))
        .bind(searchable(query.text(2)))
        .step();
  }
  auto drop = Statement(database_, "DELETE FROM passage WHERE " + where);
  drop.bind(file);
  if (!key.empty()) {
    drop.bind(key);
  }
  drop.step();
}

void RecallIndex::add(const Passage& passage, const std::string& key) {
  Statement(database_,
            "INSERT INTO passage(file, key, kind, line, offset, title, text)"
            " VALUES(?, ?, ?, ?, ?, ?, ?)")
      .bind(passage.file)
      .bind(key)
      .bind(name(passage.kind))
      .bind(static_cast<int64_t>(passage.line))
      .bind(static_cast<int64_t>(passage.offset))
      .bind(passage.title)
      .bind(passage.text)
      .step();
  Statement(database_, "INSERT INTO words(rowid, title, text) VALUES(?, ?, ?)")
      .bind(static_cast<int64_t>(sqlite3_last_insert_rowid(database_)))
      .bind(searchable(passage.title))
      .bind(searchable(passage.text))
      .step();
}

void RecallIndex::index_document(const Store& store, const std::string& file) {
  auto document = store.document(file);
  remove(file);
  for (const auto& passage : passages_of(document)) {
    add(passage, "");
  }
}

// Lines are only added to a ledger: the runs that are known stay.
void RecallIndex::index_ledger(const Store& store,
                               std::vector<Finding>& findings) {
  auto ledger = read_ledger(store);
  findings.insert(
      findings.end(), ledger.findings.begin(), ledger.findings.end());
  std::map<std::string, std::pair<int64_t, std::string>> known;
  auto query = Statement(database_,
                         "SELECT key, line, text FROM passage WHERE file = ?");
  query.bind(kLedgerFile);
  while (query.step()) {
    known[query.text(0)] = {query.integer(1), query.text(2)};
  }
  for (const auto& run : ledger.runs) {
    auto passage = passage_of(run);
    auto before = known.find(run.id);
    bool same = before != known.end() && before->second.first == run.line &&
                before->second.second == passage.text;
    if (before != known.end()) {
      known.erase(before);
      if (!same) {
        remove(passage.file, run.id);
      }
    }
    if (!same) {
      add(passage, run.id);
    }
  }
  for (const auto& [id, gone] : known) {
    remove(std::string(kLedgerFile), id);
  }
}

void RecallIndex::index_file(const Store& store,
                             const std::string& file,
                             std::vector<Finding>& findings) {
  note_state(store, file);
  auto before = findings.size();
  if (file == kLedgerFile) {
    index_ledger(store, findings);
  } else {
    index_document(store, file);
  }
  if (findings.size() > before) {
    // Not settled: what is wrong is said at each search.
    forget_state(file);
  }
}

void RecallIndex::refresh(const Store& store, std::vector<Finding>& findings) {
  auto files = recall_files(store);
  std::ranges::sort(files);
  auto known = known_files();
  bool same = files == known;
  auto unreadable = [&](const Error& error) {
    findings.push_back(error.finding());
  };
  bool stale = !same;
  for (size_t index = 0; !stale && index < files.size(); ++index) {
    try {
      stale = is_stale(store, files[index], false);
    } catch (const Error&) {
      stale = true;
    }
  }
  if (!stale) {
    return;
  }
  run("BEGIN IMMEDIATE");
  try {
    for (const auto& file : known) {
      if (std::ranges::find(files, file) == files.end()) {
        remove(file);
        forget_state(file);
      }
    }
    for (const auto& file : files) {
      try {
        if (is_stale(store, file, true)) {
          index_file(store, file, findings);
        }
      } catch (const Error& error) {
        remove(file);
        forget_state(file);
        unreadable(error);
      }
    }
    commit();
  } catch (...) {
    sqlite3_exec(database_, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

std::vector<IndexedPassage> RecallIndex::search(const std::string& query,
                                                const RecallOptions& options) {
  std::string kinds;
  for (auto kind : options.kinds) {
    kinds += fmt::format("{}'{}'", kinds.empty() ? "" : ", ", name(kind));
  }
  auto select = Statement(
      database_,
      fmt::format(
          "SELECT p.kind, p.file, p.line, p.offset, p.title, p.text,"
          " p.key, bm25(words, 2.0, 1.0) AS rank"
          " FROM words JOIN passage p ON p.id = words.rowid"
          " WHERE words MATCH ?{} ORDER BY rank, p.id LIMIT ?",
          kinds.empty() ? "" : fmt::format(" AND p.kind IN ({})", kinds)));
  select.bind(query).bind(static_cast<int64_t>(options.limit));
  std::vector<IndexedPassage> found;
  while (select.step()) {
    found.push_back({{recall_kind(select.text(0)).value_or(RecallKind::text),
                      select.text(1),
                      static_cast<int>(select.integer(2)),
                      static_cast<size_t>(select.integer(3)),
                      select.text(4),
                      select.text(5)},
                     select.text(6),
                     -select.number(7)});
  }
  return found;
}

}  // namespace assay::project
