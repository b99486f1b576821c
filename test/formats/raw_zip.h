#pragma once

// Zip archives made field by field, right or wrong as a test asks; nothing
// here is shared with the reader under test.

#include <string>
#include <string_view>

#include "raw_bytes.h"

namespace assay_test {

/** One stored entry; a field that is set differs from what the data say. */
struct RawZipEntry {
  std::string name;
  std::string data;
  std::string local_name;  ///< empty: as `name`
  uint32_t crc = 0;
  uint16_t method = 0;
  uint16_t flags = 0;
  int64_t packed = -1;  ///< that both headers state
  int64_t size = -1;
  int64_t header = -1;  ///< where the directory says it is
};

/** CRC-32 as RFC 1952, section 8, gives it. */
inline uint32_t plain_crc(std::string_view data) {
  uint32_t crc = 0xffffffff;
  for (unsigned char byte : data) {
    crc ^= byte;
    for (int i = 0; i < 8; ++i) {
      crc = (crc & 1) != 0 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
  }
  return ~crc;
}

struct RawZip {
  RawBytes bytes;
  RawBytes directory;
  uint64_t entries = 0;

  RawZip& raw(std::string_view more) {
    bytes.raw(more);
    return *this;
  }

  RawZip& add(const RawZipEntry& entry) {
    auto at = bytes.text.size();
    auto crc = entry.crc != 0 ? entry.crc : plain_crc(entry.data);
    auto size =
        uint32_t(entry.size < 0 ? int64_t(entry.data.size()) : entry.size);
    auto packed =
        uint32_t(entry.packed < 0 ? int64_t(entry.data.size()) : entry.packed);
    auto local = entry.local_name.empty() ? entry.name : entry.local_name;
    bytes.raw("PK\x03\x04").put(uint16_t{20}).put(entry.flags);
    bytes.put(entry.method).put(uint32_t{0}).put(crc).put(packed).put(size);
    bytes.put(uint16_t(local.size())).put(uint16_t{0});
    bytes.raw(local).raw(entry.data);
    directory.raw("PK\x01\x02").put(uint16_t{20}).put(uint16_t{20});
    directory.put(entry.flags).put(entry.method).put(uint32_t{0}).put(crc);
    directory.put(packed).put(size).put(uint16_t(entry.name.size()));
    directory.put(uint64_t{0}).put(uint32_t{0});
    directory.put(uint32_t(entry.header < 0 ? int64_t(at) : entry.header));
    directory.raw(entry.name);
    ++entries;
    return *this;
  }

  RawZip& add(std::string_view name, std::string_view data) {
    RawZipEntry entry;
    entry.name = name;
    entry.data = data;
    return add(entry);
  }

  /** `shift` is added to where the directory is said to be. */
  std::string end(int64_t shift = 0, int64_t count = -1) const {
    auto whole = bytes;
    auto start = int64_t(bytes.text.size()) + shift;
    auto stated = uint16_t(count < 0 ? int64_t(entries) : count);
    whole.raw(directory.text).raw("PK\x05\x06").put(uint32_t{0});
    whole.put(stated).put(stated).put(uint32_t(directory.text.size()));
    whole.put(uint32_t(start)).put(uint16_t{0});
    return whole.text;
  }

  /** With zip64 end records before the end record, as torch writes them. */
  std::string end64(uint64_t stated_offset_shift = 0) const {
    auto whole = bytes;
    uint64_t start = bytes.text.size();
    uint64_t size = directory.text.size();
    whole.raw(directory.text);
    uint64_t at = whole.text.size();
    whole.raw("PK\x06\x06").put(uint64_t{44}).put(uint32_t{0x2d031e});
    whole.put(uint64_t{0}).put(entries).put(entries).put(size).put(start);
    whole.raw("PK\x06\x07").put(uint32_t{0}).put(at + stated_offset_shift);
    whole.put(uint32_t{1}).raw("PK\x05\x06").put(uint32_t{0});
    whole.put(uint32_t{0xffffffff}).put(uint64_t{0xffffffffffffffff});
    return whole.put(uint16_t{0}).text;
  }
};

}  // namespace assay_test
