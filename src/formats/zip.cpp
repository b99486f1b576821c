#include "assay/formats/zip.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <unordered_map>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"
#include "assay/formats/zip_parts.h"

namespace assay {
namespace {

using OddityKind = ZipOddity::Kind;
using namespace zip_parts;

constexpr uint32_t kLocal = 0x04034b50;
constexpr uint32_t kCentral = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kLocator64 = 0x07064b50;
constexpr uint32_t kDescriptor = 0x08074b50;
constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kCentralSize = 46;
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kEnd64Size = 56;
constexpr uint64_t kLocatorSize = 20;
constexpr uint64_t kMaxComment = 0xffff;
constexpr uint32_t kSee64 = 0xffffffff;  // the value is in the zip64 field
constexpr uint16_t kHasDescriptor = 1u << 3;
constexpr uint16_t kZip64Field = 0x0001;
constexpr uint16_t kUnicodePath = 0x7075;
constexpr size_t kMaxOddities = 1000;
// Deflate's longest match is 258 bytes out of two bits: 1032 to 1.
constexpr uint64_t kDeflateRatio = 1032;
constexpr uint64_t kExtremeRatio = 100;
constexpr uint64_t kExtremeSize = 64u << 20;

/** The numbers of the end records. */
struct Directory {
  uint64_t offset = 0;  ///< as stated
  uint64_t size = 0;
  uint64_t count = 0;
  uint64_t limit = 0;  ///< where the end records begin
};

/** What a header states of an entry, zip64 resolved. */
struct Fields {
  uint16_t flags = 0;
  uint16_t method = 0;
  uint32_t crc = 0;
  uint64_t packed = 0;
  uint64_t size = 0;
  uint64_t header = 0;
  std::string_view name;
  std::optional<std::string_view> unicode_name;
};

bool safe_name(std::string_view name) {
  if (name.empty() || name.front() == '/' || !is_printable_utf8(name) ||
      name.find('\\') != std::string_view::npos ||
      (name.size() > 1 && name[1] == ':')) {
    return false;
  }
  size_t start = 0;
  while (start <= name.size()) {
    auto end = std::min(name.find('/', start), name.size());
    if (name.substr(start, end - start) == "..") {
      return false;
    }
    start = end + 1;
  }
  return true;
}

class ZipReader {
 public:
  ZipReader(Bytes bytes, std::string_view where) : file_(bytes), where_(where) {
    zip_.bytes = bytes;
  }

  Zip read() {
    auto directory = find_directory();
    read_directory(directory);
    for (auto& entry : zip_.entries) {
      look_at_local(entry);
      judge(entry);
    }
    find_duplicates();
    hold_extents(directory);
    return std::move(zip_);
  }

 private:
  [[noreturn]] void malformed(uint64_t at,
                              std::string expected,
                              std::string actual) const {
    fail("zip.malformed",
         fmt::format("{}: byte {}", where_, at),
         std::move(expected),
         std::move(actual));
  }

  void odd(OddityKind kind,
           std::string_view entry,
           uint64_t offset,
           std::string detail) {
    if (zip_.oddities.size() >= kMaxOddities) {
      zip_.more_oddities = true;
      return;
    }
    zip_.oddities.push_back(
        {kind, std::string(entry), offset, std::move(detail)});
  }

  uint64_t find_end() const {
    if (file_.size() >= kEndSize) {
      auto first = file_.size() - kEndSize;
      auto last = first > kMaxComment ? first - kMaxComment : 0;
      for (auto at = first + 1; at-- > last;) {
        if (file_.is(at, kEnd)) {
          return at;
        }
      }
    }
    malformed(file_.size(), "the end record of a zip archive", "none");
  }

  Directory find_directory() {
    auto end = find_end();
    Directory directory;
    directory.count = file_.u16(end + 10);
    directory.size = file_.u32(end + 12);
    directory.offset = file_.u32(end + 16);
    directory.limit = end;
    if (file_.u16(end + 4) != 0 && file_.u16(end + 4) != 0xffff) {
      malformed(end + 4, "an archive in one file", "one of several parts");
    }
    look_after_end(end);
    resolve_zip64(end, directory);
    look_for_older_end(end);
    return directory;
  }

  void look_after_end(uint64_t end) {
    uint64_t comment = file_.u16(end + 20);
    auto rest = file_.size() - end - kEndSize;
    if (comment > rest) {
      odd(OddityKind::directory_differs,
          "",
          end + 20,
          fmt::format(
              "a comment of {} bytes where {} are left", comment, rest));
    } else if (comment < rest) {
      odd(OddityKind::trailing,
          "",
          end + kEndSize + comment,
          fmt::format("{} bytes after the end", rest - comment));
    }
    if (comment > 0 && rest > 0) {
      auto text = file_.text(end + kEndSize, std::min(comment, rest));
      odd(OddityKind::comment, "", end + kEndSize, quote(text));
    }
  }

