#include "assay/project/madr.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace assay::project {
namespace fs = std::filesystem;

namespace {

bool is_madr(std::string_view name) {
  return name.size() > 8 && name.ends_with(".md") && name[4] == '-' &&
         name.substr(0, 4).find_first_not_of("0123456789") ==
             std::string_view::npos;
}

std::set<std::string> madr_files(const Store& store) {
  std::set<std::string> names;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(store.root() / kDecisionsFolder, error)) {
    auto name = entry.path().filename().string();
    if (is_madr(name)) {
      names.insert(name);
    }
  }
  return names;
}

// The text under a heading, to the next heading of any level.
std::string text_below(const Document& document, const Heading& heading) {
  std::string text;
  auto range = document.section(heading);
  for (auto index = range.first; index < range.last; ++index) {
    const auto kind = document.lines()[index].kind;
    if (kind == LineKind::heading) {
      break;
    }
    if (kind != LineKind::html) {
      text += std::string(document.line(index)) + "\n";
    }
  }
  auto begin = text.find_first_not_of('\n');
  auto end = text.find_last_not_of(" \t\n");
  return end == std::string::npos ? std::string()
                                  : text.substr(begin, end + 1 - begin);
}

// Of the first heading of one of these titles: "Consequences" of MADR 3 and 4,
// "Positive Consequences" and "Negative Consequences" of MADR 2.
std::string section_text(const Document& document,
                         const std::vector<std::string_view>& titles) {
  std::string text;
  for (auto title : titles) {
    auto found = std::ranges::find_if(document.headings(),
                                      [title](const Heading& heading) {
                                        return to_lower(heading.title) == title;
                                      });
    auto part = found == document.headings().end()
                    ? std::string()
                    : text_below(document, *found);
    text += (text.empty() || part.empty() ? "" : "\n") + part;
  }
  return text;
}

std::string_view unquoted(std::string_view value) {
  bool quoted = value.size() >= 2 && value.front() == value.back() &&
                (value.front() == '"' || value.front() == '\'');
  return quoted ? value.substr(1, value.size() - 2) : value;
}

// Where in the line the value of a field stands: `key: value` in the front
// matter, "* Key: value" (or -) in the list of MADR 2.
std::optional<size_t> value_begin(const Document& document,
                                  size_t index,
                                  std::string_view key) {
  auto line = document.line(index);
  size_t at = 0;
  if (document.lines()[index].kind == LineKind::item &&
      (line.starts_with("* ") || line.starts_with("- "))) {
    at = 2;
  } else if (document.lines()[index].kind != LineKind::matter) {
    return {};
  }
  auto rest = to_lower(line.substr(at));
  return rest.starts_with(fmt::format("{}:", key))
             ? std::optional(at + key.size() + 1)
             : std::nullopt;
}

// The fields stand before the first heading below the title.
size_t end_of_fields(const Document& document) {
  const auto& headings = document.headings();
  return headings.size() > 1 ? headings[1].line : document.lines().size();
}

std::string field(const Document& document, std::string_view key) {
  for (size_t index = 0; index < end_of_fields(document); ++index) {
    if (auto begin = value_begin(document, index, key)) {
      return std::string(unquoted(trim(document.line(index).substr(*begin))));
    }
  }
  return {};
}

// The file that "ADR-0005", "[ADR-0005](0005-x.md)" or "0005-x.md" names; else
// the text as it is.
std::string file_named(std::string_view text,
                       const std::set<std::string>& names) {
  for (const auto& name : names) {
    auto number = text.find(name.substr(0, 4));
    bool digit_before = number != std::string_view::npos && number > 0 &&
                        text[number - 1] >= '0' && text[number - 1] <= '9';
    if (text.find(name) != std::string_view::npos ||
        (number != std::string_view::npos && !digit_before &&
         to_lower(text).find("adr-" + name.substr(0, 4)) !=
             std::string::npos)) {
      return name;
    }
  }
  return std::string(trim(text));
}

// What follows `words` in the text, to the end of its line.
std::string after_words(std::string_view text, std::string_view words) {
  auto lower = to_lower(text);
  auto at = lower.find(words);
  if (at == std::string::npos) {
    return {};
  }
  auto rest = text.substr(at + words.size());
  rest = rest.substr(0, rest.find('\n'));
  return std::string(rest.ends_with('.') ? rest.substr(0, rest.size() - 1)
                                         : rest);
}

