#include "assay/project/document_scan.h"

#include <algorithm>
#include <array>
#include <optional>

namespace assay::project {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr size_t kNoTask = static_cast<size_t>(-1);

bool is_space(char letter) {
  return letter == ' ' || letter == '\t';
}

std::vector<Line> cut(std::string_view text) {
  std::vector<Line> lines;
  size_t begin = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (begin < text.size()) {
    auto end = std::min(text.find_first_of("\r\n", begin), text.size());
    size_t width = end < text.size() ? 1 : 0;
    if (text.substr(end).starts_with("\r\n")) {
      width = 2;
    }
    lines.push_back({begin, end, end + width, LineKind::text});
    begin = end + width;
  }
  return lines;
}

// A position within a line, in columns: a tab goes to the next multiple of 4.
struct Cursor {
  std::string_view line;
  size_t at = 0;
  int column = 0;

  bool done() const { return at == line.size(); }
  std::string_view rest() const { return line.substr(at); }
  void step() {
    column += line[at] == '\t' ? 4 - column % 4 : 1;
    ++at;
  }
  void skip_spaces() {
    while (!done() && is_space(line[at])) {
      step();
    }
  }
};

struct CodeFence {
  char letter = '`';
  size_t count = 3;
};

std::optional<CodeFence> fence_of(std::string_view rest) {
  if (!rest.starts_with("```") && !rest.starts_with("~~~")) {
    return {};
  }
  char letter = rest[0];
  auto count = std::min(rest.find_first_not_of(letter), rest.size());
  bool inline_code =
      letter == '`' && rest.find('`', count) != std::string_view::npos;
  return inline_code ? std::nullopt : std::optional(CodeFence{letter, count});
}

bool closes(std::string_view rest, const CodeFence& fence) {
  auto count = std::min(rest.find_first_not_of(fence.letter), rest.size());
  return count >= fence.count && trim(rest.substr(count)).empty();
}

bool is_thematic_break(std::string_view rest) {
  if (rest.empty() ||
      std::string_view("*-_").find(rest[0]) == std::string_view::npos) {
    return false;
  }
  auto all = std::ranges::all_of(
      rest, [&](char letter) { return letter == rest[0] || is_space(letter); });
  return all && std::ranges::count(rest, rest[0]) >= 3;
}

// 1 or 2 for a line of = or - that makes the paragraph above a heading.
int underline_level(std::string_view rest) {
  auto bare = trim(rest);
  if (bare.empty() || (bare[0] != '=' && bare[0] != '-') ||
      bare.find_first_not_of(bare[0]) != std::string_view::npos) {
    return 0;
  }
  return bare[0] == '=' ? 1 : 2;
}

int atx_level(std::string_view rest) {
  auto count = std::min(rest.find_first_not_of('#'), rest.size());
  bool spaced = count == rest.size() || is_space(rest[count]);
  return count >= 1 && count <= 6 && spaced ? static_cast<int>(count) : 0;
}

std::string atx_title(std::string_view rest, int level) {
  auto title = trim(rest.substr(static_cast<size_t>(level)));
  auto end = title.find_last_not_of('#');
  if (end == std::string_view::npos) {
    return {};
  }
  if (end + 1 < title.size() && is_space(title[end])) {
    title = trim(title.substr(0, end));
  }
  return std::string(title);
}

// The letters of a list marker ("-", "12."), or 0.
size_t marker_width(std::string_view rest) {
  size_t width = 0;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '*' || rest[0] == '+')) {
    width = 1;
  } else {
    while (width < rest.size() && width < 9 && rest[width] >= '0' &&
           rest[width] <= '9') {
      ++width;
    }
    bool ended = width > 0 && width < rest.size() &&
                 (rest[width] == '.' || rest[width] == ')');
    width = ended ? width + 1 : 0;
  }
  bool spaced = width == rest.size() || (width > 0 && is_space(rest[width]));
  return spaced ? width : 0;
}

// Where in the line a comment opens that this line does not close.
bool opens_comment(std::string_view line) {
  for (size_t at = 0; at < line.size();) {
    if (line[at] == '`') {
      auto end = std::min(line.find_first_not_of('`', at), line.size());
      auto close = line.find(line.substr(at, end - at), end);
      at = close == std::string_view::npos ? end : close + end - at;
    } else if (line.substr(at).starts_with("<!--")) {
      auto close = line.find("-->", at + 4);
      if (close == std::string_view::npos) {
        return true;
      }
      at = close + 3;
    } else {
      ++at;
    }
  }
  return false;
}

