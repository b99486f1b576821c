#pragma once

// The Python environment that a project's scripts run in: found, made,
// recorded, and held against the one that is active. Assay itself needs none.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

constexpr std::string_view kEnvironmentFile = "environment.yml";
constexpr std::string_view kRequirementsFile = "requirements.txt";
/** One line: the recorded interpreter's full path, for scripts. */
constexpr std::string_view kPythonFile = ".assay/python";

struct EnvironmentTool {
  std::string name;
  std::filesystem::path path;
};

/** micromamba, mamba, conda, uv, pyenv, brew, python3: those on the PATH, best
 * first (conda and mamba also where $CONDA_EXE and $MAMBA_EXE say). */
std::vector<EnvironmentTool> find_environment_tools();

struct Interpreter {
  std::filesystem::path executable, prefix;
  std::string kind;     ///< conda, venv, system
  std::string version;  ///< empty where it is not told by a file
};

/** That of $VIRTUAL_ENV, or of $CONDA_PREFIX, or the first on the PATH. Runs
 * nothing. */
std::optional<Interpreter> active_interpreter();

using Packages = std::vector<std::pair<std::string, std::string>>;

/** What an interpreter says of itself. */
struct Installed {
  Interpreter interpreter;
  Packages conda, pip;  ///< name and version, sorted; one list has each
};

/** Asks the interpreter (15 seconds at most). Throws Error env.failed. */
Installed read_installed(const Interpreter& interpreter);

struct EnvironmentState {
  std::vector<EnvironmentTool> tools;
  std::optional<Interpreter> active, recorded;
  std::string recorded_at;
  std::vector<Finding> findings;  ///< env.not-active, env.not-recorded
  std::string summary;            ///< one line
};

/** Runs nothing, so that a session's start may ask. */
EnvironmentState environment_state(const Store& store);

/** What differs between what was recorded and what is installed now:
 * "numpy: 1.26.4 recorded, 2.0.0 installed". Asks the interpreter. */
std::vector<Finding> environment_drift(const Store& store);

/** Writes the active environment's exact versions into environment.yml, and
 * its interpreter's full path into .assay (which git does not carry). Throws
 * Error env.absent, env.failed, env.unclear. */
Installed record_environment(Store& store);

struct CreatedEnvironment {
  std::string tool;
  std::filesystem::path python;
};

/** Makes .conda (from environment.yml) or .venv (with requirements.txt) in the
 * project, with the tool of that name or else the best there is. `say` hears
 * each command before it runs; each has half an hour. What was made before a
 * failure is removed. Throws Error env.absent, env.exists, env.failed. */
CreatedEnvironment create_environment(
    const Store& store,
    const std::string& tool,
    const std::function<void(const std::string&)>& say);

Json to_json(const EnvironmentState& state);
Json to_json(const Installed& installed);

}  // namespace assay::project
