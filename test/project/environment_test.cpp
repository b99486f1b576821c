// Environments: fake tools on the PATH, and the Python of this machine.

#include "assay/project/environment.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/project/document.h"
#include "assay/project/environment_file.h"

#include "project_fixture.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

// A machine with nothing but what the test puts into bin/.
struct Machine : LoneProject {
  TemporaryFolder tools;
  Variable path{"PATH", tools.path.string() + ":/usr/bin:/bin"};
  Variable no_venv{"VIRTUAL_ENV", ""};
  Variable no_conda{"CONDA_PREFIX", ""};
  Variable no_exe{"CONDA_EXE", ""};

  void tool(const std::string& name, const std::string& script) const {
    auto file = tools.path / name;
    fs::create_directories(file.parent_path());
    write_text(file, "#!/bin/sh\n" + script);
    fs::permissions(file, fs::perms::owner_all);
  }
  std::string log() const {
    auto file = tools.path / "log";
    return fs::exists(file) ? read_text(file) : "";
  }
  /** An environment whose interpreter answers as Python would. */
  fs::path environment(const std::string& name,
                       const std::string& packages) const {
    auto prefix = tools.path / name;
    tool(name + "/bin/python",
         fmt::format("echo '{{\"executable\": \"x\", \"prefix\": \"{}\", "
                     "\"version\": \"3.12.4\", \"packages\": {}}}'\n",
                     prefix.string(),
                     packages));
    write_text(prefix / "pyvenv.cfg", "home = /x\nversion = 3.12.4\n");
    return prefix;
  }
};

Installed installed(Packages conda, Packages pip) {
  return {{"/e/bin/python", "/e", "venv", "3.12.4"},
          std::move(conda),
          std::move(pip)};
}

}  // namespace

TEST_CASE("versions go into the lines that list them, all else stays") {
  CHECK(
      with_versions(
          "# mine\r\nname: x\r\ndependencies:\r\n"
          "  - python>=3.10  # why\r\n"
          "  - conda-forge::numpy =1.0\r\n  - pip\r\n  - pip:\r\n"
          "      - Pillow[extra]>=9 # two\r\n"
          "      - -r requirements.txt\r\n"
          "      - git+https://example.org/a.git\r\n\r\n# last",
          installed(
              {}, {{"numpy", "2.1.0"}, {"pillow", "10.0"}, {"six", "1.16"}})) ==
      "# mine\r\nname: x\r\ndependencies:\r\n"
      "  - python=3.12.4  # why\r\n"
      "  - conda-forge::numpy=2.1.0\r\n  - pip\r\n  - pip:\r\n"
      "      - Pillow[extra]==10.0 # two\r\n"
      "      - -r requirements.txt\r\n"
      "      - git+https://example.org/a.git\r\n"
      "      # assay:recorded: what else is installed\r\n"
      "      - six==1.16\r\n      # /assay:recorded\r\n\r\n# last");
}

TEST_CASE("recording again replaces its own part") {
  auto first = with_versions(
      "name: x\ndependencies:\n- python\n- pip:\n  - a\nvariables:\n  B: 1\n",
      installed({{"python", "3.12.4"}, {"zlib", "1.3"}},
                {{"a", "1"}, {"b", "2"}}));
  CHECK(first ==
        "name: x\ndependencies:\n- python=3.12.4\n"
        "# assay:recorded: what else is installed\n- zlib=1.3\n"
        "# /assay:recorded\n- pip:\n  - a==1\n"
        "  # assay:recorded: what else is installed\n  - b==2\n"
        "  # /assay:recorded\nvariables:\n  B: 1\n");
  CHECK(with_versions(first,
                      installed({{"python", "3.12.4"}, {"zlib", "1.3"}},
                                {{"a", "1"}, {"b", "2"}})) == first);
  CHECK(with_versions(first, installed({}, {{"a", "2"}})) ==
        "name: x\ndependencies:\n- python=3.12.4\n- pip:\n  - a==2\n"
        "variables:\n  B: 1\n");
}

TEST_CASE("a file that lists nothing gets all") {
  CHECK(with_versions("", installed({}, {{"a", "1"}})) ==
        "name: project\ndependencies:\n  - python=3.12.4\n  - pip:\n"
        "      # assay:recorded: what else is installed\n      - a==1\n"
        "      # /assay:recorded\n");
  CHECK(wanted_python("dependencies:\n  - python=3.12  # x\n") == "3.12");
  CHECK(wanted_python("dependencies:\n  - python >=3.10,<4\n") == "3.10");
  CHECK(wanted_python("- pythonx=3\n").empty());
}

TEST_CASE("what a change by lines can't be sure of is refused") {
  for (const auto* text : {"dependencies: [a, b]\n",
                           "name: x\n",
                           "dependencies:\n  - a\ndependencies:\n  - b\n",
                           "dependencies:\n\t- a\n",
                           "dependencies:\n  - &x a\n",
                           "dependencies:\n  - {a: b}\n",
                           "dependencies:\n  - a\n    - b\n",
                           "dependencies:\n  - pip: [a]\n",
                           "dependencies:\n  a: b\n",
                           "dependencies:\n  - a\n  # assay:recorded\n"}) {
    CAPTURE(text);
    CHECK(failure([&] { with_versions(text, installed({}, {})); }) ==
          "env.unclear");
  }
}

