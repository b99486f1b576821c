// A document cut into passages.

#include <algorithm>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/learnings.h"
#include "assay/project/recall.h"

namespace assay::project {
namespace {

std::string title_at(const Document& document, size_t line) {
  std::string title;
  for (const auto& part : document.path_of(line)) {
    title += (title.empty() ? "" : " > ") + part;
  }
  return title;
}

// Cuts one document; `line_` is where the next passage may begin.
class Cutter {
 public:
  explicit Cutter(const Document& document) : document_(document) {}

  std::vector<Passage> run() {
    mark_generated();
    while (line_ < document_.lines().size()) {
      step();
    }
    return std::move(passages_);
  }

 private:
  LineKind kind(size_t line) const { return document_.lines()[line].kind; }

  // Tables of results stand in the ledger: they are found there.
  void mark_generated() {
    try {
      for (const auto& block : document_.blocks()) {
        if (block.id.starts_with("results-")) {
          skipped_.push_back({block.open, block.close + 1});
        }
      }
    } catch (const Error&) {
      skipped_.clear();  // marks that do not pair up: all of it is text
    }
  }

  void step() {
    auto skip = std::ranges::find(skipped_, line_, &LineRange::first);
    if (skip != skipped_.end()) {
      line_ = skip->last;
      return;
    }
    while (heading_ < document_.headings().size() &&
           document_.headings()[heading_].line < line_) {
      ++heading_;
    }
    bool at_heading = heading_ < document_.headings().size() &&
                      document_.headings()[heading_].line == line_;
    if (at_heading) {
      take_heading(document_.headings()[heading_]);
    } else if (kind(line_) == LineKind::blank || is_comment(line_)) {
      ++line_;
    } else if (kind(line_) == LineKind::item) {
      take_item();
    } else {
      take_paragraph();
    }
  }

  bool is_comment(size_t line) const {
    auto text = trim(document_.line(line));
    return kind(line) == LineKind::html &&
           (text.starts_with("<!--") || text.ends_with("-->"));
  }

  void take_heading(const Heading& heading) {
    auto section = document_.section(heading);
    auto path = document_.path_of(heading.line);
    bool decides =
        heading.title.starts_with("Decision: ") ||
        (path.size() > 1 && is_title(path[path.size() - 2], "decisions"));
    if (decides) {
      add(RecallKind::decision, heading.line, section.last);
      return;
    }
    bool bare =
        section.first == section.last ||
        std::ranges::all_of(
            document_.lines().begin() + static_cast<ptrdiff_t>(section.first),
            document_.lines().begin() + static_cast<ptrdiff_t>(section.last),
            [](const Line& line) { return line.kind == LineKind::blank; });
    if (bare) {
      add(RecallKind::text, heading.line, heading.body);
    } else {
      line_ = heading.body;
    }
  }

  // An item with all that is inside it.
  void take_item() {
    auto begin = line_;
    auto end = begin + 1;
    while (end < document_.lines().size() && continues(begin, end)) {
      ++end;
    }
    const auto& tasks = document_.tasks();
    while (task_ < tasks.size() && tasks[task_].line < begin) {
      ++task_;
    }
    bool task = task_ < tasks.size() && tasks[task_].line == begin;
    if (task) {
      end = tasks[task_].last + 1;
    }
    add(task ? RecallKind::task : kind_here(begin), begin, end);
  }

  // Blank lines belong to an item only where an indented line follows.
  bool continues(size_t begin, size_t line) const {
    auto outer = indent(begin);
    while (line < document_.lines().size() && kind(line) == LineKind::blank) {
      ++line;
    }
    if (line == document_.lines().size() || kind(line) == LineKind::heading) {
      return false;
    }
    bool lazy = kind(line) == LineKind::text && line > begin &&
                kind(line - 1) != LineKind::blank;
    return lazy || indent(line) > outer;
  }

  size_t indent(size_t line) const {
    auto text = document_.line(line);
    return std::min(text.find_first_not_of(" \t"), text.size());
  }

  void take_paragraph() {
    auto begin = line_;
    bool code = kind(begin) == LineKind::code;
    auto end = begin + 1;
    while (end < document_.lines().size() && kind(end) == kind(begin) &&
           !(code && starts_fence(end) && closed(begin, end))) {
      ++end;
    }
    add(kind_here(begin), begin, end);
  }

  bool starts_fence(size_t line) const {
    auto text = trim(document_.line(line));
    return text.starts_with("```") || text.starts_with("~~~");
  }
  // Two pieces of code may follow each other without a line between.
  bool closed(size_t begin, size_t end) const {
    return end > begin + 1 && starts_fence(begin) && starts_fence(end - 1);
  }

  static bool is_title(std::string_view title, std::string_view wanted) {
    return to_lower(title) == wanted;
  }

  RecallKind kind_here(size_t line) const {
    auto path = document_.path_of(line);
    bool failed = std::ranges::any_of(path, [](const std::string& title) {
      return is_title(title, "failed approaches");
    });
    return failed ? RecallKind::failed : RecallKind::text;
  }

  void add(RecallKind what, size_t begin, size_t end) {
    line_ = end;
    while (end > begin && kind(end - 1) == LineKind::blank) {
      --end;
    }
    const auto& last = document_.lines()[end - 1];
    auto from = document_.lines()[begin].begin;
    passages_.push_back({what,
                         document_.where(),
                         static_cast<int>(begin) + 1,
                         from,
                         title_at(document_, begin),
                         document_.text().substr(from, last.end - from)});
  }

  const Document& document_;
  std::vector<LineRange> skipped_;
  std::vector<Passage> passages_;
  size_t line_ = 0;
  size_t heading_ = 0;
  size_t task_ = 0;
};

}  // namespace

std::string_view name(RecallKind kind) {
  switch (kind) {
    case RecallKind::task:
      return "task";
    case RecallKind::decision:
      return "decision";
    case RecallKind::failed:
      return "failed";
    case RecallKind::result:
      return "result";
    case RecallKind::text:
      break;
  }
  return "text";
}

std::optional<RecallKind> recall_kind(std::string_view word) {
  for (auto kind : {RecallKind::text,
                    RecallKind::task,
                    RecallKind::decision,
                    RecallKind::failed,
                    RecallKind::result}) {
    if (name(kind) == word) {
      return kind;
    }
  }
  return {};
}

std::vector<Passage> passages_of(const Document& document) {
  bool record = document.where().starts_with(kDecisionsFolder);
  if (record && !document.headings().empty()) {
    // MADR: the file is the decision.
    const auto& heading = document.headings().front();
    auto from = document.lines()[heading.line].begin;
    return {{RecallKind::decision,
             document.where(),
             static_cast<int>(heading.line) + 1,
             from,
             heading.title,
             document.text().substr(from)}};
  }
  return Cutter(document).run();
}

}  // namespace assay::project