// The closing tag of an element whose content is not Markdown; empty: none.
std::string raw_element(std::string_view rest) {
  constexpr std::array<std::string_view, 4> kElements = {
      "pre", "script", "style", "textarea"};
  if (!rest.starts_with('<')) {
    return {};
  }
  auto lower = to_lower(rest.substr(0, 10));
  for (auto element : kElements) {
    auto open = "<" + std::string(element);
    bool ends = lower.size() == open.size() ||
                (lower.size() > open.size() &&
                 std::string_view(" \t>").find(lower[open.size()]) !=
                     std::string_view::npos);
    if (lower.starts_with(open) && ends) {
      return "</" + std::string(element) + ">";
    }
  }
  return {};
}

struct Container {
  int content = 0;  ///< the column at which the item's content begins
  size_t task = kNoTask;
};

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {
    result_.lines = cut(text);
  }

  Structure run() {
    scan_front_matter();
    while (index_ < result_.lines.size()) {
      scan_line();
      if (kind() != LineKind::blank) {
        last_ = index_;
      }
      ++index_;
    }
    pop_to(0);
    return std::move(result_);
  }

 private:
  std::string_view content(size_t index) const {
    const auto& line = result_.lines[index];
    return text_.substr(line.begin, line.end - line.begin);
  }
  LineKind& kind() { return result_.lines[index_].kind; }

  void scan_front_matter() {
    if (result_.lines.empty() || content(0) != "---") {
      return;
    }
    for (size_t line = 1; line < result_.lines.size(); ++line) {
      if (content(line) == "---" || content(line) == "...") {
        for (; index_ <= line; ++index_) {
          kind() = LineKind::matter;
        }
        return;
      }
    }
  }

  void pop_to(size_t depth) {
    while (containers_.size() > depth) {
      if (containers_.back().task != kNoTask) {
        result_.tasks[containers_.back().task].last = last_;
      }
      containers_.pop_back();
    }
  }

  size_t depth_at(int column) const {
    size_t depth = containers_.size();
    while (depth > 0 && column < containers_[depth - 1].content) {
      --depth;
    }
    return depth;
  }

  int base() const {
    return containers_.empty() ? 0 : containers_.back().content;
  }

  void end_paragraph() { paragraph_.reset(); }

  bool scan_open_block(std::string_view line) {
    if (!html_end_.empty()) {
      kind() = LineKind::html;
      if (to_lower(line).find(html_end_) != std::string::npos) {
        html_end_.clear();
      }
      return true;
    }
    if (!fence_) {
      return false;
    }
    auto cursor = Cursor{line};
    cursor.skip_spaces();
    if (!cursor.done() && cursor.column < base()) {
      fence_.reset();  // its list item ended
      return false;
    }
    kind() = LineKind::code;
    if (cursor.column - base() < 4 && closes(cursor.rest(), *fence_)) {
      fence_.reset();
    }
    return true;
  }

  void scan_line() {
    auto line = content(index_);
    if (scan_open_block(line)) {
      return;
    }
    auto cursor = Cursor{line};
    cursor.skip_spaces();
    if (cursor.done()) {
      kind() = LineKind::blank;
      end_paragraph();
      return;
    }
    auto depth = depth_at(cursor.column);
    int outer = depth == 0 ? 0 : containers_[depth - 1].content;
    if (cursor.column - outer >= 4) {
      kind() = paragraph_ ? LineKind::text : LineKind::code;
      if (!paragraph_) {
        pop_to(depth);
      }
      return;
    }
    if (paragraph_ && depth == containers_.size() && scan_underline(cursor)) {
      return;
    }
    if (!starts_block(cursor.rest(), depth)) {
      // Plain words go on with a paragraph, whatever their indent.
      if (!paragraph_) {
        pop_to(depth);
        paragraph_ = index_;
        paragraph_depth_ = containers_.size();
      }
      kind() = LineKind::text;
      watch_comment(line);
      return;
    }
    pop_to(depth);
    scan_block(cursor);
  }

  bool starts_block(std::string_view rest, size_t depth) const {
    if (fence_of(rest) || rest[0] == '>' || atx_level(rest) > 0 ||
        is_thematic_break(rest) || rest.starts_with("<!--") ||
        !raw_element(rest).empty()) {
      return true;
    }
    auto width = marker_width(rest);
    if (width == 0) {
      return false;
    }
    if (!paragraph_ || paragraph_depth_ > depth) {
      return true;
    }
    // Within a paragraph: no empty item, and numbers begin at 1.
    bool numbered = rest[0] >= '0' && rest[0] <= '9';
    bool from_one = !numbered || rest.substr(0, width - 1) == "1";
    return from_one && !trim(rest.substr(width)).empty();
  }

  bool scan_underline(const Cursor& cursor) {
    int level = underline_level(cursor.rest());
    if (level == 0 || !containers_.empty() || paragraph_depth_ != 0) {
      return false;
    }
    std::string title;
    for (auto line = *paragraph_; line < index_; ++line) {
      title += (title.empty() ? "" : " ") + std::string(trim(content(line)));
      result_.lines[line].kind = LineKind::heading;
    }
    kind() = LineKind::heading;
    result_.headings.push_back({*paragraph_, index_ + 1, level, title});
    end_paragraph();
    return true;
  }

  // A line that begins a block, `cursor` at its first letter.
  void scan_block(Cursor cursor) {
    end_paragraph();
    auto rest = cursor.rest();
    fence_ = fence_of(rest);
    if (fence_) {
      kind() = LineKind::code;
    } else if (rest[0] == '>') {
      kind() = LineKind::quote;
    } else if (int level = atx_level(rest); level > 0) {
      if (containers_.empty()) {
        kind() = LineKind::heading;
        result_.headings.push_back(
            {index_, index_ + 1, level, atx_title(rest, level)});
      }
    } else if (is_thematic_break(rest)) {
      kind() = LineKind::text;
    } else if (rest.starts_with("<!--")) {
      kind() = LineKind::html;
      if (rest.find("-->", 4) == std::string_view::npos) {
        html_end_ = "-->";
      }
    } else if (auto end = raw_element(rest); !end.empty()) {
      kind() = LineKind::html;
      if (to_lower(rest).find(end) == std::string::npos) {
        html_end_ = end;
      }
    } else {
      scan_item(cursor);
    }
  }

  // List markers of a line, one within another ("- 1. [ ] text").
  void scan_item(Cursor cursor) {
    kind() = LineKind::item;
    for (auto width = marker_width(cursor.rest()); width > 0;
         width = marker_width(cursor.rest())) {
      int marker_end = cursor.column + static_cast<int>(width);
      while (cursor.column < marker_end) {
        cursor.step();
      }
      cursor.skip_spaces();
      bool empty = cursor.done();
      bool code = !empty && cursor.column - marker_end > 4;
      containers_.push_back(
          {empty || code ? marker_end + 1 : cursor.column, kNoTask});
      if (empty || code) {
        return;
      }
      if (is_thematic_break(cursor.rest())) {
        return;
      }
    }
    auto rest = cursor.rest();
    fence_ = fence_of(rest);
    if (fence_) {
      return;
    }
    if (rest.starts_with("<!--") && rest.find("-->", 4) == rest.npos) {
      html_end_ = "-->";
      return;
    }
    scan_task(cursor);
    if (atx_level(rest) == 0 && rest[0] != '>') {
      paragraph_ = index_;
      paragraph_depth_ = containers_.size();
      watch_comment(rest);
    }
  }

  void scan_task(const Cursor& cursor) {
    auto rest = cursor.rest();
    constexpr std::string_view kMarks = " /xX";
    bool boxed = rest.size() >= 3 && rest[0] == '[' && rest[2] == ']' &&
                 kMarks.find(rest[1]) != std::string_view::npos &&
                 (rest.size() == 3 || is_space(rest[3]));
    if (!boxed) {
      return;
    }
    Task task;
    task.line = index_;
    task.last = index_;
    task.mark = result_.lines[index_].begin + cursor.at + 1;
    task.depth = static_cast<int>(containers_.size()) - 1;
    task.text = trim(rest.substr(3));
    if (rest[1] == '/') {
      task.state = TaskState::started;
    } else if (rest[1] != ' ') {
      task.state = is_struck(task.text) ? TaskState::dropped : TaskState::done;
    }
    task.id = task_id(task.text);
    containers_.back().task = result_.tasks.size();
    result_.tasks.push_back(std::move(task));
  }

  // A comment that opens amid words hides what follows only if it closes
  // before the paragraph ends.
  void watch_comment(std::string_view line) {
    if (line.find("<!--") == std::string_view::npos || !opens_comment(line)) {
      return;
    }
    for (size_t next = index_ + 1; next < result_.lines.size(); ++next) {
      auto other = content(next);
      if (trim(other).empty()) {
        return;
      }
      if (other.find("-->") != std::string_view::npos) {
        html_end_ = "-->";
        return;
      }
    }
  }

  std::string_view text_;
  Structure result_;
  size_t index_ = 0;
  size_t last_ = 0;  ///< the last line that is not blank
  std::vector<Container> containers_;
  std::optional<size_t> paragraph_;  ///< its first line
  size_t paragraph_depth_ = 0;
  std::optional<CodeFence> fence_;
  std::string html_end_;  ///< what ends the raw HTML; empty: none
};

}  // namespace

Structure scan_markdown(std::string_view text) {
  return Scanner(text).run();
}

}  // namespace assay::project
