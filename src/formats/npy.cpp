#include "assay/formats/npy.h"

#include <string_view>

namespace assay {
namespace {

constexpr std::string_view kNpyMagic = "\x93NUMPY";

std::string_view npy_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// A type as it is spelled: 'O', '|O', ('field', '|O').
bool names_objects(std::string_view header) {
  for (size_t i = 1; i + 1 < header.size(); ++i) {
    bool quoted = header[i + 1] == '\'' || header[i + 1] == '"';
    if (header[i] == 'O' && quoted && header[i - 1] != ' ') {
      return true;
    }
  }
  return false;
}

}  // namespace

bool starts_as_npy(std::span<const std::byte> bytes) {
  return npy_text(bytes).starts_with(kNpyMagic);
}

std::optional<NpyHeader> read_npy(std::span<const std::byte> bytes) {
  constexpr size_t kFixed = 8;  // magic and version
  if (bytes.size() < kFixed + 4) {
    return std::nullopt;
  }
  auto byte = [&](size_t i) { return std::to_integer<size_t>(bytes[i]); };
  bool wide = byte(6) >= 2;
  auto start = kFixed + (wide ? 4 : 2);
  auto length =
      byte(8) | byte(9) << 8 | (wide ? byte(10) << 16 | byte(11) << 24 : 0);
  if (length > bytes.size() - start) {
    return std::nullopt;
  }
  return NpyHeader{start + length,
                   names_objects(npy_text(bytes).substr(start, length))};
}

}  // namespace assay
