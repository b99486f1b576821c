#include "assay/core/escape.h"

#include <algorithm>

namespace assay {
namespace {

bool opens_tag(std::string_view rest) {
  if (rest.size() < 2 || rest[0] != '<') {
    return false;
  }
  char next = rest[1];
  return (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z') ||
         next == '/' || next == '!' || next == '?';
}

std::string one_line(std::string_view text) {
  std::string line;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '|') {
      line += "\\|";
    } else {
      line += byte < 0x20 || byte == 0x7f ? ' ' : c;
    }
  }
  return line;
}

}  // namespace

std::string markdown_cell(std::string_view text) {
  auto line = one_line(text);
  std::string cell;
  for (size_t at = 0; at < line.size(); ++at) {
    bool tag = opens_tag(std::string_view(line).substr(at));
    cell += tag ? std::string("&lt;") : std::string(1, line[at]);
  }
  return cell;
}

std::string markdown_code(std::string_view text) {
  auto line = one_line(text);
  size_t longest = 0;
  size_t ticks = 0;
  for (char c : line) {
    ticks = c == '`' ? ticks + 1 : 0;
    longest = std::max(longest, ticks);
  }
  auto fence = std::string(longest + 1, '`');
  bool edge = !line.empty() && (line.front() == '`' || line.back() == '`');
  auto space = edge ? std::string(" ") : std::string();
  return fence + space + line + space + fence;
}

std::string xml_text(std::string_view text) {
  std::string out;
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\n':
        out += "&#10;";
        break;
      default:
        bool control = static_cast<unsigned char>(c) < 0x20 && c != '\t';
        out += control ? "\xef\xbf\xbd" : std::string(1, c);
    }
  }
  return out;
}

}  // namespace assay
