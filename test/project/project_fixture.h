#pragma once

// A project in a folder of its own, and variables that end with the test.

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/platform_process.h"

#include "support.h"

namespace assay::project {

/** Sets an environment variable, and takes that back. */
class Variable {
 public:
  Variable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) {
      before_ = before;
    }
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before_) {
      setenv(name_, before_->c_str(), 1);
    } else {
      unsetenv(name_);
    }
  }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

/** A project on a machine that remembers nothing yet, on a fixed morning. */
struct LoneProject : Project {
  TemporaryFolder state;
  Variable state_home{"XDG_STATE_HOME", state.path.string()};
  Variable now{"ASSAY_NOW", "2026-11-24 09:00"};

  void remove(const std::string& name) const {
    std::filesystem::remove(folder.path / name);
  }
  void program(const std::string& name, std::string_view script) {
    write(name, script);
    std::filesystem::permissions(folder.path / name,
                                 std::filesystem::perms::owner_all);
  }
  /** Runs git there, with an author of its own. */
  std::string git(std::vector<std::string> words) const {
    std::vector<std::string> all = {"git",
                                    "-c",
                                    "user.name=T",
                                    "-c",
                                    "user.email=t@example.org",
                                    "-c",
                                    "commit.gpgsign=false"};
    all.insert(all.end(), words.begin(), words.end());
    return platform::run_process(all, {.folder = folder.path}).output;
  }
};

}  // namespace assay::project
