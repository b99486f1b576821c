#pragma once

// What the two halves of the zip reader share: numbers of the format and a
// look at them. Internal to this room.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace assay::zip_parts {

using Bytes = std::span<const std::byte>;

inline constexpr uint16_t kStored = 0;
inline constexpr uint16_t kDeflate = 8;
inline constexpr uint16_t kEncrypted = 1u << 0;
inline constexpr uint16_t kStrong = 1u << 6;
inline constexpr uint16_t kMasked = 1u << 13;

inline bool is_encrypted(uint16_t flags) {
  return (flags & (kEncrypted | kStrong | kMasked)) != 0;
}

/** A look at numbers of a file; the caller has checked the bounds. */
class View {
 public:
  explicit View(Bytes bytes) : bytes_(bytes) {}

  uint64_t size() const { return bytes_.size(); }
  bool holds(uint64_t at, uint64_t length) const {
    return at <= size() && length <= size() - at;
  }
  uint16_t u16(uint64_t at) const {
    return static_cast<uint16_t>(number(at, 2));
  }
  uint32_t u32(uint64_t at) const {
    return static_cast<uint32_t>(number(at, 4));
  }
  uint64_t u64(uint64_t at) const { return number(at, 8); }
  bool is(uint64_t at, uint32_t signature) const {
    return holds(at, 4) && u32(at) == signature;
  }
  std::string_view text(uint64_t at, uint64_t length) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + at,
            static_cast<size_t>(length)};
  }

 private:
  uint64_t number(uint64_t at, size_t width) const {
    uint64_t value = 0;
    for (size_t i = width; i-- > 0;) {
      value = value << 8 | std::to_integer<uint64_t>(bytes_[size_t(at) + i]);
    }
    return value;
  }

  Bytes bytes_;
};

}  // namespace assay::zip_parts
