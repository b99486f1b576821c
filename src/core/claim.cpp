#include "assay/core/claim.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

#include "assay/core/platform_folder.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kMark = ".partial-";

// The process in a name such as "model.partial-4711".
std::optional<int> process_in(std::string_view name, std::string_view start) {
  if (!name.starts_with(start)) {
    return {};
  }
  auto digits = name.substr(start.size());
  int number = 0;
  auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number);
  bool whole = error == std::errc() && end == digits.data() + digits.size();
  return whole && number > 0 ? std::optional(number) : std::nullopt;
}

}  // namespace

Claim::Claim(const fs::path& partial) : lock_(platform::lock_folder(partial)) {
  auto own = partial.filename().string();
  auto start = own.substr(0, own.rfind(kMark) + kMark.size());
  auto folder =
      partial.has_parent_path() ? partial.parent_path() : fs::path(".");
  std::vector<fs::path> left;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    auto process = process_in(entry.path().filename().string(), start);
    if (process && !entry.is_symlink(error) && entry.is_directory(error) &&
        !platform::process_lives(*process)) {
      left.push_back(partial.parent_path() / entry.path().filename());
    }
  }
  for (const auto& path : left) {
    remove_leftover(path);
  }
}

Claim::~Claim() {
  platform::unlock_folder(lock_);
}

// Where the file system has no locks, nothing is touched.
void Claim::remove_leftover(const fs::path& folder) {
  int lock = platform::lock_folder(folder);
  if (lock < 0) {
    return;
  }
  std::error_code error;
  fs::remove_all(folder, error);
  platform::unlock_folder(lock);
  findings_.push_back(make_finding(
      "file.leftover",
      folder.string(),
      "no unfinished result, or a job that still writes it",
      error
          ? "one of a job that is gone; it can't be removed: " + error.message()
          : "one of a job that is gone; it was removed"));
}

}  // namespace assay