TEST_CASE("tools are found best first, relative entries of PATH are not") {
  Machine machine;
  machine.tool("uv", "");
  machine.tool("conda", "");
  write_text(machine.tools.path / "mamba", "not executable");
  auto names = [] {
    std::string all;
    for (const auto& tool : find_environment_tools()) {
      all += tool.name == "python3" ? "" : tool.name + " ";
    }
    return all;
  };
  CHECK(names() == "conda uv ");
  auto relative = Variable("PATH", ".:bin:");
  CHECK(names().empty());
}

TEST_CASE("recorded, active, another one active, changed since") {
  Machine machine;
  CHECK(environment_state(machine.store).findings.at(0).id ==
        "env.not-recorded");
  auto prefix = machine.environment("one", R"([["numpy", "2.1.0"]])");
  machine.write("environment.yml", "dependencies:\n  - numpy\n");
  {
    auto active = Variable("VIRTUAL_ENV", prefix.string());
    auto recorded = record_environment(machine.store);
    CHECK(recorded.interpreter.version == "3.12.4");
    CHECK(machine.read("environment.yml") ==
          "dependencies:\n  - numpy=2.1.0\n"
          "  # assay:recorded: what else is installed\n"
          "  - python=3.12.4\n  # /assay:recorded\n");
    CHECK(machine.read(".assay/python") ==
          (prefix / "bin/python").string() + "\n");
    auto state = environment_state(machine.store);
    CHECK(state.findings.empty());
    CHECK(state.summary.find("as recorded") != std::string::npos);
    CHECK(environment_drift(machine.store).empty());
  }
  auto other = machine.environment("two", "[]");
  auto active = Variable("VIRTUAL_ENV", other.string());
  auto state = environment_state(machine.store);
  REQUIRE(state.findings.size() == 1);
  CHECK(state.findings[0].id == "env.not-active");
  CHECK(state.findings[0].expected == (prefix / "bin/python").string());
  machine.environment("one", R"([["numpy", "2.2.0"], ["six", "1"]])");
  auto drift = environment_drift(machine.store);
  REQUIRE(drift.size() == 2);
  CHECK(drift[0].where == "numpy");
  CHECK(drift[0].actual == "2.2.0");
}

TEST_CASE("a conda environment is told by its own records") {
  Machine machine;
  auto prefix =
      machine.environment("c", R"([["numpy", "2.1.0"], ["Only_Pip", "1.0"]])");
  for (const auto* name : {"python-3.12.4-h1_0.json",
                           "numpy-2.1.0-py312_1.json",
                           "ca-certificates-2024.7.4-0.json",
                           "history"}) {
    fs::create_directories(prefix / "conda-meta");
    write_text(prefix / "conda-meta" / name, "{}");
  }
  auto active = Variable("CONDA_PREFIX", prefix.string());
  auto found = active_interpreter();
  REQUIRE(found);
  CHECK(found->kind == "conda");
  CHECK(found->version == "3.12.4");
  auto read = read_installed(*found);
  CHECK(read.conda == Packages{{"ca-certificates", "2024.7.4"},
                               {"numpy", "2.1.0"},
                               {"python", "3.12.4"}});
  CHECK(read.pip == Packages{{"Only_Pip", "1.0"}});
}

TEST_CASE("an interpreter that lies or hangs is an error") {
  Machine machine;
  auto prefix = machine.environment("e", "[]");
  auto active = Variable("VIRTUAL_ENV", prefix.string());
  for (
      const auto* script :
      {"exit 1",
       "echo hello",
       "echo '{}'",
       R"(echo '{"version": "3", "prefix": "/x", "packages": [["a b", "1"]]}')",
       R"(echo '{"version": "3", "prefix": "/x", "packages": [["a\n- b", "1"]]}')"}) {
    CAPTURE(script);
    machine.tool("e/bin/python", script);
    auto id = failure([&] { record_environment(machine.store); });
    CHECK((id == "env.failed" || id == "json.malformed"));
  }
  CHECK(!fs::exists(machine.folder.path / "environment.yml"));
}

