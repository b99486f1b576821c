#include "assay/project/fingerprint.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/document.h"
#include "assay/project/hash.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kWhole = 4u << 20;
constexpr uint64_t kHead = 1u << 20;
constexpr uint64_t kPiece = 4096;
constexpr uint64_t kPieces = 256;
constexpr int kDepth = 8;

std::string content_hash(const fs::path& path) {
  auto file = MappedFile(path);
  if (file.size() <= kWhole) {
    return sha256(file.text());
  }
  std::string sample(file.text().substr(0, kHead));
  sample.reserve(kHead + kPieces * kPiece);
  auto last = file.size() - kPiece;
  for (uint64_t piece = 0; piece < kPieces; ++piece) {
    // By parts, as the product could exceed 64 bits.
    auto at = last / (kPieces - 1) * piece +
              last % (kPieces - 1) * piece / (kPieces - 1);
    sample += file.text().substr(at, kPiece);
  }
  return sha256(sample);
}

bool belongs(const fs::path& file) {
  constexpr std::array<std::string_view, 8> kOthers = {
      ".md", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".pdf", ".log"};
  auto name = to_lower(file.filename().string());
  return !name.starts_with('.') && !name.starts_with("license") &&
         std::ranges::none_of(
             kOthers, [&](auto ending) { return name.ends_with(ending); });
}

using Files = std::map<std::string, fs::path>;

Files files_below(const fs::path& folder) {
  Files files;
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(folder, error);
  for (; !error && walk != fs::recursive_directory_iterator();
       walk.increment(error)) {
    const auto& path = walk->path();
    std::error_code ignored;
    if (walk->is_directory(ignored)) {
      bool hidden = path.filename().string().starts_with('.');
      if (hidden || walk.depth() >= kDepth) {
        walk.disable_recursion_pending();
      }
    } else if (walk->is_regular_file(ignored) && belongs(path)) {
      files[path.lexically_relative(folder).generic_string()] = path;
    }
  }
  if (error) {
    fail("file.unreadable",
         folder.string(),
         "a folder that can be listed",
         error.message());
  }
  return files;
}

// "x-00002-of-00003.gguf" gives "x-"; other names nothing.
std::string split_start(const std::string& name) {
  constexpr std::string_view kForm = "00000-of-00000.gguf";
  if (name.size() <= kForm.size()) {
    return {};
  }
  auto start = name.size() - kForm.size();
  for (size_t at = 0; at < kForm.size(); ++at) {
    char letter = name[start + at];
    bool digit = letter >= '0' && letter <= '9';
    if (kForm[at] == '0' ? !digit : letter != kForm[at]) {
      return {};
    }
  }
  return name.substr(0, start);
}

Files parts_of(const fs::path& file) {
  auto name = file.filename().string();
  auto start = split_start(name);
  Files files = {{name, file}};
  if (start.empty()) {
    return files;
  }
  auto folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    auto other = entry.path().filename().string();
    if (split_start(other) == start) {
      files[other] = entry.path();
    }
  }
  return files;
}

}  // namespace

std::string fingerprint(const fs::path& model) {
  std::error_code error;
  auto files =
      fs::is_directory(model, error) ? files_below(model) : parts_of(model);
  std::string manifest;
  for (const auto& [name, path] : files) {
    manifest += fmt::format("{}\n{}\n{}\n",
                            // A single file may be renamed.
                            files.size() == 1 ? "" : name,
                            fs::file_size(path, error),
                            content_hash(path));
  }
  return "s1-" + sha256(manifest).substr(0, 32);
}

ModelIdentity identify(const Store& store, const fs::path& model) {
  // Not through a last link: the caches of hubs link names to hashes.
  std::error_code error;
  auto named = fs::absolute(model).lexically_normal();
  if (!named.has_filename()) {
    named = named.parent_path();
  }
  auto place =
      fs::weakly_canonical(named.parent_path(), error) / named.filename();
  auto inside = place.lexically_relative(store.root());
  bool within = !inside.empty() && *inside.begin() != "..";
  return {named.filename().string(),
          within ? inside.generic_string() : place.generic_string(),
          fingerprint(model)};
}

}  // namespace assay::project
