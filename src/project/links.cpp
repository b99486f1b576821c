#include "assay/project/links.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>
#include <utf8proc.h>

#include <fmt/format.h>

namespace assay::project {
namespace fs = std::filesystem;

namespace {

// Code spans blanked out, so that places stay.
std::string without_code(std::string_view line) {
  std::string text(line);
  for (size_t at = 0; at < text.size();) {
    if (text[at] == '\\') {
      at += 2;
      continue;
    }
    if (text[at] != '`') {
      ++at;
      continue;
    }
    auto end = std::min(text.find_first_not_of('`', at), text.size());
    auto width = end - at;
    auto close = end;
    // The closing run must be as long.
    while ((close = text.find(text.substr(at, width), close)) !=
               std::string::npos &&
           close + width < text.size() && text[close + width] == '`') {
      close = text.find_first_not_of('`', close);
      if (close == std::string::npos) {
        break;
      }
    }
    if (close == std::string::npos) {
      at = end;
      continue;
    }
    std::fill(text.begin() + static_cast<std::ptrdiff_t>(at),
              text.begin() + static_cast<std::ptrdiff_t>(close + width),
              ' ');
    at = close + width;
  }
  return text;
}

// The target that begins at `at`, after "](": balanced parentheses, or <...>.
std::optional<std::string> target_at(std::string_view text, size_t at) {
  while (at < text.size() && text[at] == ' ') {
    ++at;
  }
  if (at < text.size() && text[at] == '<') {
    auto end = text.find('>', at);
    if (end == std::string_view::npos) {
      return {};
    }
    return std::string(text.substr(at + 1, end - at - 1));
  }
  int depth = 0;
  for (auto end = at; end < text.size(); ++end) {
    char sign = text[end];
    if (sign == '(') {
      ++depth;
    } else if ((sign == ')' && depth-- == 0) || sign == ' ' || sign == '\t') {
      return std::string(text.substr(at, end - at));
    }
  }
  return {};
}

void add_definition(std::string_view text, std::vector<Link>& found) {
  auto bare = trim(text);
  auto close = bare.find("]:");
  bool definition = bare.starts_with('[') && !bare.starts_with("[^") &&
                    close != std::string_view::npos && close > 1 &&
                    bare.find(']') == close;
  if (!definition) {
    return;
  }
  auto target = trim(bare.substr(close + 2));
  if (target.starts_with('<')) {
    target = target.substr(1, target.find('>') - 1);
  } else {
    target = target.substr(0, target.find_first_of(" \t"));
  }
  if (!target.empty()) {
    found.push_back({std::string(target), 1});
  }
}

void add_attributes(std::string_view text, std::vector<Link>& found) {
  for (std::string_view name : {"href=\"", "src=\""}) {
    for (auto at = text.find(name); at != std::string_view::npos;
         at = text.find(name, at + 1)) {
      auto begin = at + name.size();
      auto end = text.find('"', begin);
      bool within_tag = text.substr(0, at).rfind('<') != std::string::npos;
      if (within_tag && end != std::string_view::npos) {
        found.push_back({std::string(text.substr(begin, end - begin)), 1});
      }
    }
  }
}

bool has_scheme(std::string_view target) {
  auto colon = target.find(':');
  return target.starts_with("//") ||
         (colon != std::string_view::npos && colon > 0 &&
          target.find_first_of("/#?") > colon &&
          target.substr(0, colon).find_first_not_of(
              "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
              "+.-") == std::string_view::npos);
}

std::string percent_decoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string decoded;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '%' && at + 2 < text.size()) {
      auto digits = to_lower(text.substr(at + 1, 2));
      auto high = kDigits.find(digits[0]);
      auto low = kDigits.find(digits[1]);
      if (high != std::string_view::npos && low != std::string_view::npos) {
        decoded += static_cast<char>(high * 16 + low);
        at += 2;
        continue;
      }
    }
    decoded += text[at];
  }
  return decoded;
}

// Part of a word: a letter or digit, also beyond ASCII.
bool is_word(std::string_view text, size_t at) {
  if (at >= text.size()) {
    return false;
  }
  auto byte = static_cast<unsigned char>(text[at]);
  return byte >= 0x80 || std::isalnum(byte) != 0;
}

// True for underscores that mark emphasis: at the edge of a word.
bool is_emphasis(std::string_view title, size_t at) {
  auto first = title.find_last_not_of('_', at);
  bool before = first != std::string_view::npos && is_word(title, first);
  bool after = is_word(title, title.find_first_not_of('_', at));
  return !(before && after);
}

// A heading's text without the marks of links, code and emphasis.
std::string plain_title(std::string_view title) {
  std::string text;
  bool code = false;
  for (size_t at = 0; at < title.size(); ++at) {
    if (title[at] == '`') {
      code = !code;
    }
    if (title[at] == '_' && !code && is_emphasis(title, at)) {
      continue;
    }
    bool target = title[at] == ']' && at + 1 < title.size() &&
                  (title[at + 1] == '(' || title[at + 1] == '[');
    if (target) {
      auto close = title.find(title[at + 1] == '(' ? ')' : ']', at + 2);
      at = close == std::string_view::npos ? at : close;
      continue;
    }
    text += title[at];
  }
  return text;
}

