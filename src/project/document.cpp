#include "assay/project/document.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/document_scan.h"
#include "assay/project/hash.h"

namespace assay::project {
namespace {

// "ID" of `<!-- assay:ID -->`, "/ID" of its end; empty: no mark.
std::string_view mark_of(std::string_view line) {
  auto bare = trim(line);
  if (!bare.starts_with("<!--") || !bare.ends_with("-->") || bare.size() < 7) {
    return {};
  }
  bare = trim(bare.substr(4, bare.size() - 7));
  bool closes = bare.starts_with("/assay:");
  if (!closes && !bare.starts_with("assay:")) {
    return {};
  }
  auto id = bare.substr(closes ? 7 : 6);
  if (id.empty() || id.find_first_of(" \t") != std::string_view::npos) {
    return {};
  }
  // "/assay:ID" gives "/ID" by way of the text "assay:" between them.
  return closes ? bare : id;
}

bool is_close(std::string_view mark) {
  return mark.starts_with("/assay:");
}

std::string place_of(const Document& document, size_t line) {
  return fmt::format("{}:{}", document.where(), line + 1);
}

[[noreturn]] void fail_marks(const Document& document,
                             size_t line,
                             std::string expected) {
  fail("project.ambiguous",
       place_of(document, line),
       std::move(expected),
       std::string(trim(document.line(line))));
}

std::string joined(const std::vector<std::string>& lines,
                   std::string_view ending,
                   bool last_ending) {
  std::string text;
  for (const auto& line : lines) {
    text += line;
    text += ending;
  }
  if (!last_ending && !lines.empty()) {
    text.resize(text.size() - ending.size());
  }
  return text;
}

// Whatever a caller gives, a line must stay one line.
std::vector<std::string> single_lines(const std::vector<std::string>& lines) {
  std::vector<std::string> result;
  for (const auto& line : lines) {
    auto parts = split_lines(line);
    if (parts.empty()) {
      parts.emplace_back();
    }
    result.insert(result.end(), parts.begin(), parts.end());
  }
  return result;
}

}  // namespace

std::string_view trim(std::string_view text) {
  auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::string to_lower(std::string_view text) {
  std::string lower(text);
  for (auto& letter : lower) {
    if (letter >= 'A' && letter <= 'Z') {
      letter = static_cast<char>(letter - 'A' + 'a');
    }
  }
  return lower;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    auto end = std::min(text.find_first_of("\r\n"), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
    text.remove_prefix(
        std::min<size_t>(text.size(), text.starts_with("\r\n") ? 2 : 1));
  }
  return lines;
}

std::string_view name(TaskState state) {
  switch (state) {
    case TaskState::open:
      return "open";
    case TaskState::started:
      return "started";
    case TaskState::done:
      return "done";
    case TaskState::dropped:
      break;
  }
  return "dropped";
}

bool is_struck(std::string_view text) {
  return text.size() > 4 && text.starts_with("~~") &&
         text.find("~~", 2) == text.size() - 2;
}

std::string task_id(std::string_view text) {
  auto bare = trim(text);
  if (is_struck(bare)) {
    bare = trim(bare.substr(2, bare.size() - 4));
  }
  return sha256(bare).substr(0, 6);
}

Document::Document(std::string text, std::string where)
    : text_(std::move(text)), where_(std::move(where)) {
  scan();
}

void Document::scan() {
  auto structure = scan_markdown(text_);
  lines_ = std::move(structure.lines);
  headings_ = std::move(structure.headings);
  tasks_ = std::move(structure.tasks);
}

std::string_view Document::line(size_t index) const {
  const auto& place = lines_.at(index);
  return std::string_view(text_).substr(place.begin, place.end - place.begin);
}

std::vector<Block> Document::blocks() const {
  std::vector<Block> found;
  std::optional<Block> open;
  for (size_t index = 0; index < lines_.size(); ++index) {
    if (lines_[index].kind != LineKind::html) {
      continue;
    }
    auto mark = mark_of(line(index));
    if (mark.empty()) {
      continue;
    }
    if (!is_close(mark)) {
      if (open) {
        fail_marks(
            *this, index, fmt::format("<!-- /assay:{} --> first", open->id));
      }
      bool again = std::ranges::find(found, mark, &Block::id) != found.end();
      if (again) {
        fail_marks(*this, index, "one block of that name in the file");
      }
      open = Block{std::string(mark), index, index};
    } else if (!open || mark.substr(7) != open->id) {
      fail_marks(*this, index, "an opening mark of the same name before it");
    } else {
      open->close = index;
      found.push_back(*open);
      open.reset();
    }
  }
  if (open) {
    fail_marks(*this,
               open->open,
               fmt::format("<!-- /assay:{} --> after it", open->id));
  }
  return found;
}

bool Document::opens_block(size_t line_index) const {
  if (lines_[line_index].kind != LineKind::html) {
    return false;
  }
  auto mark = mark_of(line(line_index));
  return !mark.empty() && !is_close(mark);
}

const Heading* Document::find_heading(std::string_view title) const {
  const Heading* found = nullptr;
  auto wanted = to_lower(trim(title));
  for (const auto& heading : headings_) {
    if (to_lower(heading.title) != wanted) {
      continue;
    }
    if (found != nullptr) {
      fail("project.ambiguous",
           place_of(*this, heading.line),
           fmt::format("one heading \"{}\"", title),
           fmt::format("another in line {}", found->line + 1));
    }
    found = &heading;
  }
  return found;
}

LineRange Document::section(const Heading& heading) const {
  auto end = lines_.size();
  for (const auto& other : headings_) {
    if (other.line > heading.line && other.level <= heading.level) {
      end = other.line;
      break;
    }
  }
  return {heading.body, end};
}

std::vector<std::string> Document::path_of(size_t line) const {
  std::vector<const Heading*> path;
  for (const auto& heading : headings_) {
    if (heading.line > line) {
      break;
    }
    while (!path.empty() && path.back()->level >= heading.level) {
      path.pop_back();
    }
    path.push_back(&heading);
  }
  std::vector<std::string> titles;
  for (const auto* heading : path) {
    titles.push_back(heading->title);
  }
  return titles;
}

std::string Document::ending_near(size_t at) const {
  auto ending = [this](size_t index) {
    const auto& place = lines_[index];
    return text_.substr(place.end, place.next - place.end);
  };
  for (size_t index = std::min(at, lines_.size()); index-- > 0;) {
    if (auto found = ending(index); !found.empty()) {
      return found;
    }
  }
  for (size_t index = at; index < lines_.size(); ++index) {
    if (auto found = ending(index); !found.empty()) {
      return found;
    }
  }
  return "\n";
}

void Document::replace_bytes(size_t begin, size_t end, std::string_view bytes) {
  text_.replace(begin, end - begin, bytes);
  scan();
}

void Document::insert(size_t at, const std::vector<std::string>& lines) {
  auto whole = single_lines(lines);
  if (whole.empty()) {
    return;
  }
  auto ending = ending_near(at);
  if (at < lines_.size()) {
    auto begin = lines_[at].begin;
    replace_bytes(begin, begin, joined(whole, ending, true));
    return;
  }
  // A file whose last line has no ending stays one.
  bool bare = !lines_.empty() && lines_.back().end == lines_.back().next;
  auto bytes = joined(whole, ending, !bare);
  replace_bytes(text_.size(), text_.size(), bare ? ending + bytes : bytes);
}

void Document::erase(size_t first, size_t count) {
  if (count == 0 || first >= lines_.size()) {
    return;
  }
  auto last = std::min(first + count, lines_.size()) - 1;
  bool bare = lines_[last].end == lines_[last].next;
  auto begin = bare && first > 0 ? lines_[first - 1].end : lines_[first].begin;
  replace_bytes(begin, lines_[last].next, "");
}

void Document::replace(size_t index, std::string_view content) {
  auto place = lines_.at(index);
  auto first = split_lines(content);
  replace_bytes(
      place.begin, place.end, first.empty() ? std::string() : first.front());
}

void Document::set_state(const Task& task, TaskState state) {
  auto place = lines_.at(task.line);
  auto mark = task.mark;
  std::string content(line(task.line));
  char letter = 'x';
  if (state == TaskState::open) {
    letter = ' ';
  } else if (state == TaskState::started) {
    letter = '/';
  }
  auto at = mark - place.begin;
  content[at] = letter;
  bool was = task.state == TaskState::dropped;
  bool is = state == TaskState::dropped;
  auto words = content.find_first_not_of(" \t", at + 2);
  if (is && !was && task.text.find("~~") != std::string::npos) {
    fail("project.ambiguous",
         place_of(*this, task.line),
         "a task without words struck out, to strike out all of it",
         task.text);
  }
  if (is && !was && words != std::string::npos) {
    auto end = content.find_last_not_of(" \t") + 1;
    content.insert(end, "~~");
    content.insert(words, "~~");
  } else if (was && !is && words != std::string::npos) {
    content.erase(content.rfind("~~"), 2);
    content.erase(words, 2);
  }
  replace_bytes(place.begin, place.end, content);
}

void Document::append(const std::vector<std::string>& lines) {
  auto whole = lines;
  if (!lines_.empty() && !trim(line(lines_.size() - 1)).empty()) {
    whole.insert(whole.begin(), "");
  }
  insert(lines_.size(), whole);
}

void Document::set_block(std::string_view id,
                         const std::vector<std::string>& lines,
                         std::optional<size_t> at) {
  for (const auto& line : single_lines(lines)) {
    if (!mark_of(line).empty()) {
      fail("project.ambiguous",
           fmt::format("{}: block {}", where_, id),
           "text without marks of Assay's own",
           line);
    }
  }
  for (const auto& block : blocks()) {
    if (block.id == id) {
      // First in, then out: the file never loses its last line's ending.
      insert(block.close, lines);
      erase(block.open + 1, block.close - block.open - 1);
      return;
    }
  }
  std::vector<std::string> whole = {fmt::format("<!-- assay:{} -->", id)};
  whole.insert(whole.end(), lines.begin(), lines.end());
  whole.push_back(fmt::format("<!-- /assay:{} -->", id));
  if (!at || *at >= lines_.size()) {
    append(whole);
    return;
  }
  if (*at > 0 && !trim(line(*at - 1)).empty()) {
    whole.insert(whole.begin(), "");
  }
  if (!trim(line(*at)).empty()) {
    whole.emplace_back();
  }
  insert(*at, whole);
}

}  // namespace assay::project
