#include "assay/project/learnings.h"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/blocks.h"
#include "assay/project/clock.h"
#include "assay/project/madr.h"

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
         (document.lines()[end - 1].kind == LineKind::blank ||
          document.opens_block(end - 1))) {
    --end;
  }
  return end;
}

// The end of the section of that title, which is made where absent.
size_t end_under(Document& document, std::string_view title) {
  if (document.lines().empty()) {
    document.insert(0, {"# Learnings"});
  }
  if (document.find_heading(title) == nullptr) {
    document.append({fmt::format("## {}", title)});
  }
  const auto* heading = document.find_heading(title);
  if (heading == nullptr) {
    fail("project.ambiguous",
         document.where(),
         fmt::format("a place for \"{}\" outside code and comments", title),
         "code or a comment that is never closed");
  }
  return end_of_section(document, *heading);
}

// Adds lines at the end of the section of that title, made where absent.
void add_under(Document& document,
               std::string_view title,
               std::vector<std::string> lines) {
  auto end = end_under(document, title);
  auto body = document.find_heading(title)->body;
  bool list = lines.front().starts_with("- ");
  bool after_list =
      end > body && (document.lines()[end - 1].kind == LineKind::item ||
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

constexpr std::string_view kDecisionsTitle = "Decisions";
constexpr std::array<std::string_view, 4> kFields = {
    "Date", "Rationale", "Trade-off", "Validation"};

std::string& field_at(Decision& decision, size_t index) {
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
    auto text = fmt::format(
        "**{}**: {}", kFields[index], trim(field_at(decision, index)));
    auto item = item_lines(text);
    lines.insert(lines.end(), item.begin(), item.end());
  }
  if (!decision.supersedes.empty()) {
    lines.push_back(fmt::format("{}{}", kSupersedes, decision.supersedes));
  }
  return lines;
}

// The value of `- **Name**: value`, however it is set in bold, or not; nothing
// for other lines.
std::optional<std::string_view> item_value(std::string_view line,
                                           std::string_view name) {
  auto strip = [&line](std::string_view part) {
    bool starts = to_lower(line.substr(0, part.size())) == to_lower(part);
    line.remove_prefix(starts ? part.size() : 0);
    return starts;
  };
  if (!strip("- ") && !strip("* ")) {
    return {};
  }
  strip("**");
  if (!strip(name)) {
    return {};
  }
  strip("**");
  if (!strip(":")) {
    return {};
  }
  strip("**");
  return trim(line);
}

// Fields of a decision by name; null for names that it has none for.
std::string* named_field(DecisionView& view, std::string_view line) {
  for (size_t which = 0; which < kFields.size(); ++which) {
    if (item_value(line, kFields[which])) {
      return &field_at(view.decision, which);
    }
  }
  if (item_value(line, "Superseded by")) {
    return &view.superseded_by;
  }
  return item_value(line, "Supersedes") ? &view.decision.supersedes : nullptr;
}

DecisionView read_decision(const Document& document, const Heading& heading) {
  DecisionView view;
  view.file = document.where();
  view.line = static_cast<int>(heading.line) + 1;
  view.decision.title = heading.title;
  if (heading.title.starts_with(kTitlePrefix)) {
    view.decision.title.erase(0, kTitlePrefix.size());
  }
  auto range = document.section(heading);
  std::string* open = nullptr;
  for (auto index = range.first; index < range.last; ++index) {
    auto line = document.line(index);
    if (auto* named = named_field(view, line)) {
      open = named;
      *open = trim(line.substr(line.find(':') + 1));
      if (open->starts_with("**")) {
        *open = trim(std::string_view(*open).substr(2));
      }
    } else if (line.starts_with("- ") || line.starts_with("* ")) {
      open = nullptr;
    } else if (open != nullptr && line.starts_with("  ")) {
      *open += "\n" + std::string(line.substr(2));
    }
  }
  return view;
}

// Headings of decisions: by their title, or right below "Decisions".
std::vector<const Heading*> decision_headings(const Document& document) {
  std::vector<const Heading*> found;
  const Heading* around = nullptr;
  int inner = 0;  // the level of the first heading below `around`
  for (const auto& heading : document.headings()) {
    if (around != nullptr && heading.level <= around->level) {
      around = nullptr;
    }
    if (around != nullptr && inner == 0) {
      inner = heading.level;
    }
    if (heading.title.starts_with(kTitlePrefix) ||
        (around != nullptr && heading.level == inner)) {
      found.push_back(&heading);
    }
    if (to_lower(heading.title) == to_lower(kDecisionsTitle)) {
      around = &heading;
      inner = 0;
    }
  }
  return found;
}

std::vector<DecisionView> decisions_in(const Document& document) {
  std::vector<DecisionView> found;
  for (const auto* heading : decision_headings(document)) {
    found.push_back(read_decision(document, *heading));
  }
  return found;
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
      set_madr_field(
          document, "status", fmt::format("\"superseded by {}\"", later));
      return;
    }
    for (const auto* heading : decision_headings(document)) {
      if (read_decision(document, *heading).decision.title ==
          earlier.decision.title) {
        document.insert(end_of_section(document, *heading),
                        {fmt::format("{}{}", kSupersededBy, later)});
        return;
      }
    }
  });
}

