#pragma once

// Tar archives, listed over mapped bytes: what PyTorch before 0.1.10 wrote, and
// what hides as a checkpoint. Format: POSIX.1-1988 ustar; GNU's long names and
// pax headers are told apart, and what they rename is no checkpoint.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

struct TarEntry {
  std::string name;
  char type = '0';  ///< '0' file, '1' and '2' links, '5' folder...
  uint64_t offset = 0;
  uint64_t bytes = 0;

  bool is_file() const { return type == '0' || type == '\0'; }
};

struct Tar {
  std::vector<TarEntry> entries;
  bool complete = false;  ///< ends as an archive does
  bool extended = false;  ///< pax or GNU headers, which rename entries

  /** The last of that name, as Python's tarfile takes it; or null. */
  const TarEntry* find(std::string_view name) const;
};

/** True where a header with the right checksum stands first. */
bool starts_as_tar(std::span<const std::byte> bytes);

/** Throws nothing: an archive that breaks off keeps what came before. */
Tar read_tar(std::span<const std::byte> bytes);

}  // namespace assay
