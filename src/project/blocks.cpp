#include "assay/project/blocks.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/project/hash.h"

namespace assay::project {
namespace {

constexpr std::string_view kWritten = "<!-- assay-written ";

// Editors take spaces off the ends of lines: those say nothing.
std::string written_mark(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) {
    auto end = line.find_last_not_of(" \t");
    text += line.substr(0, end == std::string::npos ? 0 : end + 1) + "\n";
  }
  return fmt::format("{}{} -->", kWritten, sha256(text).substr(0, 12));
}

void expect_untouched(const Document& document, const Block& block) {
  std::vector<std::string> lines;
  for (auto index = block.open + 1; index < block.close; ++index) {
    lines.emplace_back(document.line(index));
  }
  if (lines.empty()) {
    return;
  }
  auto mark = std::string(trim(lines.back()));
  lines.pop_back();
  if (mark != written_mark(lines)) {
    fail("project.edited-block",
         fmt::format("{}:{}", document.where(), block.open + 1),
         fmt::format("the block {} as it was written", block.id),
         mark.starts_with(kWritten) ? "other words in it"
                                    : "no hash at its end");
  }
}

}  // namespace

void write_block(Document& document,
                 std::string_view id,
                 std::vector<std::string> lines,
                 std::optional<size_t> at) {
  for (const auto& block : document.blocks()) {
    if (block.id == id) {
      expect_untouched(document, block);
    }
  }
  lines.push_back(written_mark(lines));
  document.set_block(id, lines, at);
  auto blocks = document.blocks();
  if (std::ranges::find(blocks, id, &Block::id) == blocks.end()) {
    fail("project.ambiguous",
         document.where(),
         fmt::format("a place for the block {} outside code and comments", id),
         "code or a comment that is never closed");
  }
}

std::string block_id(std::string_view prefix, std::string_view name) {
  std::string slug;
  for (char letter : to_lower(name)) {
    bool kept = (letter >= 'a' && letter <= 'z') ||
                (letter >= '0' && letter <= '9') || letter == '.';
    if (kept) {
      slug += letter;
    } else if (!slug.empty() && slug.back() != '-') {
      slug += '-';
    }
  }
  if (slug != name) {
    slug += (slug.empty() || slug.back() == '-' ? "" : "-") +
            sha256(name).substr(0, 6);
  }
  return fmt::format("{}-{}", prefix, slug);
}

}  // namespace assay::project