// With its date; throws where words are missing.
Decision whole(Decision decision) {
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
  return decision;
}

const DecisionView* find_title(const std::vector<DecisionView>& all,
                               std::string_view title) {
  for (const auto& view : all) {
    if (to_lower(view.decision.title) == to_lower(trim(title))) {
      return &view;
    }
  }
  return nullptr;
}

[[noreturn]] void fail_taken(const DecisionView& view) {
  fail("project.duplicate",
       fmt::format("{}:{}", view.file, view.line),
       "a title not yet taken",
       view.decision.title);
}

int line_of(const Document& document, std::string_view title) {
  auto all = decisions_in(document);
  const auto* view = find_title(all, title);
  return view == nullptr ? 1 : view->line;
}

bool has_block(const Store& store,
               const std::string& file,
               std::string_view id) {
  auto blocks = store.document(file).blocks();
  return std::ranges::find(blocks, id, &Block::id) != blocks.end();
}

void edit_madr(Store& store,
               std::string_view id,
               const Decision& decision,
               const std::string& file) {
  store.edit(file, [&](Document& document) {
    if (document.lines().empty()) {
      document = Document(madr_head(decision), file);
    } else {
      set_madr_field(document, "date", decision.date);
    }
    write_block(document, id, madr_body(decision));
  });
}

}  // namespace

std::string today() {
  return now_text().substr(0, 10);
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
  auto files = madr_decisions(store);
  all.insert(all.end(), files.begin(), files.end());
  return all;
}

DecisionView decide(Store& store, const Decision& given) {
  auto decision = whole(given);
  auto guard = Store::Guard(store);
  auto all = list_decisions(store);
  if (const auto* there = find_title(all, decision.title)) {
    fail_taken(*there);
  }
  const DecisionView* earlier = nullptr;
  if (!decision.supersedes.empty()) {
    earlier = &find_decision(all, decision.supersedes);
    decision.supersedes = earlier->file == kLearningsFile
                              ? earlier->decision.title
                              : fs::path(earlier->file).filename().string();
  }
  DecisionView written{std::string(kLearningsFile), 1, decision, std::string()};
  auto later = std::string(trim(decision.title));
  if (keeps_madr(store)) {
    later = next_madr_name(store, decision.title);
    written.file = fmt::format("{}/{}", kDecisionsFolder, later);
    auto text = madr_head(decision);
    for (const auto& line : madr_body(decision)) {
      text += line + "\n";
    }
    store.create(written.file, text);
  } else {
    store.edit(kLearningsFile, [&](Document& document) {
      add_under(document, kDecisionsTitle, decision_lines(decision));
      written.line = line_of(document, decision.title);
    });
  }
  if (earlier != nullptr) {
    link_back(store, *earlier, later);
  }
  return written;
}

DecisionView record_decision(Store& store,
                             std::string_view id,
                             const Decision& given) {
  auto decision = whole(given);
  auto guard = Store::Guard(store);
  auto all = list_decisions(store);
  const auto* there = find_title(all, decision.title);
  if (there != nullptr && !has_block(store, there->file, id)) {
    fail_taken(*there);
  }
  auto file = there != nullptr ? there->file : std::string(kLearningsFile);
  if (there == nullptr && keeps_madr(store)) {
    file = fmt::format(
        "{}/{}", kDecisionsFolder, next_madr_name(store, decision.title));
  }
  if (file != kLearningsFile) {
    edit_madr(store, id, decision, file);
  } else {
    store.edit(kLearningsFile, [&](Document& document) {
      auto end = end_under(document, kDecisionsTitle);
      write_block(document, id, decision_lines(decision), end);
    });
  }
  auto document = store.document(file);
  return {file, line_of(document, decision.title), decision, std::string()};
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
