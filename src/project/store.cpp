#include "assay/project/store.h"

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/platform_process.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr int kAttempts = 5;
// What git must not carry: locks and what is particular to this machine.
constexpr std::string_view kNotesIgnore = "*\n!.gitignore\n!templates.json\n";

void make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    fail("file.unwritable",
         folder.string(),
         "a folder that can be made",
         error.message());
  }
}

template <class Test>
fs::path nearest(fs::path folder, const Test& test) {
  while (!test(folder)) {
    if (folder == folder.parent_path()) {
      return {};
    }
    folder = folder.parent_path();
  }
  return folder;
}

// Of writers that were killed: whoever holds the lock is the only one.
void remove_leftovers(const fs::path& path) {
  auto start = path.filename().string() + ".partial-";
  auto is_leftover = [&](const std::string& name) {
    return name.size() > start.size() && name.starts_with(start) &&
           name.find_first_not_of("0123456789", start.size()) ==
               std::string::npos;
  };
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), error)) {
    if (is_leftover(entry.path().filename().string())) {
      std::error_code ignored;
      fs::remove(entry.path(), ignored);
    }
  }
}

void replace_file(const fs::path& path, std::string_view text) {
  remove_leftovers(path);
  write_text(path, text);
}

}  // namespace

fs::path find_project(const fs::path& start) {
  std::error_code error;
  auto folder = fs::weakly_canonical(start, error);
  if (error) {
    folder = fs::absolute(start);
  }
  // A repository is a project as well, where nothing nearer says so.
  auto marked = nearest(folder, [](const fs::path& at) {
    std::error_code ignored;
    return fs::is_regular_file(at / "assay.toml", ignored) ||
           fs::is_directory(at / kNotesFolder, ignored);
  });
  if (marked.empty()) {
    marked = nearest(folder, [](const fs::path& at) {
      std::error_code ignored;
      return fs::exists(at / ".git", ignored);
    });
  }
  if (!marked.empty()) {
    return marked;
  }
  fail("project.absent",
       folder.string(),
       "an assay.toml or a git repository, here or above",
       "none");
}

Store::Store(fs::path root, std::chrono::milliseconds wait)
    : root_(std::move(root)), wait_(wait) {
  std::error_code error;
  if (auto real = fs::canonical(root_, error); !error) {
    root_ = std::move(real);
  }
}

Store::~Store() {
  if (descriptor_ >= 0) {
    platform::unlock_file(descriptor_);
  }
}

fs::path Store::resolve(std::string_view relative) const {
  std::error_code error;
  auto named = fs::path(relative);
  auto real = fs::weakly_canonical(root_ / named, error);
  auto inside = real.lexically_relative(root_);
  if (error || named.empty() || inside.empty() || inside == "." ||
      *inside.begin() == "..") {
    fail("project.outside",
         std::string(relative),
         fmt::format("a file below {}", root_.string()),
         error ? error.message() : real.string());
  }
  return real;
}

fs::path Store::notes() const {
  auto folder = root_ / kNotesFolder;
  make_folders(folder);
  std::error_code error;
  if (!fs::exists(folder / ".gitignore", error)) {
    write_text(folder / ".gitignore", kNotesIgnore);
  }
  return folder;
}

bool Store::exists(std::string_view relative) const {
  std::error_code error;
  return fs::exists(resolve(relative), error);
}

std::optional<std::string> Store::read(std::string_view relative) const {
  auto path = resolve(relative);
  std::error_code error;
  if (!fs::exists(path, error)) {
    return {};
  }
  return read_text(path);
}

Document Store::document(std::string_view relative) const {
  return {read(relative).value_or(""), std::string(relative)};
}

void Store::lock() {
  if (holders_++ > 0) {
    return;
  }
  try {
    auto folder = notes();
    descriptor_ = platform::lock_file(folder / "lock", wait_);
    if (descriptor_ < 0) {
      fail("project.locked",
           root_.string(),
           fmt::format("the project's lock within {} ms", wait_.count()),
           "another process holds it");
    }
  } catch (...) {
    unlock();
    throw;
  }
}

void Store::unlock() {
  if (--holders_ > 0) {
    return;
  }
  if (descriptor_ >= 0) {
    platform::unlock_file(descriptor_);
    descriptor_ = -1;
  }
}

bool Store::rewrite(std::string_view relative, const Change& change) {
  auto path = resolve(relative);
  auto guard = Guard(*this);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto before = read(relative);
    auto after = change(before.value_or(""));
    if (before == after) {
      return false;
    }
    make_folders(path.parent_path());
    if (read(relative) == before) {
      replace_file(path, after);
      return true;
    }
  }
  fail("project.changing",
       std::string(relative),
       "a file at rest for the moment of an edit",
       fmt::format("it changed {} times meanwhile", kAttempts));
}

bool Store::edit(std::string_view relative,
                 const std::function<void(Document&)>& change) {
  return rewrite(relative, [&](const std::string& now) {
    auto document = Document(now, std::string(relative));
    change(document);
    return document.text();
  });
}

bool Store::create(std::string_view relative, std::string_view text) {
  auto guard = Guard(*this);
  if (exists(relative)) {
    return false;
  }
  auto path = resolve(relative);
  make_folders(path.parent_path());
  replace_file(path, text);
  return true;
}

}  // namespace assay::project
