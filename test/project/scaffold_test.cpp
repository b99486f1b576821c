// New projects, and those that get what they lack.

#include "assay/project/scaffold.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "assay/project/diagnostics.h"
#include "assay/project/hash.h"
#include "assay/project/project_check.h"
#include "assay/project/settings.h"
#include "assay/project/templates.h"

#include "project_fixture.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;
using Action = ScaffoldItem::Action;

namespace {

Action action_of(const Scaffold& scaffold, const std::string& path) {
  auto item = std::ranges::find(scaffold.items, path, &ScaffoldItem::path);
  REQUIRE(item != scaffold.items.end());
  return item->action;
}

size_t files_below(const fs::path& folder) {
  auto walk = fs::recursive_directory_iterator(folder);
  return static_cast<size_t>(std::distance(begin(walk), end(walk)));
}

}  // namespace

TEST_CASE("a new project of each kind is sound, and its diagnostic passes") {
  for (auto kind : project_kinds()) {
    CAPTURE(kind);
    LoneProject place;
    auto made = new_project(place.folder.path, "demo", kind);
    CHECK(made.root == place.folder.path / "demo");
    Store store(made.root);
    CHECK(fs::is_directory(made.root / ".git"));
    auto settings = read_settings(store);
    CHECK(settings.kind == kind);
    CHECK(settings.name == "demo");
    CHECK(settings.findings.empty());
    auto check = check_project(store, {});
    CHECK(check.findings.empty());
    CHECK(check.documents >= 7);
    CHECK(list_diagnostics(store, settings).size() == 1);
    CHECK(is_trusted(store));
    for (const auto& file : project_templates("demo", kind)) {
      CHECK(read_text(made.root / file.path).find("{name}") ==
            std::string::npos);
    }
  }
}

TEST_CASE("names that leave, hide or look like options are refused") {
  LoneProject place;
  for (const auto* name : {"",
                           ".",
                           "..",
                           "../x",
                           "a/b",
                           "/tmp/x",
                           "-x",
                           ".x",
                           "a b",
                           "a\nb",
                           "a\\b",
                           "x."}) {
    CAPTURE(name);
    CHECK(failure([&] { new_project(place.folder.path, name, "llm"); }) ==
          "project.name");
  }
  CHECK(files_below(place.folder.path) == 0);
}

TEST_CASE("a folder that holds other things is left alone") {
  LoneProject place;
  place.write("demo/mine.txt", "x");
  CHECK(failure([&] { new_project(place.folder.path, "demo", "llm"); }) ==
        "project.occupied");
  CHECK(files_below(place.folder.path) == 2);
  // A link to a folder elsewhere is not followed.
  TemporaryFolder other;
  fs::create_directory_symlink(other.path, place.folder.path / "link");
  CHECK(failure([&] { new_project(place.folder.path, "link", "llm"); }) ==
        "project.occupied");
  CHECK(files_below(other.path) == 0);
}

TEST_CASE("a repository around it is used, none is made within") {
  LoneProject place;
  place.git({"init", "-q"});
  auto made = new_project(place.folder.path, "demo", "ml");
  CHECK(!fs::exists(made.root / ".git"));
  CHECK(made.remarks.size() == 1);
}

TEST_CASE("an upgrade renews what nobody edited, and nothing else") {
  LoneProject place;
  auto made = new_project(place.folder.path, "demo", "llm");
  Store store(made.root);
  auto path = [&](const char* name) { return made.root / name; };
  // An older version wrote other text: its hash is what is remembered.
  auto memory = read_text(path(".assay/templates.json"));
  auto older = [&](const char* name, const std::string& text) {
    write_text(path(name), text);
    auto key = "\"" + std::string(name) + "\": \"";
    auto at = memory.find(key) + key.size();
    memory.replace(at, 64, sha256(text));
    write_text(path(".assay/templates.json"), memory);
  };
  older("test/README.md", "# old\n");
  older("requirements.txt", "old\n");
  write_text(path("requirements.txt"), "old\nmine\n");
  fs::remove(path("environment.yml"));
  auto again = new_project(place.folder.path, "demo", "llm");
  CHECK(action_of(again, "test/README.md") == Action::updated);
  CHECK(action_of(again, "requirements.txt") == Action::edited);
  CHECK(action_of(again, "environment.yml") == Action::removed);
  CHECK(action_of(again, "README.md") == Action::present);
  CHECK(read_text(path("test/README.md")).starts_with("# Tests"));
  CHECK(read_text(path("requirements.txt")) == "old\nmine\n");
  CHECK(!fs::exists(path("environment.yml")));
  // What was taken away comes back where it is asked for.
  CHECK(action_of(adopt(store, {}), "environment.yml") == Action::added);
}