  void resolve_zip64(uint64_t end, Directory& directory) {
    if (end < kLocatorSize || !file_.is(end - kLocatorSize, kLocator64)) {
      return;
    }
    auto locator = end - kLocatorSize;
    auto at = file_.u64(locator + 8);
    if (!file_.is(at, kEnd64) && locator >= kEnd64Size) {
      at = locator - kEnd64Size;  // behind bytes that were put in front
    }
    if (!file_.is(at, kEnd64) || at > locator || locator - at < kEnd64Size) {
      malformed(locator,
                "a zip64 end record where its locator says",
                fmt::format("byte {}", file_.u64(locator + 8)));
    }
    auto differs = [&](uint64_t narrow, uint64_t wide, uint64_t unset) {
      return narrow != unset && narrow != wide;
    };
    Directory wide{
        file_.u64(at + 48), file_.u64(at + 40), file_.u64(at + 32), at};
    if (differs(directory.count, wide.count, 0xffff) ||
        differs(directory.size, wide.size, kSee64) ||
        differs(directory.offset, wide.offset, kSee64)) {
      odd(OddityKind::directory_differs,
          "",
          at,
          fmt::format("{} entries in {} bytes at {} in one end record, {} in "
                      "{} at {} in the other",
                      directory.count,
                      directory.size,
                      directory.offset,
                      wide.count,
                      wide.size,
                      wide.offset));
    }
    directory = wide;
  }

  // Bytes of tensors can look like a signature: only one that leads to a
  // directory counts.
  void look_for_older_end(uint64_t end) {
    auto last = end > kMaxComment ? end - kMaxComment : 0;
    for (auto at = end; at-- > last;) {
      if (!file_.is(at, kEnd)) {
        continue;
      }
      uint64_t size = file_.u32(at + 12);
      uint64_t offset = file_.u32(at + 16);
      bool leads = file_.is(offset, kCentral) && offset < at;
      bool shifted =
          size <= at && size >= kCentralSize && file_.is(at - size, kCentral);
      if (leads || shifted) {
        odd(OddityKind::second_directory, "", at, "another end record");
        return;
      }
    }
  }

  // The offset that is stated counts, as it does for torch; where no directory
  // stands there, the one that ends before the end records, as for programs
  // that open an archive behind other bytes.
  uint64_t start_of(const Directory& directory) {
    if (directory.size > directory.limit) {
      malformed(directory.limit,
                "a directory before its end record",
                fmt::format("one of {} bytes", directory.size));
    }
    auto before_end = directory.limit - directory.size;
    if (directory.size == 0 || directory.offset == before_end) {
      return before_end;
    }
    odd(OddityKind::directory_differs,
        "",
        directory.limit,
        fmt::format("a directory stated at {} that would end at {}",
                    directory.offset,
                    directory.limit));
    bool stated =
        directory.offset < before_end && file_.is(directory.offset, kCentral);
    if (!stated && directory.offset < before_end) {
      shift_ = before_end - directory.offset;
    }
    if (!stated && !file_.is(before_end, kCentral)) {
      malformed(directory.offset, "the directory of the archive", "none");
    }
    return stated ? directory.offset : before_end;
  }

  void read_directory(const Directory& directory) {
    auto at = start_of(directory);
    directory_start_ = at;
    auto end = at + directory.size;
    while (at < end) {
      if (!file_.is(at, kCentral) || end - at < kCentralSize) {
        malformed(
            at,
            "an entry of the directory",
            fmt::format("other bytes after {} entries", zip_.entries.size()));
      }
      at = read_central(at, end);
    }
    directory_end_ = at;
    if (zip_.entries.size() != directory.count) {
      odd(OddityKind::directory_differs,
          "",
          directory.limit,
          fmt::format("{} entries stated, {} listed",
                      directory.count,
                      zip_.entries.size()));
    }
  }

  uint64_t read_central(uint64_t at, uint64_t end) {
    uint64_t name = file_.u16(at + 28);
    uint64_t extra = file_.u16(at + 30);
    uint64_t comment = file_.u16(at + 32);
    if (name + extra + comment > end - at - kCentralSize) {
      malformed(at + 28,
                "a name within the directory",
                fmt::format("{} bytes", name + extra + comment));
    }
    Fields fields{file_.u16(at + 8),
                  file_.u16(at + 10),
                  file_.u32(at + 16),
                  file_.u32(at + 20),
                  file_.u32(at + 24),
                  file_.u32(at + 42),
                  file_.text(at + kCentralSize, name),
                  {}};
    read_extra(at + kCentralSize + name, extra, fields, true);
    ZipEntry entry;
    entry.name = fields.name;
    entry.flags = fields.flags;
    entry.method = fields.method;
    entry.crc = fields.crc;
    entry.packed = fields.packed;
    entry.size = fields.size;
    entry.header = fields.header > std::numeric_limits<uint64_t>::max() - shift_
                       ? file_.size()
                       : fields.header + shift_;
    if (fields.unicode_name && *fields.unicode_name != fields.name) {
      odd(OddityKind::name_differs,
          entry.name,
          at,
          "Unicode path " + quote(*fields.unicode_name));
    }
    zip_.entries.push_back(std::move(entry));
    return at + kCentralSize + name + extra + comment;
  }

