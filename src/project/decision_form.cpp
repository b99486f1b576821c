#include <array>
#include <cstdlib>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/platform_process.h"
#include "assay/project/learnings.h"
#include "assay/project/madr.h"

namespace assay::project {
namespace {

constexpr std::string_view kHelp =
    "<!-- Fill in what is missing, save, and leave the editor. Comments are "
    "left\nout. With an empty field nothing is decided, and this form stays "
    "where it is. -->";

constexpr std::array<std::string_view, 3> kTitles = {
    "Rationale", "Trade-off", "Validation"};
constexpr std::array<std::string_view, 3> kQuestions = {
    "Why?", "What does it cost?", "What shows that it holds?"};

std::string& field(Decision& decision, size_t index) {
  std::array<std::string*, 3> fields = {
      &decision.rationale, &decision.trade_off, &decision.validation};
  return *fields.at(index);
}

std::string bare(std::string_view text) {
  auto begin = text.find_first_not_of(" \t\r\n");
  auto end = text.find_last_not_of(" \t\r\n");
  return begin == std::string_view::npos
             ? std::string()
             : std::string(text.substr(begin, end + 1 - begin));
}

std::string editor() {
  for (const auto* name : {"VISUAL", "EDITOR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') {
      return value;
    }
  }
  return "vi";
}

}  // namespace

std::string decision_form(const Decision& decision) {
  auto known = decision;
  auto text = fmt::format("# {}\n\n{}\n", trim(decision.title), kHelp);
  for (size_t index = 0; index < kTitles.size(); ++index) {
    const auto& words = field(known, index);
    text += fmt::format("\n## {}\n\n<!-- {} -->\n\n{}{}",
                        kTitles[index],
                        kQuestions[index],
                        words,
                        words.empty() ? "" : "\n");
  }
  return text;
}

Decision read_decision_form(std::string_view text) {
  auto document = Document(std::string(text), "decision");
  Decision decision;
  std::string* open = nullptr;
  size_t next = 0;
  for (size_t index = 0; index < document.lines().size(); ++index) {
    const auto& headings = document.headings();
    if (next < headings.size() && headings[next].line == index) {
      const auto& heading = headings[next++];
      if (heading.level == 1 && decision.title.empty()) {
        decision.title = heading.title;
        continue;
      }
      bool known = false;
      for (size_t which = 0; which < kTitles.size(); ++which) {
        if (to_lower(heading.title) == to_lower(kTitles[which])) {
          open = &field(decision, which);
          known = true;
        }
      }
      if (known) {
        continue;
      }
    }
    if (open != nullptr && document.lines()[index].kind != LineKind::html) {
      *open += std::string(document.line(index)) + "\n";
    }
  }
  for (size_t which = 0; which < kTitles.size(); ++which) {
    field(decision, which) = bare(field(decision, which));
  }
  return decision;
}

DecisionView decide_in_editor(Store& store, const Decision& known) {
  namespace fs = std::filesystem;
  auto form =
      store.notes() / fmt::format("decision-{}.md", file_title(known.title));
  std::error_code error;
  if (!fs::exists(form, error)) {
    write_text(form, decision_form(known));
  }
  auto program = editor();
  int code = platform::run_in_terminal(program, {form.string()});
  if (code != 0) {
    fail("project.editor",
         form.string(),
         fmt::format("{} to end with 0", program),
         fmt::format("{}", code));
  }
  auto decision = read_decision_form(read_text(form));
  decision.supersedes = known.supersedes;
  for (const auto* field : {&decision.title,
                            &decision.rationale,
                            &decision.trade_off,
                            &decision.validation}) {
    if (field->empty()) {
      fail("project.empty",
           form.string(),
           "title, rationale, trade-off and validation",
           "an empty one");
    }
  }
  auto view = decide(store, decision);
  fs::remove(form, error);
  return view;
}

}  // namespace assay::project
