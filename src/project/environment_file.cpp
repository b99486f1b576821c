#include "assay/project/environment_file.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "assay/project/document.h"

namespace assay::project {
namespace {

constexpr std::string_view kOpen = "# assay:recorded";
constexpr std::string_view kClose = "# /assay:recorded";
constexpr std::string_view kNameLetters =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";

using Versions = std::map<std::string, std::string>;

size_t indent_of(std::string_view line) {
  return std::min(line.find_first_not_of(' '), line.size());
}

bool is_word_line(std::string_view line) {
  auto bare = trim(line);
  return !bare.empty() && !bare.starts_with('#') && bare != "---";
}

[[noreturn]] void unclear(size_t line,
                          std::string expected,
                          std::string_view is) {
  fail("env.unclear",
       fmt::format("{}:{}", kEnvironmentFile, line + 1),
       std::move(expected),
       std::string(is));
}

// "- name=1.0  # why": where its parts lie.
struct Entry {
  size_t begin = 0;  ///< of the name, after "- " and a channel
  size_t name_end = 0;
  size_t extras_end = 0;  ///< of "[cli]"
  size_t end = 0;         ///< of the constraint
  std::string name;
};

std::optional<Entry> read_entry(std::string_view line) {
  auto begin = line.find("- ");
  if (begin == std::string_view::npos || !trim(line.substr(0, begin)).empty()) {
    return {};
  }
  begin = std::min(line.find_first_not_of(' ', begin + 2), line.size());
  auto comment = line.find(" #", begin);
  auto content = trim(line.substr(
      begin, comment == std::string_view::npos ? comment : comment - begin));
  if (auto channel = content.find("::"); channel != std::string_view::npos) {
    begin += channel + 2;
    content = content.substr(channel + 2);
  }
  Entry entry;
  entry.begin = begin;
  auto length =
      std::min(content.find_first_not_of(kNameLetters), content.size());
  entry.name = content.substr(0, length);
  entry.name_end = begin + length;
  entry.extras_end = entry.name_end;
  auto rest = content.substr(length);
  if (rest.starts_with('[')) {
    auto close = rest.find(']');
    if (close == std::string_view::npos) {
      return {};
    }
    entry.extras_end += close + 1;
    rest = rest.substr(close + 1);
  }
  entry.end = begin + content.size();
  // Markers, addresses, options: not a name and a version.
  bool plain = !entry.name.empty() && !entry.name.starts_with('-') &&
               rest.find_first_of(";@:/") == std::string_view::npos &&
               (rest.empty() || std::string_view("=<>!~ ").find(rest.front()) !=
                                    std::string_view::npos);
  return plain ? std::optional(entry) : std::nullopt;
}

// The lists of the file, by lines.
struct Lists {
  size_t head = 0;            ///< "dependencies:"
  size_t end = 0;             ///< after its last line
  size_t indent = 0;          ///< of its items
  std::vector<size_t> conda;  ///< items that are packages
  std::optional<size_t> pip;  ///< "- pip:"
  size_t pip_end = 0;         ///< after its last line
  size_t pip_indent = 0;
  std::vector<size_t> pip_items;
};

class Text {
 public:
  explicit Text(const std::string& text)
      : document_(text, std::string(kEnvironmentFile)) {}

  Document& document() { return document_; }

  // The parts marked as ours, taken out.
  void remove_marked() {
    for (size_t line = 0; line < document_.lines().size(); ++line) {
      if (!trim(document_.line(line)).starts_with(kOpen)) {
        continue;
      }
      auto close = line;
      while (close < document_.lines().size() &&
             trim(document_.line(close)) != kClose) {
        ++close;
      }
      if (close == document_.lines().size()) {
        unclear(line, fmt::format("a line {} below", kClose), "none");
      }
      document_.erase(line, close - line + 1);
      --line;
    }
  }

  Lists lists() const {
    Lists lists;
    bool found = false;
    for (size_t line = 0; line < document_.lines().size(); ++line) {
      auto text = document_.line(line);
      if (text.find('\t') != std::string_view::npos && is_word_line(text)) {
        unclear(line, "spaces", "a tab");
      }
      if (!text.starts_with("dependencies:")) {
        continue;
      }
      auto rest = trim(text.substr(std::string_view("dependencies:").size()));
      if (found || (!rest.empty() && !rest.starts_with('#'))) {
        unclear(line, "`dependencies:` once, its items below it", text);
      }
      found = true;
      lists.head = line;
    }
    if (!found) {
      unclear(0, "`dependencies:`", "no such key");
    }
    read_items(lists);
    return lists;
  }

 private:
  void read_items(Lists& lists) const {
    lists.end = lists.head + 1;
    bool first = true;
    for (auto line = lists.head + 1; line < document_.lines().size(); ++line) {
      auto text = document_.line(line);
      if (!is_word_line(text)) {
        continue;
      }
      auto indent = indent_of(text);
      bool item = trim(text).starts_with("- ");
      if (indent == 0 && !item) {
        return;
      }
      if (first) {
        lists.indent = indent;
        first = false;
      }
      lists.end = line + 1;
      read_item(line, text, indent, lists);
    }
  }

