#include "assay/project/environment.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/platform_process.h"
#include "assay/project/clock.h"
#include "assay/project/environment_file.h"
#include "assay/project/text.h"

namespace assay::project {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kNotesFile = ".assay/environment.json";

// What an interpreter is asked. -I: nothing of the folder or of variables.
constexpr std::string_view kQuestion =
    "import json, sys\n"
    "from importlib import metadata\n"
    "found = {}\n"
    "for d in metadata.distributions():\n"
    "    name = d.metadata['Name']\n"
    "    if name and d.version:\n"
    "        found.setdefault(name, d.version)\n"
    "print(json.dumps({'executable': sys.executable, 'prefix': sys.prefix,\n"
    "    'version': '%d.%d.%d' % sys.version_info[:3],\n"
    "    'packages': sorted(found.items())}))\n";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool is_program(const fs::path& path) {
  std::error_code error;
  auto status = fs::status(path, error);
  return !error && fs::is_regular_file(status) &&
         (status.permissions() &
          (fs::perms::owner_exec | fs::perms::group_exec |
           fs::perms::others_exec)) != fs::perms::none;
}

fs::path find_program(std::string_view name) {
  auto path = variable("PATH");
  for (size_t at = 0; at <= path.size();) {
    auto end = std::min(path.find(':', at), path.size());
    auto folder = fs::path(path.substr(at, end - at));
    // A relative entry would run what a project brings along.
    if (folder.is_absolute() && is_program(folder / name)) {
      return folder / name;
    }
    at = end + 1;
  }
  return {};
}

fs::path python_below(const fs::path& prefix) {
  for (const auto* name : {"bin/python", "bin/python3"}) {
    if (is_program(prefix / name)) {
      return prefix / name;
    }
  }
  return {};
}

// "version = 3.11.2" of a pyvenv.cfg; uv writes version_info.
std::string venv_version(const fs::path& prefix) {
  std::ifstream file(prefix / "pyvenv.cfg");
  std::string line;
  for (int count = 0; count < 50 && std::getline(file, line); ++count) {
    auto equals = line.find('=');
    auto key = trim(std::string_view(line).substr(0, equals));
    if (equals != std::string::npos &&
        (key == "version" || key == "version_info")) {
      auto value = trim(std::string_view(line).substr(equals + 1));
      auto numbers = value.substr(0, value.find_first_not_of("0123456789."));
      while (numbers.ends_with('.')) {
        numbers.remove_suffix(1);
      }
      return std::string(numbers);
    }
  }
  return {};
}

// conda-meta/NAME-VERSION-BUILD.json
Packages conda_packages(const fs::path& prefix) {
  Packages packages;
  std::error_code error;
  for (const auto& entry :
       fs::directory_iterator(prefix / "conda-meta", error)) {
    auto name = entry.path().filename().string();
    if (!name.ends_with(".json")) {
      continue;
    }
    auto build = name.rfind('-');
    auto version = build == std::string::npos || build == 0
                       ? std::string::npos
                       : name.rfind('-', build - 1);
    if (version != std::string::npos) {
      packages.emplace_back(name.substr(0, version),
                            name.substr(version + 1, build - version - 1));
    }
  }
  std::ranges::sort(packages);
  return packages;
}

std::string conda_python(const fs::path& prefix) {
  for (const auto& [name, version] : conda_packages(prefix)) {
    if (name == "python") {
      return version;
    }
  }
  return {};
}

std::optional<Interpreter> interpreter_at(const fs::path& prefix) {
  auto python = python_below(prefix);
  if (python.empty()) {
    return {};
  }
  std::error_code error;
  bool conda = fs::is_directory(prefix / "conda-meta", error);
  return Interpreter{python,
                     prefix,
                     conda ? "conda" : "venv",
                     conda ? conda_python(prefix) : venv_version(prefix)};
}

bool same_place(const fs::path& one, const fs::path& other) {
  std::error_code error;
  auto first = fs::weakly_canonical(one, error);
  auto second = fs::weakly_canonical(other, error);
  return first == second;
}

struct RecordedEnvironment {
  Interpreter interpreter;
  std::string at;
  Packages packages;
};

std::optional<RecordedEnvironment> read_recorded(const Store& store) {
  auto text = store.read(kNotesFile);
  if (!text) {
    return {};
  }
  try {
    auto json = parse_json(*text, kNotesFile);
    RecordedEnvironment recorded;
    recorded.at = json.at("at").get<std::string>();
    recorded.interpreter = {json.at("executable").get<std::string>(),
                            json.at("prefix").get<std::string>(),
                            json.at("kind").get<std::string>(),
                            json.at("version").get<std::string>()};
    for (const auto& entry : json.at("packages")) {
      recorded.packages.emplace_back(entry.at(0).get<std::string>(),
                                     entry.at(1).get<std::string>());
    }
    return recorded;
  } catch (const nlohmann::json::exception& error) {
    fail("session.unreadable",
         std::string(kNotesFile),
         "what `assay env record` wrote",
         error.what());
  }
}

std::string described(const Interpreter& interpreter) {
  return fmt::format("{} {}{}",
                     interpreter.kind,
                     interpreter.executable.string(),
                     interpreter.version.empty()
                         ? ""
                         : fmt::format(" ({})", interpreter.version));
}

Packages all_packages(const Installed& installed) {
  auto all = installed.conda;
  all.insert(all.end(), installed.pip.begin(), installed.pip.end());
  std::ranges::sort(all);
  return all;
}

Interpreter expect_active() {
  auto active = active_interpreter();
  if (!active) {
    fail("env.absent", "PATH", "python3", "none");
  }
  return *active;
}

}  // namespace

