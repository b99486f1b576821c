#include "assay/project/learnings.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <set>

#include <fmt/format.h>

#include "assay/core/finding.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

void expect_text(std::string_view text, std::string_view what) {
  if (trim(text).empty()) {
    fail("project.empty", std::string(what), "some words", "nothing");
  }
}

// Continuation lines of an item are indented, so that they stay inside it.
std::vector<std::string> item_lines(std::string_view text) {
  auto lines = split_lines(text);
  for (size_t index = 0; index < lines.size(); ++index) {
    bool blank = trim(lines[index]).empty();
    lines[index] = (index == 0 ? "- " : (blank ? "" : "  ")) + lines[index];
  }
  return lines;
}

size_t end_of_section(const Document& document, const Heading& heading) {
  auto range = document.section(heading);
  auto end = range.last;
  while (end > range.first &&
         document.lines()[end - 1].kind == LineKind::blank) {
    --end;
  }
  return end;
}

// Adds lines at the end of the section of that title, made where absent.
void add_under(Document& document,
               std::string_view title,
               std::vector<std::string> lines) {
  if (document.lines().empty()) {
    document.insert(0, {"# Learnings"});
  }
  if (document.find_heading(title) == nullptr) {
    document.append({fmt::format("## {}", title)});
  }
  const auto& heading = *document.find_heading(title);
  auto end = end_of_section(document, heading);
  bool list = lines.front().starts_with("- ");
  bool after_list =
      end > heading.body && (document.lines()[end - 1].kind == LineKind::item ||
                             document.line(end - 1).starts_with(" "));
  if (!(list && after_list)) {
    lines.insert(lines.begin(), "");
  }
  bool crowded = end < document.lines().size() &&
                 document.lines()[end].kind != LineKind::blank;
  if (crowded) {
    lines.emplace_back();
  }
  document.insert(end, lines);
}

constexpr std::array<std::string_view, 4> kFields = {
    "Date", "Rationale", "Trade-off", "Validation"};

std::string& field(Decision& decision, size_t index) {
  std::array<std::string*, 4> members = {&decision.date,
                                         &decision.rationale,
                                         &decision.trade_off,
                                         &decision.validation};
  return *members.at(index);
}

constexpr std::string_view kTitlePrefix = "Decision: ";
constexpr std::string_view kSupersededBy = "- **Superseded by**: ";
constexpr std::string_view kSupersedes = "- **Supersedes**: ";

std::vector<std::string> decision_lines(Decision decision) {
  std::vector<std::string> lines = {
      fmt::format("### {}{}", kTitlePrefix, trim(decision.title)), ""};
  for (size_t index = 0; index < kFields.size(); ++index) {
    auto text =
        fmt::format("**{}**: {}", kFields[index], trim(field(decision, index)));
    auto item = item_lines(text);
    lines.insert(lines.end(), item.begin(), item.end());
  }
  if (!decision.supersedes.empty()) {
    lines.push_back(fmt::format("{}{}", kSupersedes, decision.supersedes));
  }
  return lines;
}

DecisionView read_decision(const Document& document, const Heading& heading) {
  DecisionView view;
  view.file = document.where();
  view.line = static_cast<int>(heading.line) + 1;
  view.decision.title = heading.title.substr(kTitlePrefix.size());
  auto range = document.section(heading);
  std::string* open = nullptr;
  for (auto index = range.first; index < range.last; ++index) {
    auto line = document.line(index);
    bool known = false;
    for (size_t which = 0; which < kFields.size(); ++which) {
      auto start = fmt::format("- **{}**: ", kFields[which]);
      if (line.starts_with(start)) {
        open = &field(view.decision, which);
        *open = line.substr(start.size());
        known = true;
      }
    }
    if (line.starts_with(kSupersededBy)) {
      view.superseded_by = line.substr(kSupersededBy.size());
      open = nullptr;
    } else if (line.starts_with(kSupersedes)) {
      view.decision.supersedes = line.substr(kSupersedes.size());
      open = nullptr;
    } else if (!known && open != nullptr && line.starts_with("  ")) {
      *open += "\n" + std::string(line.substr(2));
    }
  }
  return view;
}

std::vector<DecisionView> decisions_in(const Document& document) {
  std::vector<DecisionView> found;
  for (const auto& heading : document.headings()) {
    if (heading.title.starts_with(kTitlePrefix)) {
      found.push_back(read_decision(document, heading));
    }
  }
  return found;
}

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

