// Making an environment: which tool, which commands.

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/platform_process.h"
#include "assay/project/environment.h"
#include "assay/project/environment_file.h"
#include "assay/project/text.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

using Words = std::vector<std::string>;

constexpr auto kLimit = std::chrono::minutes(30);
constexpr std::string_view kPinnedFile = "requirements.txt";  // in .assay

bool is_conda(std::string_view tool) {
  return tool == "micromamba" || tool == "mamba" || tool == "conda";
}

// Best first; conda's kind only where there is something for it to read.
EnvironmentTool choose(const Store& store, const std::string& wanted) {
  bool file = store.exists(kEnvironmentFile);
  for (const auto& tool : find_environment_tools()) {
    bool fits = wanted.empty()
                    ? (file || !is_conda(tool.name)) && tool.name != "pyenv" &&
                          tool.name != "brew"
                    : tool.name == wanted ||
                          (wanted == "venv" && tool.name == "python3");
    if (fits) {
      return tool;
    }
  }
  fail("env.absent",
       "PATH",
       wanted.empty() ? "conda, mamba, micromamba, uv or python3" : wanted,
       "none");
}

class Runner {
 public:
  Runner(const Store& store, const std::function<void(const std::string&)>& say)
      : store_(&store), say_(&say) {}

  std::string run(const Words& words) const {
    std::string line;
    for (const auto& word : words) {
      line += (line.empty() ? "" : " ") + word;
    }
    (*say_)(line);
    auto ended = platform::run_process(
        words,
        {.folder = store_->root(), .limit = kLimit, .max_output = 1u << 20});
    if (ended.timed_out || ended.exit_code != 0) {
      (*say_)(as_utf8(ended.output));
      fail("env.failed",
           line,
           "exit 0",
           ended.timed_out ? "no end within 30 minutes"
                           : fmt::format("exit {}", ended.exit_code));
    }
    return ended.output;
  }

 private:
  const Store* store_;
  const std::function<void(const std::string&)>* say_;
};

// The interpreter that pyenv or Homebrew stands for.
std::string base_python(const EnvironmentTool& tool, const Runner& runner) {
  if (tool.name == "python3") {
    return tool.path.string();
  }
  bool pyenv = tool.name == "pyenv";
  auto answer = runner.run(pyenv ? Words{tool.path, "which", "python"}
                                 : Words{tool.path, "--prefix"});
  auto lines = split_lines(answer);
  auto place = fs::path(lines.empty() ? "" : lines.back());
  auto python = pyenv ? place : place / "bin" / "python3";
  std::error_code error;
  if (!python.is_absolute() || !fs::exists(python, error)) {
    fail("env.failed",
         tool.path.string(),
         "the path of an interpreter",
         clip(answer, 200));
  }
  return python.string();
}

void make_conda(const EnvironmentTool& tool,
                const fs::path& prefix,
                const Runner& runner) {
  auto file = std::string(kEnvironmentFile);
  runner.run(tool.name == "micromamba" ? Words{tool.path,
                                               "create",
                                               "--yes",
                                               "--prefix",
                                               prefix,
                                               "--file",
                                               file}
                                       : Words{tool.path,
                                               "env",
                                               "create",
                                               "--prefix",
                                               prefix,
                                               "--file",
                                               file});
}

// "-r requirements.txt", and what was recorded with its versions: conda reads
// those out of environment.yml by itself.
Words requirement_options(const Store& store) {
  Words words;
  if (store.exists(kRequirementsFile)) {
    words = {"-r", std::string(kRequirementsFile)};
  }
  auto pinned = pinned_requirements(store.read(kEnvironmentFile).value_or(""));
  if (!pinned.empty()) {
    std::string text;
    for (const auto& line : pinned) {
      text += line + "\n";
    }
    write_text(store.notes() / kPinnedFile, text);
    words.insert(words.end(),
                 {"-r", fmt::format("{}/{}", kNotesFolder, kPinnedFile)});
  }
  return words;
}

void make_venv(const Store& store,
               const EnvironmentTool& tool,
               const fs::path& prefix,
               const Runner& runner) {
  auto python = (prefix / "bin" / "python").string();
  auto listed = requirement_options(store);
  auto install = [&](Words words) {
    if (!listed.empty()) {
      words.insert(words.end(), listed.begin(), listed.end());
      runner.run(words);
    }
  };
  if (tool.name == "uv") {
    auto version = wanted_python(store.read(kEnvironmentFile).value_or(""));
    auto words = Words{tool.path, "venv", prefix};
    if (!version.empty()) {
      words.insert(words.end(), {"--python", version});
    }
    runner.run(words);
    install({tool.path, "pip", "install", "--python", python});
    return;
  }
  runner.run({base_python(tool, runner), "-m", "venv", prefix});
  install({python, "-m", "pip", "install", "--disable-pip-version-check"});
}

}  // namespace

CreatedEnvironment create_environment(
    const Store& store,
    const std::string& wanted,
    const std::function<void(const std::string&)>& say) {
  auto tool = choose(store, wanted);
  auto prefix = store.root() / (is_conda(tool.name) ? ".conda" : ".venv");
  std::error_code error;
  if (fs::symlink_status(prefix, error).type() != fs::file_type::not_found) {
    fail("env.exists", prefix.string(), "nothing of that name", "it is there");
  }
  auto runner = Runner(store, say);
  try {
    if (is_conda(tool.name)) {
      make_conda(tool, prefix, runner);
    } else {
      make_venv(store, tool, prefix, runner);
    }
  } catch (...) {
    fs::remove_all(prefix, error);
    throw;
  }
  CreatedEnvironment created{tool.name, prefix / "bin" / "python"};
  if (!fs::exists(created.python, error)) {
    fail("env.failed",
         tool.path.string(),
         created.python.string(),
         "no interpreter there");
  }
  return created;
}

}  // namespace assay::project