TEST_CASE("adopting adds what is missing and changes no byte that is there") {
  LoneProject place;
  place.write("README.md", "mine\r\nno last line");
  place.write("AGENTS.md", "# Rules\r\n\r\nBe kind.");
  place.write(".gitignore", "x\n");
  auto dry = adopt(place.store, {.kind = "vlm", .dry_run = true});
  CHECK(action_of(dry, "TODO.md") == Action::added);
  CHECK(action_of(dry, "README.md") == Action::present);
  CHECK(files_below(place.folder.path) == 3);
  adopt(place.store, {.kind = "vlm"});
  CHECK(place.read("README.md") == "mine\r\nno last line");
  CHECK(place.read(".gitignore") == "x\n");
  auto agents = place.read("AGENTS.md");
  CHECK(agents.starts_with(
      "# Rules\r\n\r\nBe kind.\r\n\r\n<!-- assay:agents -->\r\n"));
  CHECK(place.read("CLAUDE.md") ==
        "# Claude\n\n<!-- assay:agents -->\n@AGENTS.md\n"
        "<!-- /assay:agents -->\n");
  auto size = files_below(place.folder.path);
  auto again = adopt(place.store, {});
  CHECK(again.kind == "vlm");
  CHECK(std::ranges::all_of(again.items, [](const auto& item) {
    return item.action == Action::present;
  }));
  CHECK(place.read("AGENTS.md") == agents);
  CHECK(files_below(place.folder.path) == size);
}

TEST_CASE("links out of the project, and to nowhere, stop all of it") {
  LoneProject place;
  TemporaryFolder other;
  fs::create_directory_symlink(other.path, place.folder.path / "reference");
  CHECK(failure([&] { adopt(place.store, {}); }) == "project.outside");
  CHECK(files_below(other.path) == 0);
  CHECK(!fs::exists(place.folder.path / "TODO.md"));
  fs::remove(place.folder.path / "reference");
  fs::create_symlink("/nowhere/at/all", place.folder.path / "TODO.md");
  CHECK(failure([&] { adopt(place.store, {}); }) == "project.not-a-file");
  CHECK(!fs::exists(place.folder.path / "README.md"));
}

TEST_CASE("a CLAUDE.md that is a link to AGENTS.md stays one") {
  LoneProject place;
  place.write("AGENTS.md", "# Rules\n");
  fs::create_symlink("AGENTS.md", place.folder.path / "CLAUDE.md");
  adopt(place.store, {});
  CHECK(fs::is_symlink(place.folder.path / "CLAUDE.md"));
  CHECK(place.read("AGENTS.md").find("@AGENTS.md") == std::string::npos);
}

TEST_CASE("a project from elsewhere is not trusted by adopting it") {
  LoneProject place;
  place.write("reference/DIAGNOSTICS.md",
              "# D\n\n## evil\n\n```sh diagnostic\ntouch evil\n```\n");
  adopt(place.store, {});
  CHECK(!is_trusted(place.store));
  CHECK(failure([&] {
          run_diagnostics(
              place.store, list_diagnostics(place.store, {}), Speed::quick);
        }) == "diagnostic.not-trusted");
  CHECK(!fs::exists(place.folder.path / "evil"));
}