std::string section_text(const Document& document, std::string_view title) {
  const auto* heading = document.find_heading(title);
  if (heading == nullptr) {
    return {};
  }
  std::string text;
  auto range = document.section(*heading);
  for (auto index = range.first; index < range.last; ++index) {
    text += (text.empty() ? "" : "\n") + std::string(document.line(index));
  }
  auto end = text.find_last_not_of(" \t\n");
  return end == std::string::npos ? std::string() : text.substr(0, end + 1);
}

// The value of `key:` in the front matter.
std::string matter_value(const Document& document, std::string_view key) {
  for (size_t index = 0; index < document.lines().size(); ++index) {
    auto line = document.line(index);
    if (document.lines()[index].kind == LineKind::matter &&
        line.starts_with(fmt::format("{}:", key))) {
      auto value = trim(line.substr(key.size() + 1));
      bool quoted = value.size() >= 2 && value.front() == value.back() &&
                    (value.front() == '"' || value.front() == '\'');
      return std::string(quoted ? value.substr(1, value.size() - 2) : value);
    }
  }
  return {};
}

DecisionView read_madr(const Store& store, const std::string& name) {
  auto document = store.document(fmt::format("{}/{}", kDecisionsFolder, name));
  DecisionView view;
  view.file = document.where();
  if (!document.headings().empty()) {
    view.decision.title = document.headings().front().title;
    view.line = static_cast<int>(document.headings().front().line) + 1;
  }
  view.decision.date = matter_value(document, "date");
  view.decision.rationale = section_text(document, "Decision Outcome");
  view.decision.trade_off = section_text(document, "Consequences");
  view.decision.validation = section_text(document, "Confirmation");
  constexpr std::string_view kStatus = "superseded by ";
  if (auto status = matter_value(document, "status");
      status.starts_with(kStatus)) {
    view.superseded_by = status.substr(kStatus.size());
  }
  return view;
}

// Sets `status:` in the front matter, which is made where absent.
void set_status(Document& document, const std::string& status) {
  auto line = fmt::format("status: \"{}\"", status);
  for (size_t index = 0; index < document.lines().size(); ++index) {
    bool matter = document.lines()[index].kind == LineKind::matter;
    if (matter && document.line(index).starts_with("status:")) {
      document.replace(index, line);
      return;
    }
  }
  bool has = !document.lines().empty() &&
             document.lines().front().kind == LineKind::matter;
  if (has) {
    document.insert(1, {line});
  } else {
    document.insert(0, {"---", line, "---", ""});
  }
}

std::string madr_text(const Decision& decision) {
  std::string text = fmt::format(
      "---\nstatus: accepted\ndate: {}\n---\n\n# {}\n\n## Decision Outcome\n\n"
      "{}\n\n### Consequences\n\n{}\n\n### Confirmation\n\n{}\n",
      decision.date,
      trim(decision.title),
      trim(decision.rationale),
      trim(decision.trade_off),
      trim(decision.validation));
  if (!decision.supersedes.empty()) {
    text += fmt::format("\n## More Information\n\nSupersedes [{0}]({0}).\n",
                        decision.supersedes);
  }
  return text;
}

const DecisionView& find_decision(const std::vector<DecisionView>& all,
                                  std::string_view which) {
  const DecisionView* found = nullptr;
  for (const auto& view : all) {
    bool same = to_lower(view.decision.title) == to_lower(trim(which)) ||
                fs::path(view.file).filename().string() == trim(which);
    if (same && found != nullptr) {
      fail("project.ambiguous",
           fmt::format("{}:{}", view.file, view.line),
           fmt::format("one decision \"{}\"", which),
           fmt::format("another at {}:{}", found->file, found->line));
    }
    if (same) {
      found = &view;
    }
  }
  if (found == nullptr) {
    fail("project.no-decision",
         std::string(kLearningsFile),
         fmt::format("a decision \"{}\"", which),
         fmt::format("none among {}", all.size()));
  }
  return *found;
}

void link_back(Store& store,
               const DecisionView& earlier,
               const std::string& later) {
  store.edit(earlier.file, [&](Document& document) {
    if (earlier.file != kLearningsFile) {
      set_status(document, "superseded by " + later);
      return;
    }
    const auto& heading = *document.find_heading(
        fmt::format("{}{}", kTitlePrefix, earlier.decision.title));
    document.insert(end_of_section(document, heading),
                    {fmt::format("{}{}", kSupersededBy, later)});
  });
}

}  // namespace

std::string today() {
  auto now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  return fmt::format("{:04}-{:02}-{:02}",
                     local.tm_year + 1900,
                     local.tm_mon + 1,
                     local.tm_mday);
}

