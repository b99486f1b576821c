#include "assay/formats/pickle_text.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace assay {
namespace {

int digit_of(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  if (c >= 'A' && c <= 'F') {
    return c - 'A' + 10;
  }
  return -1;
}

void append_utf8(std::string& out, uint32_t code) {
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | code >> 6);
    put(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    put(0xe0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  } else {
    put(0xf0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3f));
    put(0x80 | (code >> 6 & 0x3f));
    put(0x80 | (code & 0x3f));
  }
}

/** `count` hexadecimal digits at `at`, which moves behind them. */
std::optional<uint32_t> take_hex(std::string_view text,
                                 size_t& at,
                                 size_t count) {
  if (count > text.size() - at) {
    return std::nullopt;
  }
  uint32_t value = 0;
  for (size_t end = at + count; at < end; ++at) {
    int digit = digit_of(text[at]);
    if (digit < 0) {
      return std::nullopt;
    }
    value = value << 4 | static_cast<uint32_t>(digit);
  }
  return value;
}

/** Up to three octal digits, as C's; the byte that CPython keeps of them. */
char take_octal(std::string_view text, size_t& at) {
  unsigned value = 0;
  for (int i = 0;
       i < 3 && at < text.size() && text[at] >= '0' && text[at] <= '7';
       ++i) {
    value = value * 8 + static_cast<unsigned>(text[at++] - '0');
  }
  return static_cast<char>(value & 0xff);
}

/** By a literal's prefix: 0x, 0o, 0b, or none. */
int base_of(std::string_view text) {
  if (text.size() < 3 || text.front() != '0') {
    return 10;
  }
  switch (text[1]) {
    case 'x':
    case 'X':
      return 16;
    case 'o':
    case 'O':
      return 8;
    case 'b':
    case 'B':
      return 2;
    default:
      return 10;
  }
}

}  // namespace

std::optional<std::string> decode_string_escapes(std::string_view text) {
  constexpr std::string_view kLetters = "\\'\"abfnrtv";
  constexpr std::string_view kMeanings = "\\'\"\a\b\f\n\r\t\v";
  std::string out;
  for (size_t at = 0; at < text.size();) {
    char c = text[at++];
    if (c != '\\') {
      out += c;
      continue;
    }
    if (at == text.size()) {
      return std::nullopt;
    }
    char letter = text[at];
    auto simple = kLetters.find(letter);
    if (simple != std::string_view::npos) {
      out += kMeanings[simple];
      ++at;
    } else if (letter >= '0' && letter <= '7') {
      out += take_octal(text, at);
    } else if (letter == 'x') {
      auto byte = take_hex(text, ++at, 2);
      if (!byte) {
        return std::nullopt;
      }
      out += static_cast<char>(*byte);
    } else {
      out += '\\';  // unknown ones stay, and the letter is read as it is
    }
  }
  return out;
}

std::optional<std::string> decode_raw_unicode(std::string_view text) {
  constexpr uint32_t kLastCode = 0x10ffff;
  std::string out;
  for (size_t at = 0; at < text.size();) {
    char c = text[at++];
    char next = c == '\\' && at < text.size() ? text[at] : '\0';
    if (next != 'u' && next != 'U') {
      append_utf8(out, static_cast<unsigned char>(c));
      if (c == '\\' && at < text.size()) {
        // A pair: the second backslash begins no escape.
        append_utf8(out, static_cast<unsigned char>(text[at++]));
      }
      continue;
    }
    auto code = take_hex(text, ++at, next == 'u' ? 4 : 8);
    if (!code || *code > kLastCode) {
      return std::nullopt;
    }
    append_utf8(out, *code);
  }
  return out;
}

std::string hexadecimal(std::string_view little_endian) {
  std::vector<unsigned> bytes;
  for (char c : little_endian) {
    bytes.push_back(static_cast<unsigned char>(c));
  }
  bool negative = !bytes.empty() && (bytes.back() & 0x80) != 0;
  unsigned carry = 1;
  for (auto& byte : bytes) {
    if (negative) {
      unsigned value = (~byte & 0xff) + carry;
      byte = value & 0xff;
      carry = value >> 8;
    }
  }
  while (bytes.size() > 1 && bytes.back() == 0) {
    bytes.pop_back();
  }
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = negative ? "-0x" : "0x";
  for (size_t i = bytes.size(); i-- > 0;) {
    if (i + 1 != bytes.size() || bytes[i] >= 16) {
      out += kDigits[bytes[i] >> 4];
    }
    out += kDigits[bytes[i] & 15];
  }
  return out;
}

bool is_python_integer(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  auto first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) {
    return false;
  }
  text = text.substr(first, text.find_last_not_of(kSpace) - first + 1);
  if (text.front() == '+' || text.front() == '-') {
    text.remove_prefix(1);
  }
  int base = base_of(text);
  text.remove_prefix(base == 10 ? 0 : 2);
  return !text.empty() && text.front() != '_' && text.back() != '_' &&
         std::ranges::all_of(text, [&](char c) {
           int digit = digit_of(c);
           return c == '_' || (digit >= 0 && digit < base);
         });
}

}  // namespace assay
