#include "assay/formats/quote.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <simdjson.h>

namespace assay {
namespace {

constexpr size_t kMaxShown = 120;

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

}  // namespace

std::string quote(std::string_view text) {
  bool cut = text.size() > kMaxShown;
  text = text.substr(0, kMaxShown);
  bool ascii_only = !simdjson::validate_utf8(text.data(), text.size());
  std::string result = "'";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    // C1 controls are two bytes in UTF-8 (0xc2 0x80...): terminals obey them.
    bool foreign = byte >= 0x80 && (ascii_only || byte == 0xc2);
    if (is_control(c) || foreign) {
      fmt::format_to(std::back_inserter(result), "\\x{:02x}", byte);
      ascii_only = ascii_only || byte == 0xc2;
    } else {
      result += c;
    }
  }
  return result + (cut ? "...'" : "'");
}

bool is_printable_utf8(std::string_view text) {
  return std::ranges::none_of(text, is_control) &&
         simdjson::validate_utf8(text.data(), text.size());
}

}  // namespace assay
