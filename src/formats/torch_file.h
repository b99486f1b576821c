#pragma once

// The containers of PyTorch's checkpoints, opened the way torch.load opens
// them (zip since 1.6, five pickles and raw storages before, tar before
// 0.1.10), down to their pickles and the places of their storages. Nothing is
// executed; no tensor data is read.

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/formats/pickle.h"
#include "assay/formats/tar.h"
#include "assay/formats/zip.h"

namespace assay {

enum class TorchForm {
  zip,
  script,  ///< a zip with constants.pkl: torch.load hands it to TorchScript
  legacy,
  tar,
  pickles,  ///< one pickle or several, of no checkpoint
};

std::string_view name(TorchForm form);

struct TorchPickle {
  std::string place;      ///< "archive/data.pkl", "pickle 4"
  uint64_t offset = 0;    ///< in the file; of a packed entry, its data
  std::string_view text;  ///< all bytes that it could be read from
  Pickle pickle;
};

/** Bytes of one storage; packed ones lie deflated in `packed` bytes. */
struct TorchStorage {
  uint64_t offset = 0;
  uint64_t bytes = 0;
  uint64_t packed = 0;  ///< 0: stored as they are
};

/** A tensor that a tar describes beside its pickles. */
struct TarTensor {
  std::string storage;
  std::vector<int64_t> shape, strides;
  int64_t first = 0;  ///< element
};

struct TorchFile {
  TorchForm form = TorchForm::pickles;
  std::span<const std::byte> bytes;
  std::optional<Zip> zip;
  std::optional<Tar> tar;
  std::string prefix;  ///< of a zip's entries: "archive/"
  /** As torch would load them; those of a file that breaks off too. */
  std::vector<TorchPickle> pickles;
  std::optional<size_t> main;  ///< of pickles: the one that holds the tensors
  bool big_endian = false;
  /** By key. Of a zip: all entries below "archive/data/". */
  std::map<std::string, TorchStorage, std::less<>> storages;
  /** Element types of a tar's storages ("FloatStorage") and its tensors. */
  std::map<std::string, std::string, std::less<>> storage_types;
  std::map<std::string, TarTensor, std::less<>> tensors;
  /** Why not all could be read as torch would; empty: all was. */
  std::string problem;
  uint64_t end = 0;  ///< where what torch reads ends (not of a zip)
  std::list<std::vector<std::byte>> unpacked;
};

/** Throws Error zip.* for an archive that cannot be listed, or whose pickle
 * cannot be unpacked; all else is in `problem`. `bytes` must outlive it. */
TorchFile open_torch(std::span<const std::byte> bytes, std::string_view where);

/** Entries of that name for torch, which does not tell case apart. */
std::vector<const ZipEntry*> find_records(const TorchFile& file,
                                          std::string_view name);

}  // namespace assay
