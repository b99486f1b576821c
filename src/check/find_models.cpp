#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "assay/check/scan.h"
#include "assay/core/file.h"
#include "assay/formats/quote.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr std::array<std::string_view, 9> kWeights = {".safetensors",
                                                      ".gguf",
                                                      ".bin",
                                                      ".pt",
                                                      ".pth",
                                                      ".ckpt",
                                                      ".onnx",
                                                      ".npz",
                                                      ".h5"};

// Each says that the folder as a whole is one model.
constexpr std::array<std::string_view, 8> kModelDocuments = {
    "model_index.json",
    "config.json",
    "adapter_config.json",
    "scheduler_config.json",
    "modules.json",
    "params.json",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json"};

struct Contents {
  std::vector<fs::path> weights;
  std::vector<fs::path> folders;
  bool is_model = false;  ///< a document says so
};

// The part of a name that the pieces of one split model share:
// "model-00001-of-00003.gguf" gives "model-".
std::string stem_of_parts(const fs::path& file) {
  auto stem = file.stem().string();
  auto of = stem.rfind("-of-");
  if (of == std::string::npos) {
    return stem;
  }
  auto digits = [](std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  };
  auto dash = stem.rfind('-', of - 1);
  bool split = of > 0 && dash != std::string::npos &&
               digits(std::string_view(stem).substr(of + 4)) &&
               digits(std::string_view(stem).substr(dash + 1, of - dash - 1));
  return split ? stem.substr(0, dash + 1) : stem;
}

// One model a stem; a projector belongs to the model beside it.
std::vector<fs::path> first_of_each(const std::vector<fs::path>& weights) {
  std::set<std::string> seen;
  std::vector<fs::path> first;
  for (const auto& file : weights) {
    auto stem = stem_of_parts(file) + file.extension().string();
    if (seen.insert(std::move(stem)).second) {
      first.push_back(file);
    }
  }
  return first;
}

bool is_projector_file(const fs::path& file) {
  return file.extension() == ".gguf" &&
         file.filename().string().starts_with("mmproj");
}

bool one_model(const Contents& contents) {
  auto files = first_of_each(contents.weights);
  std::erase_if(files, is_projector_file);
  return contents.is_model || (!contents.weights.empty() && files.size() <= 1);
}

class Finder {
 public:
  Finder(ModelList& list, const ScanLimits& limits)
      : list_(list), limits_(limits) {}

  void look(const fs::path& folder, size_t depth) {
    if (full_ || !enter(folder)) {
      return;
    }
    auto contents = list(folder);
    if (one_model(contents)) {
      add(folder);
    } else {
      for (const auto& file : first_of_each(contents.weights)) {
        add(file);
      }
      descend(folder, contents.folders, depth);
    }
    above_.pop_back();
  }

 private:
  // False for a folder that was looked at, or that leads back to one above.
  bool enter(const fs::path& folder) {
    std::error_code error;
    auto real = fs::canonical(folder, error);
    if (error) {
      unreadable(folder, error);
      return false;
    }
    if (std::ranges::find(above_, real) != above_.end()) {
      list_.findings.push_back(make_finding("scan.loop",
                                            folder.string(),
                                            "a folder that holds models",
                                            "a link to " + real.string()));
      return false;
    }
    if (!seen_.insert(real).second) {
      return false;
    }
    above_.push_back(std::move(real));
    return true;
  }

  Contents list(const fs::path& folder) {
    Contents contents;
    std::error_code error;
    for (fs::directory_iterator entry(folder, error), end;
         !error && entry != end;
         entry.increment(error)) {
      if (++entries_ > limits_.entries) {
        stop(folder, fmt::format("{} files and folders", limits_.entries));
        break;
      }
      take(entry->path(), contents);
    }
    if (error) {
      unreadable(folder, error);
    }
    std::ranges::sort(contents.weights);
    std::ranges::sort(contents.folders);
    return contents;
  }

  static void take(const fs::path& path, Contents& contents) {
    auto name = path.filename().string();
    std::error_code ignored;
    if (name.starts_with('.')) {
      return;
    }
    if (fs::is_directory(path, ignored)) {
      contents.folders.push_back(path);
    } else if (std::ranges::find(kModelDocuments, name) !=
               kModelDocuments.end()) {
      contents.is_model = true;
    } else if (std::ranges::find(kWeights, path.extension().string()) !=
                   kWeights.end() &&
               name != "training_args.bin") {
      contents.weights.push_back(path);
    }
  }

  void descend(const fs::path& folder,
               const std::vector<fs::path>& folders,
               size_t depth) {
    auto name = folder.filename().string();
    if (name.starts_with("models--")) {
      descend_snapshots(folder, depth);
      return;
    }
    for (const auto& child : folders) {
      auto own = child.filename().string();
      if (own.starts_with("datasets--") || own.starts_with("spaces--")) {
        continue;  // of the same cache, and no models
      }
      if (depth >= limits_.depth) {
        stop(child, fmt::format("{} levels of folders", limits_.depth));
        return;
      }
      look(child, depth + 1);
    }
  }

  // models--ORG--NAME: refs/main names the snapshot in use; blobs are what
  // its links point to.
  void descend_snapshots(const fs::path& folder, size_t depth) {
    std::error_code error;
    auto ref = folder / "refs" / "main";
    if (fs::is_regular_file(ref, error)) {
      constexpr uint64_t kMaxRef = 1024;
      try {
        auto revision = read_text(ref, kMaxRef);
        revision.erase(revision.find_last_not_of(" \r\n") + 1);
        auto snapshot = folder / "snapshots" / revision;
        bool plain = !revision.empty() && !revision.starts_with('.') &&
                     revision.find_first_of("/\\") == revision.npos;
        if (plain && fs::is_directory(snapshot, error)) {
          look(snapshot, depth + 2);
          return;
        }
      } catch (const Error& failure) {
        list_.findings.push_back(failure.finding());
      }
    }
    auto snapshots = folder / "snapshots";
    if (fs::is_directory(snapshots, error)) {
      look(snapshots, depth + 1);
    }
  }

  void add(const fs::path& model) {
    if (list_.models.size() >= limits_.models) {
      stop(model, fmt::format("{} models", limits_.models));
    } else if (!full_) {
      list_.models.push_back(model);
    }
  }

  void stop(const fs::path& where, std::string limit) {
    if (!full_) {
      list_.findings.push_back(make_finding("scan.limit",
                                            where.string(),
                                            "at most " + std::move(limit),
                                            "more; these were not checked"));
    }
    // Depth bounds one branch; the others end the scan.
    full_ = full_ || entries_ > limits_.entries ||
            list_.models.size() >= limits_.models;
  }

  void unreadable(const fs::path& folder, const std::error_code& error) {
    list_.findings.push_back(make_finding("file.unreadable",
                                          folder.string(),
                                          "a folder that can be listed",
                                          error.message()));
  }

  ModelList& list_;
  const ScanLimits& limits_;
  std::vector<fs::path> above_;
  std::set<fs::path> seen_;
  size_t entries_ = 0;
  bool full_ = false;
};

}  // namespace

ModelList find_models(const fs::path& path, const ScanLimits& limits) {
  ModelList list;
  std::error_code error;
  if (fs::is_directory(path, error)) {
    // "." and "folder/" have a name only once they are resolved.
    auto clean =
        path.has_filename() && path.filename() != "." && path.filename() != ".."
            ? path
            : fs::weakly_canonical(path, error);
    Finder(list, limits).look(clean, 0);
    if (list.models.size() == 1 && list.models.front() == clean) {
      list.models.front() = path;
    }
  }
  if (list.models.empty() && list.findings.empty()) {
    list.models.push_back(path);
  }
  return list;
}

}  // namespace assay
