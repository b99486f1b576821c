#pragma once

// Zip archives, read over a mapped file. Nothing is unpacked until asked for.
// Format: PKWARE's APPNOTE.TXT 6.3.10 (central directory, local headers, zip64,
// data descriptors); methods stored and deflate (RFC 1951). What the parts of
// an archive disagree about, and what one reader would see and another would
// not, is listed and not refused: a verdict needs to know it.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

struct ZipEntry {
  std::string name;     ///< of the central directory
  uint64_t header = 0;  ///< the local header, from the start of the file
  uint64_t data = 0;    ///< the first byte of the data
  uint64_t packed = 0;  ///< bytes in the file
  uint64_t size = 0;    ///< bytes when unpacked
  uint32_t crc = 0;     ///< CRC-32 that the directory states
  uint16_t method = 0;  ///< 0 stored, 8 deflate
  uint16_t flags = 0;
  /** A local header stands where the directory says, and the data lie within
   * the file. */
  bool reachable = false;

  bool stored() const { return method == 0 && packed == size && reachable; }
};

/** Something that no ordinary writer of archives does. */
struct ZipOddity {
  enum class Kind : uint8_t {
    name_differs,    ///< local header and directory name it differently
    field_differs,   ///< sizes, CRC, method or flags
    duplicate_name,  ///< readers take the first, or the last
    unsafe_name,     ///< absolute, or leaves the folder, or unprintable
    encrypted,
    unknown_method,
    unreachable,        ///< no local header there, or data beyond the end
    overlap,            ///< two entries share bytes
    gap,                ///< bytes that belong to nothing
    prefix,             ///< bytes before the first entry
    trailing,           ///< bytes after the end of the archive
    comment,            ///< a comment of the archive
    directory_differs,  ///< its end records state other numbers
    second_directory,   ///< an older end record leads to another directory
    impossible_ratio,   ///< more than deflate can pack
    extreme_ratio,      ///< unpacks to a hundred times its size and more
  };
  Kind kind = Kind::gap;
  std::string entry;    ///< its name; empty for the whole archive
  uint64_t offset = 0;  ///< where in the file
  std::string detail;   ///< with the values read
};

struct Zip {
  std::span<const std::byte> bytes;  ///< the whole file
  std::vector<ZipEntry> entries;     ///< in the order of the directory
  std::vector<ZipOddity> oddities;
  bool more_oddities = false;  ///< there were too many to list

  /** The first of that name, as torch and most C readers take it; or null. */
  const ZipEntry* find(std::string_view name) const;
};

/** True when the bytes start as an archive does (a local header). */
bool starts_as_zip(std::span<const std::byte> bytes);

/** Reads the directory and the local headers. `bytes` must outlive the result;
 * `where` names the file in findings. Throws Error zip.malformed when there is
 * no directory that could be read to its end. */
Zip read_zip(std::span<const std::byte> bytes, std::string_view where);

/** The unpacked bytes of an entry. Throws Error zip.malformed, zip.unsupported
 * (encrypted, an unknown method), zip.too-large above `limit`, and zip.crc
 * when `check_crc` is set and the data have another one. */
std::vector<std::byte> unpack(const Zip& zip,
                              const ZipEntry& entry,
                              uint64_t limit,
                              bool check_crc,
                              std::string_view where);

/** Unpacks a gzip file (of all its members) or a zlib stream, by its first
 * bytes. Throws Error zip.malformed, and zip.too-large above `limit`. */
std::vector<std::byte> inflate_stream(std::span<const std::byte> packed,
                                      uint64_t limit,
                                      std::string_view where);

/** CRC-32 of the unpacked data, in bounded memory. Throws as `unpack`. */
uint32_t crc_of(const Zip& zip, const ZipEntry& entry, std::string_view where);

/** "duplicate name". */
std::string_view name(ZipOddity::Kind kind);

}  // namespace assay
