// Which files of a folder are judged, and the findings about them.

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/formats/file_safety.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxFiles = 10'000;

// Links are not followed out of the folder; each file is looked at once.
void collect(const fs::path& folder, std::vector<fs::path>& files) {
  std::error_code error;
  std::error_code ignored;
  auto walk = fs::recursive_directory_iterator(
      folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && walk != fs::recursive_directory_iterator();
       walk.increment(error)) {
    if (walk.depth() > 3) {
      walk.disable_recursion_pending();
    }
    if (walk->is_regular_file(ignored) && files.size() < kMaxFiles) {
      files.push_back(walk->path());
    }
  }
  std::ranges::sort(files);
}

}  // namespace

bool is_pickle_name(const fs::path& path) {
  constexpr std::array<std::string_view, 17> kNames = {".bin",
                                                       ".pt",
                                                       ".pth",
                                                       ".ckpt",
                                                       ".pkl",
                                                       ".pickle",
                                                       ".joblib",
                                                       ".npy",
                                                       ".npz",
                                                       ".dill",
                                                       ".th",
                                                       ".p",
                                                       ".pk",
                                                       ".pickl3",
                                                       ".mar",
                                                       ".dat",
                                                       ".data"};
  auto suffix = path.extension().string();
  if (suffix == ".gz") {
    suffix = path.stem().extension().string();
  }
  std::ranges::transform(suffix, suffix.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return std::ranges::find(kNames, suffix) != kNames.end();
}

std::vector<FileSafety> judge_path(const fs::path& path) {
  std::error_code error;
  std::vector<FileSafety> verdicts;
  std::vector<fs::path> files;
  bool folder = fs::is_directory(path, error);
  if (folder) {
    collect(path, files);
  } else {
    files.push_back(path);
  }
  for (const auto& file : files) {
    try {
      auto map = MappedFile(file);
      if (is_pickle_name(file) || begins_loadable(map.bytes())) {
        auto verdict = judge_bytes(map.bytes(), file);
        // Of a folder, what no unpickler takes a step in is no pickle.
        if (!folder || verdict.loads || verdict.safety == Safety::unsafe) {
          verdicts.push_back(std::move(verdict));
        }
      }
    } catch (const Error& failure) {
      FileSafety unread{file, "", Safety::undecided, true, {}, {}};
      unread.reasons.push_back(
          {Safety::undecided, "", 0, failure.finding().actual});
      verdicts.push_back(std::move(unread));
    }
  }
  return verdicts;
}

std::vector<Finding> findings_of(const FileSafety& file) {
  constexpr size_t kShown = 8;
  std::vector<Finding> findings;
  auto where = [&](const FileSafety::Reason& reason) {
    return fmt::format("{}: {}{}byte {}",
                       file.path.string(),
                       reason.place,
                       reason.place.empty() ? "" : ", ",
                       reason.offset);
  };
  for (const auto& reason : file.reasons) {
    bool unsafe = reason.level == Safety::unsafe;
    // What is not known matters only where nothing is worse.
    if (findings.size() < kShown && reason.level == file.safety) {
      findings.push_back(
          make_finding(unsafe ? "pickle.unsafe" : "pickle.undecided",
                       where(reason),
                       "tensors and plain data",
                       reason.text));
    }
  }
  return findings;
}

}  // namespace assay
