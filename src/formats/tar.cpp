#include "assay/formats/tar.h"

#include <algorithm>
#include <optional>

namespace assay {
namespace {

using Bytes = std::span<const std::byte>;

constexpr uint64_t kTarBlock = 512;
constexpr size_t kMaxEntries = 100'000;

std::string_view field(Bytes header, size_t at, size_t length) {
  std::string_view text(reinterpret_cast<const char*>(header.data()) + at,
                        length);
  return text.substr(0, std::min(text.find('\0'), text.size()));
}

// Octal digits, or GNU's base 256 behind a byte 0x80.
std::optional<uint64_t> number(Bytes header, size_t at, size_t length) {
  auto byte = [&](size_t i) { return std::to_integer<uint64_t>(header[i]); };
  uint64_t value = 0;
  if (byte(at) == 0x80) {
    for (size_t i = at + 1; i < at + length; ++i) {
      if (value >> 56 != 0) {
        return std::nullopt;
      }
      value = value << 8 | byte(i);
    }
    return value;
  }
  bool digits = false;
  for (char c : field(header, at, length)) {
    if (c == ' ') {
      if (digits) {
        break;
      }
      continue;
    }
    if (c < '0' || c > '7') {
      return std::nullopt;
    }
    digits = true;
    value = value << 3 | static_cast<uint64_t>(c - '0');
  }
  return digits ? std::optional(value) : std::nullopt;
}

bool checks(Bytes header) {
  constexpr size_t kAt = 148;
  constexpr size_t kLength = 8;
  auto stated = number(header, kAt, kLength);
  if (!stated) {
    return false;
  }
  uint64_t sum = 0;
  int64_t signed_sum = 0;
  for (size_t i = 0; i < kTarBlock; ++i) {
    bool own = i >= kAt && i < kAt + kLength;
    auto byte = own ? uint64_t{' '} : std::to_integer<uint64_t>(header[i]);
    sum += byte;
    signed_sum += static_cast<int8_t>(byte);
  }
  return *stated == sum || static_cast<int64_t>(*stated) == signed_sum;
}

std::string name_of(Bytes header) {
  auto name = std::string(field(header, 0, 100));
  auto prefix = field(header, 345, 155);
  if (field(header, 257, 5) == "ustar" && !prefix.empty()) {
    name = std::string(prefix) + "/" + name;
  }
  return name;
}

}  // namespace

const TarEntry* Tar::find(std::string_view name) const {
  auto entry = std::find_if(entries.rbegin(),
                            entries.rend(),
                            [&](const auto& one) { return one.name == name; });
  return entry == entries.rend() ? nullptr : &*entry;
}

bool starts_as_tar(Bytes bytes) {
  return bytes.size() >= kTarBlock && checks(bytes.first(kTarBlock));
}

Tar read_tar(Bytes bytes) {
  Tar tar;
  uint64_t at = 0;
  while (at + kTarBlock <= bytes.size() && tar.entries.size() < kMaxEntries) {
    auto header = bytes.subspan(static_cast<size_t>(at), kTarBlock);
    if (header[0] == std::byte{0}) {
      tar.complete = true;
      break;
    }
    auto size = number(header, 124, 12);
    if (!size || !checks(header) || *size > bytes.size() - at - kTarBlock) {
      break;
    }
    char type = static_cast<char>(header[156]);
    tar.extended = tar.extended || type == 'x' || type == 'g' || type == 'L' ||
                   type == 'K' || type == 'S';
    tar.entries.push_back({name_of(header), type, at + kTarBlock, *size});
    at += kTarBlock + (*size + kTarBlock - 1) / kTarBlock * kTarBlock;
  }
  return tar;
}

}  // namespace assay