std::string learn(Store& store,
                  std::string_view text,
                  bool failed,
                  std::string_view date) {
  expect_text(text, kLearningsFile);
  auto words = std::string(trim(text));
  auto item = item_lines(
      fmt::format("{}: {}", date.empty() ? today() : std::string(date), words));
  store.edit(kLearningsFile, [&](Document& document) {
    auto first = split_lines(words).front();
    for (size_t index = 0; index < document.lines().size(); ++index) {
      auto line = document.line(index);
      if (line.starts_with("- ") && line.ends_with(": " + first)) {
        fail("project.duplicate",
             fmt::format("{}:{}", document.where(), index + 1),
             "something not yet written",
             std::string(line));
      }
    }
    add_under(document, failed ? "Failed Approaches" : "Insights", item);
  });
  return item.front();
}

std::vector<DecisionView> list_decisions(const Store& store) {
  auto all = decisions_in(store.document(kLearningsFile));
  for (const auto& name : madr_files(store)) {
    all.push_back(read_madr(store, name));
  }
  return all;
}

DecisionView decide(Store& store, const Decision& given) {
  auto decision = given;
  for (const auto* text : {&decision.title,
                           &decision.rationale,
                           &decision.trade_off,
                           &decision.validation}) {
    expect_text(*text, "decision");
  }
  if (decision.title.find_first_of("\r\n") != std::string::npos) {
    fail("project.empty", "decision", "a title of one line", decision.title);
  }
  if (decision.date.empty()) {
    decision.date = today();
  }
  auto guard = Store::Guard(store);
  auto all = list_decisions(store);
  for (const auto& view : all) {
    if (to_lower(view.decision.title) == to_lower(trim(decision.title))) {
      fail("project.duplicate",
           fmt::format("{}:{}", view.file, view.line),
           "a title not yet taken",
           decision.title);
    }
  }
  std::string earlier;
  if (!decision.supersedes.empty()) {
    const auto& view = find_decision(all, decision.supersedes);
    earlier = view.file == kLearningsFile
                  ? view.decision.title
                  : fs::path(view.file).filename().string();
    decision.supersedes = earlier;
  }
  DecisionView written{std::string(kLearningsFile), 1, decision, std::string()};
  auto later = std::string(trim(decision.title));
  if (fs::is_directory(store.root() / kDecisionsFolder)) {
    auto names = madr_files(store);
    int number =
        names.empty() ? 1 : std::stoi(names.rbegin()->substr(0, 4)) + 1;
    later = fmt::format("{:04}-{}.md", number, file_title(decision.title));
    written.file = fmt::format("{}/{}", kDecisionsFolder, later);
    store.create(written.file, madr_text(decision));
  } else {
    store.edit(kLearningsFile, [&](Document& document) {
      add_under(document, "Decisions", decision_lines(decision));
      written.line =
          static_cast<int>(document
                               .find_heading(fmt::format(
                                   "{}{}", kTitlePrefix, trim(decision.title)))
                               ->line) +
          1;
    });
  }
  if (!earlier.empty()) {
    link_back(store, find_decision(all, earlier), later);
  }
  return written;
}

void add_tool(Store& store,
              std::string_view name,
              std::string_view command,
              std::string_view purpose) {
  expect_text(name, kDiagnosticsFile);
  expect_text(command, kDiagnosticsFile);
  store.edit(kDiagnosticsFile, [&](Document& document) {
    if (document.lines().empty()) {
      document.insert(0, {"# Diagnostics"});
    }
    if (const auto* there = document.find_heading(name)) {
      fail("project.duplicate",
           fmt::format("{}:{}", document.where(), there->line + 1),
           "a name not yet taken",
           std::string(name));
    }
    std::vector<std::string> lines = {fmt::format("## {}", trim(name)), ""};
    if (!trim(purpose).empty()) {
      lines.emplace_back(trim(purpose));
      lines.emplace_back();
    }
    lines.insert(lines.end(), {"```sh", std::string(command), "```"});
    document.append(lines);
  });
}

Json to_json(const DecisionView& view) {
  return {{"title", view.decision.title},
          {"date", view.decision.date},
          {"rationale", view.decision.rationale},
          {"trade_off", view.decision.trade_off},
          {"validation", view.decision.validation},
          {"supersedes", view.decision.supersedes},
          {"superseded_by", view.superseded_by},
          {"file", view.file},
          {"line", view.line}};
}

}  // namespace assay::project