bool is_kept(utf8proc_int32_t letter) {
  switch (utf8proc_category(letter)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return letter == '-';
  }
}

void append_letter(std::string& text, utf8proc_int32_t letter) {
  std::array<utf8proc_uint8_t, 4> bytes{};
  auto count = utf8proc_encode_char(letter, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()),
              static_cast<size_t>(std::max<utf8proc_ssize_t>(count, 0)));
}

// The documents that links lead to, each read once.
class Targets {
 public:
  explicit Targets(const Store& store) : store_(&store) {}

  const std::set<std::string>& anchors(const std::string& path) {
    auto [entry, fresh] = known_.try_emplace(path);
    if (fresh) {
      entry->second = anchors_of(store_->document(path));
    }
    return entry->second;
  }

 private:
  const Store* store_;
  std::map<std::string, std::set<std::string>> known_;
};

// What is wrong with a link; empty: nothing.
std::string fault_of(const Store& store,
                     const std::string& file,
                     const std::string& target,
                     Targets& targets) {
  auto hash = target.find('#');
  auto path = percent_decoded(target.substr(0, target.find_first_of("#?")));
  std::string place = file;
  if (!path.empty()) {
    auto base = path.starts_with('/') ? fs::path() : fs::path(file);
    auto bare = path.substr(std::min(path.find_first_not_of('/'), path.size()));
    auto joined =
        (base.parent_path() / bare).lexically_normal().generic_string();
    if (joined.starts_with("..")) {
      return "it leaves the project";
    }
    std::error_code error;
    auto real = store.root() / joined;
    if (!fs::exists(real, error)) {
      return "no such file";
    }
    place = joined;
    if (fs::is_directory(real, error)) {
      return {};
    }
  }
  if (hash == std::string::npos || hash + 1 == target.size() ||
      !to_lower(place).ends_with(".md")) {
    return {};
  }
  auto anchor = percent_decoded(target.substr(hash + 1));
  const auto& known = targets.anchors(place);
  bool there = known.contains(anchor) || known.contains(to_lower(anchor)) ||
               anchor == "top";
  return there ? std::string() : "no such heading";
}

}  // namespace

std::vector<Link> links_in(std::string_view line) {
  auto text = without_code(line);
  std::vector<Link> found;
  for (auto at = text.find("]("); at != std::string::npos;
       at = text.find("](", at + 1)) {
    bool opened = text.rfind('[', at) != std::string::npos || at == 0 ||
                  text.find('[') == std::string::npos;
    bool escaped = at > 0 && text[at - 1] == '\\';
    if (auto target = target_at(text, at + 2); target && opened && !escaped) {
      found.push_back({*target, 1});
    }
  }
  add_definition(text, found);
  add_attributes(text, found);
  return found;
}

std::vector<Link> links_of(const Document& document) {
  std::vector<Link> all;
  for (size_t line = 0; line < document.lines().size(); ++line) {
    auto kind = document.lines()[line].kind;
    if (kind == LineKind::code || kind == LineKind::html ||
        kind == LineKind::matter || kind == LineKind::blank) {
      continue;
    }
    for (auto& link : links_in(document.line(line))) {
      link.line = static_cast<int>(line) + 1;
      all.push_back(std::move(link));
    }
  }
  return all;
}

std::string heading_anchor(std::string_view title) {
  auto text = plain_title(title);
  std::string anchor;
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  while (left > 0) {
    utf8proc_int32_t letter = 0;
    auto length = utf8proc_iterate(bytes, left, &letter);
    if (length <= 0) {  // no UTF-8: such a byte is in no anchor
      ++bytes;
      --left;
      continue;
    }
    bytes += length;
    left -= length;
    if (letter == ' ') {
      anchor += '-';
    } else if (is_kept(letter)) {
      append_letter(anchor, utf8proc_tolower(letter));
    }
  }
  return anchor;
}

std::set<std::string> anchors_of(const Document& document) {
  std::set<std::string> anchors;
  std::map<std::string, int> times;
  for (const auto& heading : document.headings()) {
    auto anchor = heading_anchor(heading.title);
    auto count = times[anchor]++;
    anchors.insert(count == 0 ? anchor : fmt::format("{}-{}", anchor, count));
  }
  for (size_t line = 0; line < document.lines().size(); ++line) {
    auto text = document.line(line);
    for (std::string_view name : {" id=\"", " name=\""}) {
      for (auto at = text.find(name); at != std::string_view::npos;
           at = text.find(name, at + 1)) {
        auto begin = at + name.size();
        auto end = std::min(text.find('"', begin), text.size());
        anchors.emplace(text.substr(begin, end - begin));
      }
    }
  }
  return anchors;
}

std::vector<Finding> broken_links(const Store& store,
                                  const std::vector<std::string>& files) {
  std::vector<Finding> findings;
  Targets targets(store);
  for (const auto& file : files) {
    for (const auto& link : links_of(store.document(file))) {
      if (link.target.empty() || has_scheme(link.target)) {
        continue;
      }
      auto fault = fault_of(store, file, link.target, targets);
      if (!fault.empty()) {
        findings.push_back(
            make_finding("document.link",
                         fmt::format("{}:{}", file, link.line),
                         fmt::format("a link to {}", link.target),
                         fault));
      }
    }
  }
  return findings;
}

}  // namespace assay::project