std::vector<EnvironmentTool> find_environment_tools() {
  std::vector<EnvironmentTool> tools;
  for (const auto* name :
       {"micromamba", "mamba", "conda", "uv", "pyenv", "brew", "python3"}) {
    auto path = find_program(name);
    // In shells these are functions; the program is named by a variable.
    auto told = std::string_view(name) == "conda"        ? variable("CONDA_EXE")
                : std::string_view(name) == "micromamba" ? variable("MAMBA_EXE")
                                                         : std::string();
    if (path.empty() && fs::path(told).is_absolute() && is_program(told) &&
        fs::path(told).filename() == name) {
      path = told;
    }
    if (!path.empty()) {
      tools.push_back({name, path});
    }
  }
  return tools;
}

namespace {

std::string first_word(const fs::path& file) {
  std::ifstream stream(file);
  std::string word;
  stream >> word;
  return word;
}

// The version that pyenv's shims stand for, by its rules (pyenv 2.3,
// COMMANDS.md, `pyenv version`): $PYENV_VERSION, the nearest .python-version,
// the file `version` beside the shims.
std::string pyenv_version(const fs::path& root) {
  auto named = variable("PYENV_VERSION");
  if (!named.empty()) {
    return named.substr(0, named.find(':'));
  }
  std::error_code error;
  for (auto at = fs::current_path(error); !error; at = at.parent_path()) {
    if (auto word = first_word(at / ".python-version"); !word.empty()) {
      return word;
    }
    if (at == at.parent_path()) {
      break;
    }
  }
  return first_word(root / "version");
}

// A shim is a script that looks for the interpreter; nothing where the program
// is none, or stands for one that is not there.
std::optional<Interpreter> behind_shim(const fs::path& program) {
  auto root = program.parent_path().parent_path();
  std::error_code error;
  bool shim = program.parent_path().filename() == "shims" &&
              fs::is_directory(root / "versions", error);
  auto version = shim ? pyenv_version(root) : std::string();
  bool plain = !version.empty() && version != "." && version != ".." &&
               version.find('/') == std::string::npos;
  auto found =
      plain ? interpreter_at(root / "versions" / version) : std::nullopt;
  // No environment of the project's own, but for one that conda made.
  if (found && found->kind != "conda" &&
      !fs::exists(found->prefix / "pyvenv.cfg", error)) {
    found->kind = "system";
  }
  return found;
}

}  // namespace

std::optional<Interpreter> active_interpreter() {
  for (const auto* name : {"VIRTUAL_ENV", "CONDA_PREFIX"}) {
    auto prefix = fs::path(variable(name));
    if (prefix.is_absolute()) {
      if (auto found = interpreter_at(prefix)) {
        return found;
      }
    }
  }
  for (const auto* name : {"python3", "python"}) {
    auto path = find_program(name);
    if (path.empty()) {
      continue;
    }
    auto prefix = path.parent_path().parent_path();
    std::error_code error;
    bool own = fs::exists(prefix / "pyvenv.cfg", error) ||
               fs::is_directory(prefix / "conda-meta", error);
    if (own) {
      if (auto found = interpreter_at(prefix)) {
        return found;
      }
    }
    if (auto found = behind_shim(path)) {
      return found;
    }
    // /bin may be a link to /usr/bin, and the program one to python3.12.
    auto real = fs::canonical(path, error);
    return Interpreter{
        path, error ? prefix : real.parent_path().parent_path(), "system", ""};
  }
  return {};
}

