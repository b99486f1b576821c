// Runs the program as people do: each .txt file of this folder is a transcript
// in a folder of its own. "$ " starts a command for the shell, the lines after
// it are what standard output must hold, "? N" is the exit code (0 if left
// out). A line "..." stands for any lines, "{*}" for anything within a line.
// Lines that begin with # right above a command are comments.
// $GOLDEN is test/golden, $MODEL the real model, `assay` the program just
// built; what a machine remembers of projects is the folder's own.

#include <algorithm>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "program.h"

using namespace assay;
using namespace assay::test;
namespace fs = std::filesystem;

namespace {

struct Step {
  std::string command;
  std::vector<std::string> expected;
  int exit_code = 0;
};

std::vector<Step> read_transcript(const fs::path& file) {
  std::vector<Step> steps;
  auto lines = lines_of(read_text(file));
  for (size_t i = 0; i < lines.size(); ++i) {
    const auto& line = lines[i];
    auto end = i;
    while (end < lines.size() && lines[end].starts_with("#")) {
      ++end;
    }
    // What stands right above a command is said of it; else it is output.
    bool comment =
        end > i && end < lines.size() && lines[end].starts_with("$ ");
    if (line.starts_with("$ ")) {
      steps.push_back({line.substr(2), {}, 0});
    } else if (steps.empty() || comment) {
      continue;
    } else if (line.starts_with("? ")) {
      steps.back().exit_code = std::stoi(line.substr(2));
    } else {
      steps.back().expected.push_back(line);
    }
  }
  for (auto& step : steps) {
    while (!step.expected.empty() && step.expected.back().empty()) {
      step.expected.pop_back();
    }
  }
  return steps;
}

bool line_matches(std::string_view pattern, std::string_view line) {
  constexpr std::string_view kAny = "{*}";
  auto star = pattern.find(kAny);
  if (star == std::string_view::npos) {
    return pattern == line;
  }
  if (!line.starts_with(pattern.substr(0, star))) {
    return false;
  }
  pattern.remove_prefix(star + kAny.size());
  for (size_t i = star; i <= line.size(); ++i) {
    if (line_matches(pattern, line.substr(i))) {
      return true;
    }
  }
  return false;
}

using Lines = std::span<const std::string>;

bool matches(Lines expected, Lines actual) {
  if (expected.empty()) {
    return actual.empty();
  }
  if (expected.front() == "...") {
    for (size_t i = 0; i <= actual.size(); ++i) {
      if (matches(expected.subspan(1), actual.subspan(i))) {
        return true;
      }
    }
    return false;
  }
  return !actual.empty() && line_matches(expected.front(), actual.front()) &&
         matches(expected.subspan(1), actual.subspan(1));
}

std::string joined(const std::vector<std::string>& lines) {
  std::string text;
  for (const auto& line : lines) {
    text += line + "\n";
  }
  return text;
}

void play(const fs::path& file) {
  auto folder = own_folder(file.stem().string());
  for (const auto& step : read_transcript(file)) {
    auto result = run(folder, step.command);
    CAPTURE(file.filename().string());
    CAPTURE(step.command);
    CAPTURE(joined(result.lines));
    CAPTURE(read_text(folder / "stderr.txt"));
    CHECK(result.exit_code == step.exit_code);
    CHECK(matches(step.expected, result.lines));
  }
  fs::remove_all(folder);
}

}  // namespace

TEST_CASE("wildcards match what they say and no more") {
  CHECK(line_matches("a {*} c", "a b c"));
  CHECK(!line_matches("a {*} c", "a b d"));
  CHECK(line_matches("{*}", ""));
  std::vector<std::string> actual = {"1", "2", "3"};
  CHECK(matches(std::vector<std::string>{"1", "...", "3"}, actual));
  CHECK(!matches(std::vector<std::string>{"1", "3"}, actual));
  CHECK(!matches(std::vector<std::string>{"...", "4"}, actual));
}

TEST_CASE("transcripts") {
  std::vector<fs::path> files;
  for (const auto& entry :
       fs::directory_iterator(fs::path(ASSAY_TEST_DIR) / "cli")) {
    if (entry.path().extension() == ".txt" &&
        entry.path().filename() != "CMakeLists.txt") {
      files.push_back(entry.path());
    }
  }
  std::ranges::sort(files);
  REQUIRE(!files.empty());
  for (const auto& file : files) {
    play(file);
  }
}