  // The zip64 field holds, in this order, those values that did not fit.
  void read_extra(uint64_t at, uint64_t length, Fields& fields, bool central) {
    auto end = at + length;
    while (end - at >= 4) {
      auto id = file_.u16(at);
      uint64_t size = file_.u16(at + 2);
      at += 4;
      if (size > end - at) {
        return;
      }
      if (id == kZip64Field) {
        auto next = at;
        auto widen = [&](uint64_t& value) {
          if (value == kSee64 && at + size - next >= 8) {
            value = file_.u64(next);
            next += 8;
          }
        };
        widen(fields.size);
        widen(fields.packed);
        if (central) {
          widen(fields.header);
        }
      } else if (id == kUnicodePath && size >= 5) {
        fields.unicode_name = file_.text(at + 5, size - 5);
      }
      at += size;
    }
  }

  void look_at_local(ZipEntry& entry) {
    auto at = entry.header;
    if (!file_.holds(at, kLocalSize) || !file_.is(at, kLocal)) {
      odd(OddityKind::unreachable, entry.name, at, "no local header there");
      return;
    }
    uint64_t name = file_.u16(at + 26);
    uint64_t extra = file_.u16(at + 28);
    if (!file_.holds(at + kLocalSize, name + extra)) {
      odd(OddityKind::unreachable, entry.name, at, "its name leaves the file");
      return;
    }
    Fields fields{file_.u16(at + 6),
                  file_.u16(at + 8),
                  file_.u32(at + 14),
                  file_.u32(at + 18),
                  file_.u32(at + 22),
                  0,
                  file_.text(at + kLocalSize, name),
                  {}};
    read_extra(at + kLocalSize + name, extra, fields, false);
    entry.data = at + kLocalSize + name + extra;
    entry.reachable = file_.holds(entry.data, entry.packed);
    if (!entry.reachable) {
      odd(OddityKind::unreachable,
          entry.name,
          entry.data,
          fmt::format("{} bytes in a file of {}", entry.packed, file_.size()));
    }
    compare(entry, fields);
  }

  void compare(const ZipEntry& entry, const Fields& local) {
    if (local.name != entry.name) {
      odd(OddityKind::name_differs,
          entry.name,
          entry.header,
          quote(local.name) + " in its local header");
    }
    auto hold = [&](std::string_view what, uint64_t here, uint64_t there) {
      if (here != there) {
        odd(OddityKind::field_differs,
            entry.name,
            entry.header,
            fmt::format("{} {} in its local header, {} in the directory",
                        what,
                        here,
                        there));
      }
    };
    hold("method", local.method, entry.method);
    hold("encryption", local.flags & kEncrypted, entry.flags & kEncrypted);
    bool later = (local.flags & kHasDescriptor) != 0;
    // Zeros where a descriptor follows the data.
    auto held_later = [&](uint64_t value) { return later && value == 0; };
    if (!held_later(local.crc)) {
      hold("CRC", local.crc, entry.crc);
    }
    if (!held_later(local.packed)) {
      hold("packed size", local.packed, entry.packed);
    }
    if (!held_later(local.size)) {
      hold("size", local.size, entry.size);
    }
  }

  void judge(const ZipEntry& entry) {
    if (!safe_name(entry.name)) {
      odd(OddityKind::unsafe_name, entry.name, entry.header, quote(entry.name));
    }
    if (is_encrypted(entry.flags)) {
      odd(OddityKind::encrypted,
          entry.name,
          entry.header,
          fmt::format("flags 0x{:04x}", entry.flags));
    }
    if (entry.method != kStored && entry.method != kDeflate) {
      odd(OddityKind::unknown_method,
          entry.name,
          entry.header,
          fmt::format("method {}", entry.method));
    }
    auto sizes = fmt::format("{} bytes out of {}", entry.size, entry.packed);
    bool encrypted = (entry.flags & kEncrypted) != 0;
    bool impossible =
        entry.size / kDeflateRatio > entry.packed ||
        (entry.method == kStored && !encrypted && entry.size != entry.packed);
    if (impossible) {
      odd(OddityKind::impossible_ratio, entry.name, entry.header, sizes);
    } else if (entry.size >= kExtremeSize &&
               entry.size / kExtremeRatio >= entry.packed) {
      odd(OddityKind::extreme_ratio, entry.name, entry.header, sizes);
    }
  }

