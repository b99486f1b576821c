#include "assay/diagnose/draft.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/platform.h"
#include "assay/core/unified_diff.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxDocument = 64u << 20;
constexpr int kMaxDepth = 4;
constexpr size_t kMaxFiles = 10'000;

// A folder that nobody else can have made, nor can look into.
fs::path make_private_folder() {
  auto parent = fs::temp_directory_path();
  for (int i = 0; i < 1000; ++i) {
    auto path =
        parent / fmt::format("assay-fix-{}-{}", platform::process_id(), i);
    std::error_code error;
    if (fs::create_directory(path, error)) {
      fs::permissions(path, fs::perms::owner_all);
      return path;
    }
  }
  fail("file.unwritable",
       parent.string(),
       "room for a temporary folder",
       "none could be made");
}

bool is_hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> found;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    found.push_back(*entry);
  }
  if (error) {
    fail("file.unreadable",
         folder.string(),
         "a folder that can be read",
         error.message());
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace

std::string_view FileChange::kind() const {
  if (from.empty()) {
    return "written";
  }
  if (to.empty()) {
    return "left out";
  }
  bool edited = before != after;
  return from == to ? "edited" : edited ? "renamed and edited" : "renamed";
}

std::string FileChange::diff() const {
  std::string text;
  if (!from.empty() && !to.empty() && from != to) {
    text = fmt::format(
        "rename from {}\nrename to {}\n", from.string(), to.string());
  } else if (to.empty() && !is_text) {
    text = fmt::format("leave out {}\n", from.string());
  }
  if (!is_text) {
    return text;
  }
  return text + unified_diff(before,
                             after,
                             {from.empty() ? "/dev/null" : "a/" + from.string(),
                              to.empty() ? "/dev/null" : "b/" + to.string()});
}

Draft::Draft(fs::path model) : model_(std::move(model)) {
  if (!model_.has_filename()) {
    model_ = model_.parent_path();
  }
  std::error_code error;
  if (!fs::is_directory(model_, error)) {
    fail("fix.not-a-folder",
         model_.string(),
         "a folder of documents and weights",
         fs::exists(model_, error) ? "a file" : "nothing there");
  }
  outer_ = make_private_folder();
  auto name = fs::canonical(model_).filename();
  folder_ = outer_ / (name.empty() ? fs::path("model") : name);
  try {
    mirror();
  } catch (...) {
    fs::remove_all(outer_, error);
    throw;
  }
}

Draft::~Draft() {
  std::error_code ignored;
  fs::remove_all(outer_, ignored);
}

// Hidden files and folders (caches, version control, backups) stay where they
// are.
void Draft::mirror() {
  struct Level {
    fs::path from, to;
    int depth;
  };
  std::vector<Level> levels = {{fs::canonical(model_), folder_, 0}};
  size_t count = 0;
  while (!levels.empty()) {
    auto level = levels.back();
    levels.pop_back();
    fs::create_directory(level.to);
    for (const auto& entry : entries_of(level.from)) {
      if (is_hidden(entry.path())) {
        continue;
      }
      if (++count > kMaxFiles || level.depth > kMaxDepth) {
        fail("fix.too-large",
             model_.string(),
             fmt::format(
                 "at most {} files, {} folders deep", kMaxFiles, kMaxDepth),
             "more");
      }
      auto to = level.to / entry.path().filename();
      std::error_code error;
      if (entry.is_directory(error)) {
        levels.push_back({entry.path(), to, level.depth + 1});
        continue;
      }
      auto real = fs::canonical(entry.path(), error);
      if (!error && fs::is_regular_file(real, error)) {
        fs::create_symlink(real, to);
      }
    }
  }
}

std::string Draft::in_model(std::string_view text) const {
  std::string out(text);
  auto inside = folder_.string();
  auto outside = model_.string();
  for (auto at = out.find(inside); at != out.npos;
       at = out.find(inside, at + outside.size())) {
    out.replace(at, inside.size(), outside);
  }
  return out;
}

bool Draft::exists(const fs::path& file) const {
  std::error_code error;
  return fs::exists(folder_ / file, error);
}

std::string Draft::text(const fs::path& file) const {
  return read_text(folder_ / file, kMaxDocument);
}

Json Draft::json(const fs::path& file) const {
  return parse_json(text(file), (model_ / file).string());
}

std::vector<std::string> Draft::files(const fs::path& below) const {
  std::vector<std::string> names;
  for (const auto& entry : entries_of(folder_ / below)) {
    if (!entry.is_directory()) {
      names.push_back(entry.path().filename().string());
    }
  }
  return names;
}

std::vector<std::string> Draft::folders() const {
  std::vector<std::string> names;
  for (const auto& entry : entries_of(folder_)) {
    if (entry.is_directory()) {
      names.push_back(entry.path().filename().string());
    }
  }
  return names;
}

FileChange& Draft::change_of(const fs::path& file) {
  ++steps_;
  auto entry = changes_.find(file);
  if (entry == changes_.end()) {
    FileChange change;
    change.from = exists(file) ? file : fs::path();
    change.to = file;
    entry = changes_.emplace(file, std::move(change)).first;
  }
  return entry->second;
}

void Draft::write(const fs::path& file, std::string text, std::string reason) {
  auto& change = change_of(file);
  if (!change.is_text) {
    change.is_text = true;
    change.before = change.from.empty() ? "" : this->text(file);
  }
  change.after = std::move(text);
  change.reasons.push_back(std::move(reason));
  write_text(folder_ / file, change.after);
}

void Draft::set(const fs::path& file,
                JsonPath path,
                const Json& value,
                std::string reason) {
  write(file, set_json_value(text(file), path, value), std::move(reason));
}

void Draft::remove(const fs::path& file, JsonPath path, std::string reason) {
  write(file, remove_json_value(text(file), path), std::move(reason));
}

void Draft::rename(const fs::path& from,
                   const fs::path& to,
                   std::string reason) {
  std::error_code error;
  if (fs::is_directory(folder_ / from, error)) {
    fs::create_directories(folder_ / to);
    for (const auto& name : files(from)) {
      rename(from / name, to / name, reason);
    }
    fs::remove(folder_ / from, error);
    return;
  }
  auto change = change_of(from);
  changes_.erase(from);
  change.to = to;
  change.reasons.push_back(std::move(reason));
  fs::rename(folder_ / from, folder_ / to);
  changes_.emplace(to, std::move(change));
}

void Draft::drop(const fs::path& file, std::string reason) {
  auto change = change_of(file);
  changes_.erase(file);
  fs::remove(folder_ / file);
  if (change.from.empty()) {
    return;  // it never was
  }
  change.to.clear();
  change.after.clear();
  change.reasons.push_back(std::move(reason));
  dropped_.push_back(std::move(change));
}

std::vector<FileChange> Draft::changes() const {
  std::vector<FileChange> all = dropped_;
  for (const auto& [file, change] : changes_) {
    bool nothing = change.from == change.to && change.before == change.after;
    if (!nothing) {
      all.push_back(change);
    }
  }
  std::ranges::sort(all, {}, [](const FileChange& change) {
    return change.to.empty() ? change.from : change.to;
  });
  return all;
}

std::vector<fs::path> Draft::all_files() const {
  std::vector<fs::path> all;
  for (const auto& entry : fs::recursive_directory_iterator(folder_)) {
    if (!entry.is_directory()) {
      all.push_back(entry.path().lexically_relative(folder_));
    }
  }
  std::ranges::sort(all);
  return all;
}

}  // namespace assay
