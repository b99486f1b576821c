#include "assay/project/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace assay::project {
namespace {

// The length of the UTF-8 sequence that begins at `at`; 0: there is none.
size_t sequence_length(std::string_view text, size_t at) {
  auto first = static_cast<unsigned char>(text[at]);
  if (first < 0x80) {
    return 1;
  }
  size_t length = first >= 0xF0 ? 4 : (first >= 0xE0 ? 3 : 2);
  if (first < 0xC2 || first > 0xF4 || at + length > text.size()) {
    return 0;
  }
  for (size_t index = 1; index < length; ++index) {
    if ((static_cast<unsigned char>(text[at + index]) & 0xC0) != 0x80) {
      return 0;
    }
  }
  auto second = static_cast<unsigned char>(text[at + 1]);
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  bool wrong =
      (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F);
  return wrong ? 0 : length;
}

bool is_letter(char sign) {
  return (sign >= 'a' && sign <= 'z') || (sign >= 'A' && sign <= 'Z');
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') {
    return digit - '0';
  }
  return digit >= 'A' && digit <= 'F' ? digit - 'A' + 10 : -1;
}

}  // namespace

std::string as_utf8(std::string_view bytes) {
  std::string text;
  for (size_t at = 0; at < bytes.size();) {
    auto length = sequence_length(bytes, at);
    auto first = static_cast<unsigned char>(bytes[at]);
    bool control = (first < 0x20 && first != '\n' && first != '\t') ||
                   first == 0x7F ||
                   (first == 0xC2 && length == 2 &&
                    static_cast<unsigned char>(bytes[at + 1]) < 0xA0);
    if (length == 0) {
      text += "\xEF\xBF\xBD";
    } else if (control) {
      text += ' ';
    } else {
      text += bytes.substr(at, length);
    }
    at += length == 0 ? 1 : length;
  }
  return text;
}

std::string clip(std::string_view text, size_t letters) {
  auto clean = as_utf8(text);
  std::ranges::replace(clean, '\n', ' ');
  size_t count = 0;
  size_t kept = 0;
  for (size_t at = 0; at < clean.size(); ++at) {
    bool starts = (static_cast<unsigned char>(clean[at]) & 0xC0) != 0x80;
    count += starts ? 1 : 0;
    if (starts && count + 2 == letters) {
      kept = at;
    }
    if (count > letters) {
      return clean.substr(0, kept) + "...";
    }
  }
  return clean;
}

std::string encode_path(std::string_view path) {
  std::string text;
  for (char letter : path) {
    auto byte = static_cast<unsigned char>(letter);
    if (byte >= 0x80 || byte < 0x20 || letter == '%') {
      text += fmt::format("%{:02X}", byte);
    } else {
      text += letter;
    }
  }
  return text;
}

std::string decode_path(std::string_view text) {
  std::string path;
  for (size_t at = 0; at < text.size(); ++at) {
    int high =
        text[at] == '%' && at + 2 < text.size() ? hex_value(text[at + 1]) : -1;
    int low = high >= 0 ? hex_value(text[at + 2]) : -1;
    if (low >= 0) {
      path += static_cast<char>(high * 16 + low);
      at += 2;
    } else {
      path += text[at];
    }
  }
  return path;
}

size_t estimate_tokens(std::string_view text) {
  size_t tokens = 0;
  size_t run = 0;  // letters of the word so far
  for (char sign : text) {
    auto byte = static_cast<unsigned char>(sign);
    if (is_letter(sign)) {
      ++run;
      tokens += run == 1 || (run > 4 && (run - 1) % 4 == 0) ? 1 : 0;
      continue;
    }
    run = 0;
    if (byte >= 0x80) {
      tokens += (byte & 0xC0) == 0x80 ? 0 : 2;
    } else if (sign != ' ') {
      ++tokens;
    }
  }
  return tokens;
}

}  // namespace assay::project