  void read_item(size_t line,
                 std::string_view text,
                 size_t indent,
                 Lists& lists) const {
    auto bare = trim(text);
    auto value = trim(bare.substr(std::min<size_t>(bare.size(), 2)));
    bool plain = bare.starts_with("- ") && !value.empty() &&
                 std::string_view("{[&*!|>").find(value.front()) ==
                     std::string_view::npos;
    if (!plain) {
      unclear(line, "`- name=version`", bare);
    }
    if (indent == lists.indent) {
      if (value.starts_with("pip:")) {
        if (lists.pip || !trim(value.substr(4)).empty()) {
          unclear(line, "`- pip:` once, its items below it", bare);
        }
        lists.pip = line;
        lists.pip_end = line + 1;
      } else {
        lists.conda.push_back(line);
      }
      return;
    }
    bool below_pip =
        lists.pip && (lists.conda.empty() || lists.conda.back() < *lists.pip);
    if (!below_pip || indent < lists.indent) {
      unclear(line, "an item of `dependencies:` or of `- pip:`", bare);
    }
    lists.pip_indent = indent;
    lists.pip_items.push_back(line);
    lists.pip_end = line + 1;
  }

  Document document_;
};

Versions versions_of(const Packages& packages) {
  Versions versions;
  for (const auto& [name, version] : packages) {
    versions[package_key(name)] = version;
  }
  return versions;
}

// Sets the version of one item; the name is remembered as listed.
void pin(Document& document,
         size_t line,
         const Versions& versions,
         std::string_view equals,
         std::set<std::string>& listed) {
  std::string text(document.line(line));
  auto entry = read_entry(text);
  if (!entry) {
    return;
  }
  auto key = package_key(entry->name);
  auto version = versions.find(key);
  if (version == versions.end()) {
    return;
  }
  listed.insert(key);
  text.replace(entry->extras_end,
               entry->end - entry->extras_end,
               fmt::format("{}{}", equals, version->second));
  if (text != document.line(line)) {
    document.replace(line, text);
  }
}

std::vector<std::string> marked(const Packages& packages,
                                const std::set<std::string>& listed,
                                size_t indent,
                                std::string_view equals) {
  std::string space(indent, ' ');
  std::vector<std::string> lines;
  for (const auto& [name, version] : packages) {
    if (!listed.contains(package_key(name))) {
      lines.push_back(fmt::format("{}- {}{}{}", space, name, equals, version));
    }
  }
  if (!lines.empty()) {
    lines.insert(lines.begin(),
                 fmt::format("{}{}: what else is installed", space, kOpen));
    lines.push_back(fmt::format("{}{}", space, kClose));
  }
  return lines;
}

}  // namespace

std::string package_key(std::string_view name) {
  auto key = to_lower(name);
  std::ranges::replace(key, '_', '-');
  std::ranges::replace(key, '.', '-');
  return key;
}

std::string with_versions(const std::string& text, const Installed& installed) {
  auto start = text.empty()
                   ? std::string("name: project\ndependencies:\n  - python\n")
                   : text;
  Text file(start);
  file.remove_marked();
  auto& document = file.document();
  auto versions = versions_of(installed.pip);
  for (const auto& [key, version] : versions_of(installed.conda)) {
    versions[key] = version;
  }
  versions["python"] = installed.interpreter.version;
  auto conda_packages = installed.conda;
  if (!versions_of(conda_packages).contains("python")) {
    conda_packages.insert(conda_packages.begin(),
                          {"python", installed.interpreter.version});
  }
  std::set<std::string> listed;
  auto lists = file.lists();
  for (auto line : lists.conda) {
    pin(document, line, versions, "=", listed);
  }
  for (auto line : lists.pip_items) {
    pin(document, line, versions, "==", listed);
  }
  // The later lines first, so that the numbers of the others stay.
  auto indent = lists.pip_items.empty() ? lists.indent + 4 : lists.pip_indent;
  auto pip = marked(installed.pip, listed, indent, "==");
  if (!pip.empty() && lists.pip) {
    document.insert(lists.pip_end, pip);
  } else if (!pip.empty()) {
    pip.insert(pip.begin(), std::string(lists.indent, ' ') + "- pip:");
    document.insert(lists.end, pip);
  }
  auto conda = marked(conda_packages, listed, lists.indent, "=");
  if (!conda.empty()) {
    document.insert(lists.pip ? *lists.pip
                              : (lists.conda.empty() ? lists.head + 1
                                                     : lists.conda.back() + 1),
                    conda);
  }
  return document.text();
}

std::string wanted_python(std::string_view text) {
  for (const auto& line : split_lines(text)) {
    auto entry = read_entry(line);
    if (entry && entry->name == "python") {
      auto rest = std::string_view(line).substr(entry->name_end,
                                                entry->end - entry->name_end);
      auto begin = rest.find_first_of("0123456789");
      return begin == std::string_view::npos
                 ? std::string()
                 : std::string(rest.substr(
                       begin,
                       rest.find_first_not_of("0123456789.", begin) - begin));
    }
  }
  return {};
}

std::vector<std::string> pinned_requirements(const std::string& text) {
  std::vector<std::string> pinned;
  try {
    Text file(text);
    for (auto line : file.lists().pip_items) {
      auto own = file.document().line(line);
      auto entry = read_entry(own);
      auto version =
          entry ? own.substr(entry->extras_end, entry->end - entry->extras_end)
                : std::string_view();
      bool one = version.starts_with("==") &&
                 version.find_first_of(",* ") == std::string_view::npos;
      if (one) {
        pinned.emplace_back(
            own.substr(entry->begin, entry->end - entry->begin));
      }
    }
  } catch (const Error&) {
    return {};
  }
  return pinned;
}

}  // namespace assay::project