Installed read_installed(const Interpreter& interpreter) {
  auto asked = platform::run_process(
      {interpreter.executable.string(), "-I", "-c", std::string(kQuestion)},
      {.folder = {},
       .limit = std::chrono::seconds(15),
       .max_output = 8u << 20,
       .keep_errors = false});
  auto refuse = [&](const std::string& actual) {
    fail("env.failed",
         interpreter.executable.string(),
         "its version and packages as JSON",
         actual);
  };
  if (asked.timed_out || asked.exit_code != 0) {
    refuse(asked.timed_out ? "no answer within 15 seconds"
                           : fmt::format("it ended with {}", asked.exit_code));
  }
  Installed installed;
  installed.interpreter = interpreter;
  try {
    auto json = parse_json(asked.output, interpreter.executable.string());
    installed.interpreter.version = json.at("version").get<std::string>();
    installed.interpreter.prefix = json.at("prefix").get<std::string>();
    installed.conda = conda_packages(installed.interpreter.prefix);
    std::map<std::string, std::string> by_conda;
    for (const auto& [name, version] : installed.conda) {
      by_conda[package_key(name)] = version;
    }
    for (const auto& entry : json.at("packages")) {
      auto name = entry.at(0).get<std::string>();
      if (!by_conda.contains(package_key(name))) {
        installed.pip.emplace_back(name, entry.at(1).get<std::string>());
      }
    }
  } catch (const nlohmann::json::exception& error) {
    refuse(error.what());
  }
  for (const auto& [name, version] : all_packages(installed)) {
    bool one_word = (name + version).find_first_of(" \t\r\n#:'\"{}[],&*") ==
                    std::string::npos;
    if (!one_word) {
      refuse(fmt::format("a package {} {}", name, version));
    }
  }
  return installed;
}

EnvironmentState environment_state(const Store& store) {
  EnvironmentState state;
  state.tools = find_environment_tools();
  state.active = active_interpreter();
  auto recorded = read_recorded(store);
  if (!recorded) {
    state.findings.push_back(
        make_finding("env.not-recorded",
                     std::string(kEnvironmentFile),
                     "an interpreter recorded on this machine",
                     "none"));
    state.summary = state.active ? described(*state.active) + ", none recorded"
                                 : "no Python on the PATH, none recorded";
    return state;
  }
  state.recorded = recorded->interpreter;
  state.recorded_at = recorded->at;
  bool same =
      state.active && same_place(state.active->prefix, state.recorded->prefix);
  if (same) {
    state.summary = described(*state.recorded) + ", as recorded";
    return state;
  }
  state.findings.push_back(make_finding(
      "env.not-active",
      std::string(kEnvironmentFile),
      state.recorded->executable.string(),
      state.active ? state.active->executable.string() : "no Python"));
  state.summary = "not the recorded one";
  return state;
}

std::vector<Finding> environment_drift(const Store& store) {
  std::vector<Finding> findings;
  auto recorded = read_recorded(store);
  if (!recorded) {
    return findings;
  }
  std::map<std::string, std::string> now;
  for (const auto& [name, version] :
       all_packages(read_installed(recorded->interpreter))) {
    now[name] = version;
  }
  for (const auto& [name, version] : recorded->packages) {
    auto installed = now.find(name);
    auto is = installed == now.end() ? std::string("not installed")
                                     : installed->second;
    if (is != version) {
      findings.push_back(
          make_finding("env.changed", name, version + " as recorded", is));
    }
    now.erase(name);
  }
  for (const auto& [name, version] : now) {
    findings.push_back(
        make_finding("env.changed", name, "not there, as recorded", version));
  }
  return findings;
}

Installed record_environment(Store& store) {
  auto installed = read_installed(expect_active());
  auto packages = Json::array();
  for (const auto& [name, version] : all_packages(installed)) {
    packages.push_back({name, version});
  }
  const auto& interpreter = installed.interpreter;
  auto notes = to_text(Json{{"at", now_text()},
                            {"executable", interpreter.executable.string()},
                            {"prefix", interpreter.prefix.string()},
                            {"kind", interpreter.kind},
                            {"version", interpreter.version},
                            {"packages", std::move(packages)}});
  auto guard = Store::Guard(store);
  store.rewrite(kEnvironmentFile, [&](const std::string& now) {
    return with_versions(now, installed);
  });
  store.rewrite(kNotesFile, [&](const std::string&) { return notes; });
  store.rewrite(kPythonFile, [&](const std::string&) {
    return interpreter.executable.string() + "\n";
  });
  return installed;
}

Json to_json(const EnvironmentState& state) {
  auto interpreter = [](const std::optional<Interpreter>& given) {
    return given ? Json{{"executable", given->executable.string()},
                        {"prefix", given->prefix.string()},
                        {"kind", given->kind},
                        {"version", given->version}}
                 : Json();
  };
  auto tools = Json::array();
  for (const auto& tool : state.tools) {
    tools.push_back({{"name", tool.name}, {"path", tool.path.string()}});
  }
  return {{"active", interpreter(state.active)},
          {"recorded", interpreter(state.recorded)},
          {"recorded_at", state.recorded_at},
          {"tools", std::move(tools)}};
}

Json to_json(const Installed& installed) {
  auto list = [](const Packages& packages) {
    auto all = Json::array();
    for (const auto& [name, version] : packages) {
      all.push_back({{"name", name}, {"version", version}});
    }
    return all;
  };
  return {{"executable", installed.interpreter.executable.string()},
          {"prefix", installed.interpreter.prefix.string()},
          {"kind", installed.interpreter.kind},
          {"version", installed.interpreter.version},
          {"conda", list(installed.conda)},
          {"pip", list(installed.pip)}};
}

}  // namespace assay::project
