#include "assay/core/unified_diff.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <fmt/format.h>

namespace assay {
namespace {

constexpr size_t kContext = 3;
constexpr size_t kMaxCells = 4'000'000;  // of the table of common lines

struct Edit {
  char mark;  ///< ' ', '-', '+'
  std::string_view line;
};

using Lines = std::span<const std::string_view>;

// With their ends, so that a last line without one differs.
std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    auto end = std::min(text.find('\n'), text.size() - 1) + 1;
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return lines;
}

// The longest common subsequence of lines; where the table would be too large,
// all old lines and then all new ones.
void middle(Lines a, Lines b, std::vector<Edit>& edits) {
  size_t width = b.size() + 1;
  std::vector<uint32_t> common;
  if ((a.size() + 1) * width <= kMaxCells) {
    common.resize((a.size() + 1) * width);
    for (size_t i = a.size(); i-- > 0;) {
      for (size_t j = b.size(); j-- > 0;) {
        common[i * width + j] = a[i] == b[j]
                                    ? common[(i + 1) * width + j + 1] + 1
                                    : std::max(common[(i + 1) * width + j],
                                               common[i * width + j + 1]);
      }
    }
  }
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() || j < b.size()) {
    bool both = !common.empty() && i < a.size() && j < b.size();
    if (both && a[i] == b[j]) {
      edits.push_back({' ', a[i++]});
      ++j;
    } else if (j >= b.size() ||
               (i < a.size() && (!both || common[(i + 1) * width + j] >=
                                              common[i * width + j + 1]))) {
      edits.push_back({'-', a[i++]});
    } else {
      edits.push_back({'+', b[j++]});
    }
  }
}

std::vector<Edit> edits_between(Lines a, Lines b) {
  std::vector<Edit> edits;
  size_t head = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) {
    edits.push_back({' ', a[head++]});
  }
  size_t tail = 0;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
    ++tail;
  }
  middle(a.subspan(head, a.size() - head - tail),
         b.subspan(head, b.size() - head - tail),
         edits);
  for (auto line : a.subspan(a.size() - tail)) {
    edits.push_back({' ', line});
  }
  return edits;
}

// "3,4"; a range without lines is named by the line before it.
std::string range(size_t first, size_t count) {
  auto start = count == 0 ? first : first + 1;
  return count == 1 ? fmt::format("{}", start)
                    : fmt::format("{},{}", start, count);
}

}  // namespace

std::string unified_diff(std::string_view before,
                         std::string_view after,
                         const DiffLabels& labels) {
  if (before == after) {
    return "";
  }
  auto a = lines_of(before);
  auto b = lines_of(after);
  auto edits = edits_between(a, b);
  std::string text =
      fmt::format("--- {}\n+++ {}\n", labels.before, labels.after);
  size_t old_line = 0;
  size_t new_line = 0;
  size_t at = 0;  // edits before it are counted in both lines
  auto pass = [&](size_t to) {
    for (; at < to; ++at) {
      old_line += edits[at].mark != '+' ? 1 : 0;
      new_line += edits[at].mark != '-' ? 1 : 0;
    }
  };
  for (size_t i = 0; i < edits.size();) {
    if (edits[i].mark == ' ') {
      ++i;
      continue;
    }
    size_t first = i - std::min(i, kContext);
    size_t last = i + 1;  // past the last change of this hunk
    for (size_t j = i; j < edits.size() && j < last + 2 * kContext; ++j) {
      last = edits[j].mark != ' ' ? j + 1 : last;
    }
    i = last;
    size_t end = std::min(last + kContext, edits.size());
    first = std::max(first, at);
    pass(first);
    auto old_start = old_line;
    auto new_start = new_line;
    pass(end);
    text += fmt::format("@@ -{} +{} @@\n",
                        range(old_start, old_line - old_start),
                        range(new_start, new_line - new_start));
    for (size_t j = first; j < end; ++j) {
      text += edits[j].mark;
      text += edits[j].line;
      if (!edits[j].line.ends_with('\n')) {
        text += "\n\\ No newline at end of file\n";
      }
    }
  }
  return text;
}

}  // namespace assay
