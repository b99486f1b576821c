#pragma once

// The safety verdict on a file that some program would unpickle: every pickle
// in it, in whatever it is packed, and what its container hides. A file is
// judged as torch.load, pickle.load, numpy.load and joblib.load would open it.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/pickle_judge.h"

namespace assay {

struct FileSafety {
  std::filesystem::path path;
  std::string container;  ///< "PyTorch", "tar", "7z archive"
  Safety safety = Safety::safe;
  /** False for bytes that no unpickler would take a step in. */
  bool loads = false;
  struct Reason {
    Safety level = Safety::undecided;
    std::string place;    ///< "archive/data.pkl", "pickle 2"; may be empty
    uint64_t offset = 0;  ///< in the file; of packed data, in the entry
    std::string text;
  };
  std::vector<Reason> reasons;        ///< the worst first
  std::vector<PickleImport> imports;  ///< each once
};

FileSafety judge_bytes(std::span<const std::byte> bytes,
                       const std::filesystem::path& path);

/** All files of a folder, and of those below it, that are named like pickles
 * or begin like one; or the one file, if it is or does. One that cannot be
 * read is undecided. */
std::vector<FileSafety> judge_path(const std::filesystem::path& path);

/** pickle.unsafe for each reason (of many the first), pickle.undecided. */
std::vector<Finding> findings_of(const FileSafety& file);

/** True where a pickle of protocol 2 or later begins, or what packs pickles
 * (zip, tar, gzip, npy), or an archive or program that is no model. */
bool begins_loadable(std::span<const std::byte> bytes);

/** True for .bin, .pt, .pth, .ckpt, .pkl and their kin. */
bool is_pickle_name(const std::filesystem::path& path);

}  // namespace assay
