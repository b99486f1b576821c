#include "assay/text/json_text.h"

#include <cstdint>

#include <fmt/format.h>

namespace assay::json_text {
namespace {

bool is_continuation(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) == 0x80;
}

/** What stands in a JSON string as it is. */
bool is_plain(char c) {
  auto byte = static_cast<uint8_t>(c);
  return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
}

/** Bytes of the character at the start of `text`; 0 if it is malformed
 * (overlong, a surrogate, past U+10FFFF, cut short). Unicode 15, table 3-7. */
size_t character_size(std::string_view text) {
  auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) {
    return 1;
  }
  size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) {
    return 0;
  }
  for (size_t i = 1; i < size; ++i) {
    if (!is_continuation(text[i])) {
      return 0;
    }
  }
  auto second = static_cast<uint8_t>(text[1]);
  bool out_of_range =
      (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return out_of_range ? 0 : size;
}

}  // namespace

bool append_string(std::string& out, std::string_view text) {
  auto start = out.size();
  out += '"';
  while (!text.empty()) {
    // Most of a vocabulary is a run of these.
    size_t run = 0;
    while (run < text.size() && is_plain(text[run])) {
      ++run;
    }
    out += text.substr(0, run);
    text.remove_prefix(run);
    if (text.empty()) {
      break;
    }
    auto size = character_size(text);
    if (size == 0) {
      out.resize(start);
      return false;
    }
    char c = text[0];
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<uint8_t>(c) < 0x20) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size);
  }
  out += '"';
  return true;
}

}  // namespace assay::json_text
