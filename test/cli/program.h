#pragma once

// The program just built, run through a shell as people run it.

#include <array>
#include <cstdio>
#include <filesystem>
#include <sstream>
#include <string>
#include <sys/wait.h>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/platform.h"

namespace assay::test {
namespace fs = std::filesystem;

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    lines.push_back(line);
  }
  return lines;
}

/** An empty folder for this process alone. */
inline fs::path own_folder(const std::string& name) {
  auto folder = fs::temp_directory_path() /
                fmt::format("assay-cli-{}-{}", name, platform::process_id());
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder;
}

struct Result {
  std::vector<std::string> lines;
  int exit_code = -1;
};

inline Result run(const fs::path& folder, const std::string& command) {
  auto script = fmt::format(
      "cd '{0}' && export GOLDEN='{1}/golden' MODEL='{2}' NO_COLOR=1 "
      "XDG_STATE_HOME='{0}/.state' GIT_CONFIG_GLOBAL=/dev/null "
      "GIT_AUTHOR_NAME=T GIT_AUTHOR_EMAIL=t@example.org "
      "GIT_COMMITTER_NAME=T GIT_COMMITTER_EMAIL=t@example.org "
      "PATH='{3}':\"$PATH\" && {{ {4}\n}} 2>stderr.txt",
      folder.string(),
      ASSAY_TEST_DIR,
      ASSAY_MODEL,
      fs::path(ASSAY_PROGRAM).parent_path().string(),
      command);
  Result result;
  std::FILE* pipe = popen(script.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer;
  while (auto count = std::fread(buffer.data(), 1, buffer.size(), pipe)) {
    text.append(buffer.data(), count);
  }
  int status = pclose(pipe);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  result.lines = lines_of(text);
  while (!result.lines.empty() && result.lines.back().empty()) {
    result.lines.pop_back();
  }
  return result;
}

}  // namespace assay::test
