// The data of an archive's entries, unpacked in bounded steps.

#include <algorithm>
#include <array>
#include <zlib.h>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"
#include "assay/formats/zip.h"
#include "assay/formats/zip_parts.h"

namespace assay {
namespace {

using namespace zip_parts;

std::string place(std::string_view where, const ZipEntry& entry) {
  return fmt::format("{}: {}", where, quote(entry.name));
}

Bytes packed_bytes(const Zip& zip,
                   const ZipEntry& entry,
                   std::string_view where) {
  if (!entry.reachable) {
    fail("zip.malformed",
         place(where, entry),
         "an entry within the file",
         fmt::format("{} bytes at byte {}", entry.packed, entry.data));
  }
  if (is_encrypted(entry.flags)) {
    fail("zip.unsupported", place(where, entry), "no encryption", "encrypted");
  }
  if (entry.method != kStored && entry.method != kDeflate) {
    fail("zip.unsupported",
         place(where, entry),
         "method 0 (stored) or 8 (deflate)",
         fmt::format("method {}", entry.method));
  }
  if (entry.method == kStored && entry.packed != entry.size) {
    fail("zip.malformed",
         place(where, entry),
         "one size for an entry that is stored",
         fmt::format("{} and {}", entry.packed, entry.size));
  }
  return zip.bytes.subspan(static_cast<size_t>(entry.data),
                           static_cast<size_t>(entry.packed));
}

/** Inflates in steps, so that memory follows what the data really hold. */
class Inflater {
 public:
  /** Of an entry the bare data; else a whole gzip file or zlib stream. */
  enum class Wrapping { bare, stream };

  Inflater(Bytes packed, Wrapping wrapping, std::string where)
      : packed_(packed), wrapping_(wrapping), where_(std::move(where)) {
    constexpr int kByHeader = MAX_WBITS + 32;  // gzip or zlib
    auto bits = wrapping == Wrapping::bare ? -MAX_WBITS : kByHeader;
    if (inflateInit2(&stream_, bits) != Z_OK) {
      broken("zlib cannot start");
    }
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  /** The next bytes; empty at the end. */
  Bytes next() {
    if (done_) {
      return {};
    }
    stream_.next_out = reinterpret_cast<Bytef*>(step_.data());
    stream_.avail_out = static_cast<uInt>(step_.size());
    while (stream_.avail_out == step_.size() && !done_) {
      feed();
      auto result = inflate(&stream_, Z_NO_FLUSH);
      done_ = result == Z_STREAM_END && !next_member();
      if (result == Z_STREAM_END) {
        continue;
      }
      if (result != Z_OK) {
        broken(stream_.msg == nullptr ? "data that end early" : stream_.msg);
      }
    }
    if (done_ && (stream_.avail_in > 0 || fed_ < packed_.size())) {
      broken("bytes after the end of the data");
    }
    return Bytes(step_).first(step_.size() - stream_.avail_out);
  }

 private:
  // A gzip file may be several, one after the other.
  bool next_member() {
    bool more = wrapping_ == Wrapping::stream &&
                (stream_.avail_in > 0 || fed_ < packed_.size());
    return more && inflateReset(&stream_) == Z_OK;
  }

  void feed() {
    constexpr size_t kChunk = 1u << 20;
    if (stream_.avail_in > 0) {
      return;
    }
    auto part = packed_.subspan(fed_, std::min(kChunk, packed_.size() - fed_));
    // zlib takes what it only reads as not const.
    stream_.next_in =
        const_cast<Bytef*>(reinterpret_cast<const Bytef*>(part.data()));
    stream_.avail_in = static_cast<uInt>(part.size());
    fed_ += part.size();
  }

  [[noreturn]] void broken(std::string actual) const {
    fail("zip.malformed", where_, "data packed by deflate", std::move(actual));
  }

  Bytes packed_;
  Wrapping wrapping_;
  std::string where_;
  size_t fed_ = 0;
  bool done_ = false;
  z_stream stream_{};
  std::array<std::byte, 1u << 16> step_{};
};

// Calls `sink` with each piece of an entry.
template <class Sink>
void for_pieces(const Zip& zip,
                const ZipEntry& entry,
                std::string_view where,
                Sink&& sink) {
  auto packed = packed_bytes(zip, entry, where);
  if (entry.method == kStored) {
    sink(packed);
    return;
  }
  Inflater inflater(packed, Inflater::Wrapping::bare, place(where, entry));
  uint64_t total = 0;
  for (auto piece = inflater.next(); !piece.empty(); piece = inflater.next()) {
    total += piece.size();
    if (total > entry.size) {
      break;
    }
    sink(piece);
  }
  if (total != entry.size) {
    fail("zip.malformed",
         place(where, entry),
         fmt::format("{} bytes when unpacked", entry.size),
         total > entry.size ? "more" : fmt::format("{}", total));
  }
}

uint32_t add_crc(uint32_t crc, Bytes piece) {
  return static_cast<uint32_t>(
      crc32_z(crc, reinterpret_cast<const Bytef*>(piece.data()), piece.size()));
}

}  // namespace

std::vector<std::byte> unpack(const Zip& zip,
                              const ZipEntry& entry,
                              uint64_t limit,
                              bool check_crc,
                              std::string_view where) {
  if (entry.size > limit) {
    fail("zip.too-large",
         place(where, entry),
         fmt::format("at most {} bytes", limit),
         fmt::format("{} bytes out of {}", entry.size, entry.packed));
  }
  std::vector<std::byte> unpacked;
  uint32_t crc = 0;
  for_pieces(zip, entry, where, [&](Bytes piece) {
    unpacked.insert(unpacked.end(), piece.begin(), piece.end());
    crc = check_crc ? add_crc(crc, piece) : 0;
  });
  if (check_crc && crc != entry.crc) {
    fail("zip.crc",
         place(where, entry),
         fmt::format("CRC-32 {:08x}", entry.crc),
         fmt::format("{:08x}", crc));
  }
  return unpacked;
}

std::vector<std::byte> inflate_stream(Bytes packed,
                                      uint64_t limit,
                                      std::string_view where) {
  Inflater inflater(packed, Inflater::Wrapping::stream, std::string(where));
  std::vector<std::byte> unpacked;
  for (auto piece = inflater.next(); !piece.empty(); piece = inflater.next()) {
    if (piece.size() > limit - unpacked.size()) {
      fail("zip.too-large",
           std::string(where),
           fmt::format("at most {} bytes", limit),
           "more");
    }
    unpacked.insert(unpacked.end(), piece.begin(), piece.end());
  }
  return unpacked;
}

uint32_t crc_of(const Zip& zip, const ZipEntry& entry, std::string_view where) {
  uint32_t crc = 0;
  for_pieces(
      zip, entry, where, [&](Bytes piece) { crc = add_crc(crc, piece); });
  return crc;
}

}  // namespace assay