  void find_duplicates() {
    std::unordered_map<std::string_view, uint64_t> seen;
    for (const auto& entry : zip_.entries) {
      auto [first, fresh] = seen.emplace(entry.name, entry.header);
      if (!fresh) {
        odd(OddityKind::duplicate_name,
            entry.name,
            entry.header,
            fmt::format("also at byte {}", first->second));
      }
    }
  }

  // Signature (which may be absent), CRC, both sizes in 32 or 64 bits.
  uint64_t descriptor_length(const ZipEntry& entry) const {
    auto at = entry.data + entry.packed;
    for (uint64_t signature : {4, 0}) {
      if (signature != 0 && !file_.is(at, kDescriptor)) {
        continue;
      }
      for (uint64_t width : {8, 4}) {
        auto length = signature + 4 + 2 * width;
        if (!file_.holds(at, length)) {
          continue;
        }
        auto size = [&](uint64_t place) {
          return width == 8 ? file_.u64(place) : file_.u32(place);
        };
        auto crc = at + signature;
        if (file_.u32(crc) == entry.crc && size(crc + 4) == entry.packed &&
            size(crc + 4 + width) == entry.size) {
          return length;
        }
      }
    }
    return 0;
  }

  uint64_t end_of(const ZipEntry& entry) {
    auto end = entry.data + entry.packed;
    if ((entry.flags & kHasDescriptor) == 0) {
      return end;
    }
    auto length = descriptor_length(entry);
    if (length == 0) {
      odd(OddityKind::field_differs,
          entry.name,
          end,
          "no data descriptor that agrees with the directory");
    }
    return end + length;
  }

  // Every byte belongs to one entry, the directory or its end records.
  void hold_extents(const Directory& directory) {
    std::vector<size_t> order;
    for (size_t i = 0; i < zip_.entries.size(); ++i) {
      if (zip_.entries[i].reachable) {
        order.push_back(i);
      }
    }
    std::ranges::sort(order, {}, [&](size_t i) {
      return std::pair(zip_.entries[i].header, i);
    });
    uint64_t end = 0;
    for (auto i : order) {
      const auto& entry = zip_.entries[i];
      hold_place(entry.name, entry.header, end);
      end = std::max(end, end_of(entry));
    }
    hold_place("", directory_start_, end);
    hold_place("", directory.limit, std::max(directory_end_, end));
  }

  void hold_place(std::string_view entry, uint64_t start, uint64_t end) {
    if (start < end) {
      odd(OddityKind::overlap,
          entry,
          start,
          fmt::format("what lies before ends at byte {}", end));
    } else if (start > end) {
      odd(end == 0 ? OddityKind::prefix : OddityKind::gap,
          entry,
          end,
          fmt::format("{} bytes", start - end));
    }
  }

  View file_;
  std::string_view where_;
  Zip zip_;
  uint64_t shift_ = 0;
  uint64_t directory_start_ = 0;
  uint64_t directory_end_ = 0;
};

}  // namespace

const ZipEntry* Zip::find(std::string_view wanted) const {
  auto entry = std::ranges::find(entries, wanted, &ZipEntry::name);
  return entry == entries.end() ? nullptr : &*entry;
}

bool starts_as_zip(Bytes bytes) {
  return View(bytes).is(0, kLocal);
}

Zip read_zip(Bytes bytes, std::string_view where) {
  return ZipReader(bytes, where).read();
}

std::string_view name(ZipOddity::Kind kind) {
  switch (kind) {
    case OddityKind::name_differs:
      return "name differs";
    case OddityKind::field_differs:
      return "field differs";
    case OddityKind::duplicate_name:
      return "duplicate name";
    case OddityKind::unsafe_name:
      return "unsafe name";
    case OddityKind::encrypted:
      return "encrypted";
    case OddityKind::unknown_method:
      return "unknown method";
    case OddityKind::unreachable:
      return "unreachable";
    case OddityKind::overlap:
      return "overlap";
    case OddityKind::gap:
      return "gap";
    case OddityKind::prefix:
      return "prefix";
    case OddityKind::trailing:
      return "trailing data";
    case OddityKind::comment:
      return "comment";
    case OddityKind::directory_differs:
      return "directory differs";
    case OddityKind::second_directory:
      return "second directory";
    case OddityKind::impossible_ratio:
      return "impossible ratio";
    case OddityKind::extreme_ratio:
      return "extreme ratio";
  }
  return "";
}

}  // namespace assay