TEST_CASE("each tool is called as it wants to be") {
  Machine machine;
  machine.write("environment.yml", "dependencies:\n  - python=3.12\n");
  machine.write("requirements.txt", "six\n");
  auto make = [&](const char* name) {
    // Takes the folder after "--prefix" or "venv" and fills it.
    machine.tool(name,
                 fmt::format("echo {} \"$@\" >>'{}/log'\n"
                             "for word in \"$@\"; do case \"$before\" in "
                             "--prefix|venv) case \"$word\" in /*) mkdir -p "
                             "\"$word/bin\"; cp /bin/sh \"$word/bin/python\""
                             ";; esac;; esac; before=$word; done\n",
                             name,
                             machine.tools.path.string()));
  };
  std::vector<std::string> said;
  auto create = [&](const std::string& tool) {
    fs::remove_all(machine.folder.path / ".venv");
    fs::remove_all(machine.folder.path / ".conda");
    write_text(machine.tools.path / "log", "");
    return create_environment(
        machine.store, tool, [&](const auto& line) { said.push_back(line); });
  };
  auto root = machine.folder.path.string();
  make("uv");
  CHECK(create("").python == machine.folder.path / ".venv/bin/python");
  CHECK(machine.log() ==
        fmt::format("uv venv {0}/.venv --python 3.12\nuv pip install --python "
                    "{0}/.venv/bin/python -r requirements.txt\n",
                    root));
  CHECK(said.size() == 2);
  // Recorded versions come back, not what is newest today.
  machine.write("environment.yml",
                "dependencies:\n  - python=3.12\n  - numpy=2.1.0\n  - pip:\n"
                "      - -r requirements.txt\n      - Six[x]==1.16.0  # why\n"
                "      - a>=1\n      - b==1.*\n      - c==1,<2\n");
  create("");
  CHECK(machine.log() ==
        fmt::format("uv venv {0}/.venv --python 3.12\nuv pip install --python "
                    "{0}/.venv/bin/python -r requirements.txt -r "
                    ".assay/requirements.txt\n",
                    root));
  CHECK(machine.read(".assay/requirements.txt") == "Six[x]==1.16.0\n");
  make("conda");
  CHECK(create("").tool == "conda");
  CHECK(machine.log() ==
        fmt::format("conda env create --prefix {}/.conda --file "
                    "environment.yml\n",
                    root));
  make("micromamba");
  create("");
  CHECK(machine.log() ==
        fmt::format("micromamba create --yes --prefix {}/.conda --file "
                    "environment.yml\n",
                    root));
  CHECK(failure([&] {
          create_environment(machine.store, "conda", [](const auto&) {});
        }) == "env.exists");
  CHECK(failure([&] { create("mamba"); }) == "env.absent");
  // What a failure leaves behind goes away; what was there stays.
  machine.tool("uv", "mkdir -p .venv/bin; echo no network; exit 2\n");
  CHECK(failure([&] { create("uv"); }) == "env.failed");
  CHECK(!fs::exists(machine.folder.path / ".venv"));
  CHECK(said.back().find("no network") != std::string::npos);
}

TEST_CASE("behind a shim of pyenv is the interpreter that it would run") {
  Machine machine;
  machine.environment("pyenv/versions/3.12.4", "[]");
  fs::remove(machine.tools.path / "pyenv/versions/3.12.4/pyvenv.cfg");
  machine.tool("pyenv/shims/python3", "exit 1\n");
  auto shims = Variable("PATH", (machine.tools.path / "pyenv/shims").string());
  auto unset = Variable("PYENV_VERSION", "");
  auto active = [] { return active_interpreter().value(); };
  CHECK(active().executable == machine.tools.path / "pyenv/shims/python3");
  write_text(machine.tools.path / "pyenv/version", "3.12.4\n");
  auto python = machine.tools.path / "pyenv/versions/3.12.4/bin/python";
  CHECK(active().executable == python);
  CHECK(active().kind == "system");
  record_environment(machine.store);
  CHECK(machine.read(".assay/python") == python.string() + "\n");
  CHECK(environment_state(machine.store).findings.empty());
  // A name out of a file leads nowhere else.
  auto away = Variable("PYENV_VERSION", "../../one");
  CHECK(active().executable == machine.tools.path / "pyenv/shims/python3");
}

TEST_CASE("a link on the PATH is the interpreter that it leads to") {
  Machine machine;
  machine.tool("real/bin/python3.12",
               fmt::format("echo '{{\"executable\": \"x\", \"prefix\": "
                           "\"{}\", \"version\": \"3.12.4\", "
                           "\"packages\": []}}'\n",
                           (machine.tools.path / "real").string()));
  fs::create_symlink("real/bin", machine.tools.path / "bin");
  fs::create_symlink("python3.12", machine.tools.path / "bin/python3");
  auto path = Variable("PATH", (machine.tools.path / "bin").string());
  record_environment(machine.store);
  CHECK(environment_state(machine.store).findings.empty());
}

TEST_CASE("the Python of this machine makes and records an environment") {
  LoneProject project;
  bool there = false;
  for (const auto& tool : find_environment_tools()) {
    there = there || tool.name == "python3";
  }
  if (!there) {
    MESSAGE("no python3 on this machine");
    return;
  }
  auto created = create_environment(project.store, "venv", [](const auto&) {});
  auto active =
      Variable("VIRTUAL_ENV", (project.folder.path / ".venv").string());
  record_environment(project.store);
  CHECK(project.read(".assay/python") == created.python.string() + "\n");
  CHECK(project.read("environment.yml").find("- python=3.") !=
        std::string::npos);
  CHECK(environment_state(project.store).findings.empty());
  CHECK(environment_drift(project.store).empty());
}