DecisionView read_madr(const Store& store,
                       const std::string& name,
                       const std::set<std::string>& names) {
  auto document = store.document(fmt::format("{}/{}", kDecisionsFolder, name));
  DecisionView view;
  view.file = document.where();
  if (!document.headings().empty()) {
    view.decision.title = document.headings().front().title;
    view.line = static_cast<int>(document.headings().front().line) + 1;
  }
  view.decision.date = field(document, "date");
  view.decision.rationale = section_text(document, {"decision outcome"});
  view.decision.trade_off = section_text(
      document,
      {"consequences", "positive consequences", "negative consequences"});
  view.decision.validation =
      section_text(document, {"confirmation", "validation"});
  auto more = section_text(document, {"more information", "links"});
  if (auto earlier = after_words(more, "supersedes "); !earlier.empty()) {
    view.decision.supersedes = file_named(earlier, names);
  }
  if (auto later = after_words(field(document, "status"), "superseded by ");
      !later.empty()) {
    view.superseded_by = file_named(later, names);
  }
  return view;
}

void add_section(std::vector<std::string>& lines,
                 std::string_view heading,
                 std::string_view text) {
  if (!lines.empty()) {
    lines.emplace_back();
  }
  lines.emplace_back(heading);
  lines.emplace_back();
  for (auto& line : split_lines(trim(text))) {
    lines.push_back(std::move(line));
  }
}

}  // namespace

std::string file_title(std::string_view title) {
  std::string slug;
  for (char letter : to_lower(title)) {
    bool kept = (letter >= 'a' && letter <= 'z') ||
                (letter >= '0' && letter <= '9') ||
                (static_cast<unsigned char>(letter) & 0x80) != 0;
    if (kept) {
      slug += letter;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  while (!slug.empty() && (slug.back() == '-' || slug.size() > 80)) {
    slug.pop_back();
    // Never half of a letter of several bytes.
    while (!slug.empty() &&
           (static_cast<unsigned char>(slug.back()) & 0xC0) == 0x80 &&
           slug.size() > 80) {
      slug.pop_back();
    }
  }
  return slug.empty() ? "decision" : slug;
}

bool keeps_madr(const Store& store) {
  std::error_code error;
  return fs::is_directory(store.root() / kDecisionsFolder, error);
}

std::vector<DecisionView> madr_decisions(const Store& store) {
  auto names = madr_files(store);
  std::vector<DecisionView> views;
  for (const auto& name : names) {
    views.push_back(read_madr(store, name, names));
  }
  return views;
}

std::string next_madr_name(const Store& store, std::string_view title) {
  auto names = madr_files(store);
  int number = names.empty() ? 1 : std::stoi(names.rbegin()->substr(0, 4)) + 1;
  return fmt::format("{:04}-{}.md", number, file_title(title));
}

std::string madr_head(const Decision& decision) {
  return fmt::format("---\nstatus: accepted\ndate: {}\n---\n\n# {}\n\n",
                     decision.date,
                     trim(decision.title));
}

std::vector<std::string> madr_body(const Decision& decision) {
  std::vector<std::string> lines;
  add_section(lines, "## Decision Outcome", decision.rationale);
  add_section(lines, "### Consequences", decision.trade_off);
  add_section(lines, "### Confirmation", decision.validation);
  if (!decision.supersedes.empty()) {
    add_section(lines,
                "## More Information",
                fmt::format("Supersedes [{0}]({0}).", decision.supersedes));
  }
  return lines;
}

void set_madr_field(Document& document,
                    std::string_view key,
                    const std::string& value) {
  for (size_t index = 0; index < end_of_fields(document); ++index) {
    if (auto begin = value_begin(document, index, key)) {
      auto kept = std::string(document.line(index).substr(0, *begin));
      document.replace(index, fmt::format("{} {}", kept, value));
      return;
    }
  }
  auto line = fmt::format("{}: {}", key, value);
  bool has = !document.lines().empty() &&
             document.lines().front().kind == LineKind::matter;
  if (has) {
    document.insert(1, {line});
  } else {
    document.insert(0, {"---", line, "---", ""});
  }
}

}  // namespace assay::project
