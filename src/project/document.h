#pragma once

// Document: a Markdown file as bytes with lines. People edit these files too,
// so nothing is ever written anew from a parsed form: an edit replaces its own
// lines, and every other byte (line endings, a missing last newline, a byte
// order mark, odd indents, any language) stays as it was.
//
// The structure is CommonMark's (spec 0.31: blocks, sections 4 and 5) as far
// as headings, list items, fenced and indented code and HTML comments go, and
// GitHub's task items. Non-goals: inline structure, tables, links.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace assay::project {

enum class LineKind { blank, text, heading, item, quote, code, html, matter };

/** Offsets into the text: content [begin, end), its ending [end, next). */
struct Line {
  size_t begin = 0, end = 0, next = 0;
  LineKind kind = LineKind::text;
};

struct Heading {
  size_t line = 0;  ///< where it begins
  size_t body = 0;  ///< the first line after it
  int level = 1;
  std::string title;
};

/** `[ ]`, `[/]`, `[x]`; dropped is `[x]` with all of its
 * text struck out (`~~text~~`). */
enum class TaskState { open, started, done, dropped };

std::string_view name(TaskState state);

struct Task {
  size_t line = 0;
  size_t last = 0;  ///< the last line of its item, nested ones included
  size_t mark = 0;  ///< offset of the character between the brackets
  int depth = 0;    ///< list items around it
  TaskState state = TaskState::open;
  std::string text;  ///< of its first line
  std::string id;    ///< six hex digits of the text's hash: see task_id
};

/** `<!-- assay:ID -->` to `<!-- /assay:ID -->`, each alone on its line. */
struct Block {
  std::string id;
  size_t open = 0, close = 0;  ///< the lines of the marks
};

/** Lines [first, last). */
struct LineRange {
  size_t first = 0, last = 0;
};

/** What people call a task by: the first six hex digits of the SHA-256 of its
 * text without outer spaces and strike-out marks. It stays while the text
 * stays, wherever the line moves and whatever its state. */
std::string task_id(std::string_view text);

/** True for `~~text~~`. */
bool is_struck(std::string_view text);

class Document {
 public:
  /** `where` names the file in findings. */
  Document(std::string text, std::string where);

  const std::string& text() const { return text_; }
  const std::string& where() const { return where_; }
  const std::vector<Line>& lines() const { return lines_; }
  /** Without its ending. */
  std::string_view line(size_t index) const;
  const std::vector<Heading>& headings() const { return headings_; }
  const std::vector<Task>& tasks() const { return tasks_; }
  /** Throws Error project.ambiguous where marks do not pair up. */
  std::vector<Block> blocks() const;
  /** True for the opening mark of a block: at the end of a section it belongs
   * to the next one, whose heading is inside the block. */
  bool opens_block(size_t line) const;

  /** The heading of that title (case of ASCII aside); none: null. Throws Error
   * project.ambiguous where several have it. */
  const Heading* find_heading(std::string_view title) const;
  /** The lines under a heading, to the next of its level or above. */
  LineRange section(const Heading& heading) const;
  /** Under which headings a line stands, outermost first. */
  std::vector<std::string> path_of(size_t line) const;

  /** Before line `at` (or at the end), with the line endings used there. */
  void insert(size_t at, const std::vector<std::string>& lines);
  void erase(size_t first, size_t count);
  /** The content of one line; its ending stays. */
  void replace(size_t index, std::string_view content);
  /** Changes one character; strikes the text out, or takes that back, where
   * dropped comes or goes. */
  void set_state(const Task& task, TaskState state);
  /** The lines between the marks of block `id`, where it exists; otherwise
   * a new block before line `at` (by default at the end), set off by blank
   * lines. Lines that look like marks are refused: project.ambiguous. */
  void set_block(std::string_view id,
                 const std::vector<std::string>& lines,
                 std::optional<size_t> at = {});
  /** Appends lines, with a blank line before them where there is none. */
  void append(const std::vector<std::string>& lines);

 private:
  void scan();
  void replace_bytes(size_t begin, size_t end, std::string_view bytes);
  std::string ending_near(size_t at) const;

  std::string text_, where_;
  std::vector<Line> lines_;
  std::vector<Heading> headings_;
  std::vector<Task> tasks_;
};

/** Text cut into lines at any ending. */
std::vector<std::string> split_lines(std::string_view text);
/** Without spaces and tabs at either end. */
std::string_view trim(std::string_view text);
/** ASCII letters in lower case. */
std::string to_lower(std::string_view text);

}  // namespace assay::project
