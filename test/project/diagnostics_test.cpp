// Commands of a project: how they are read, and run.

#include "assay/project/diagnostics.h"

#include <chrono>

#include <doctest/doctest.h>

#include "assay/project/clock.h"
#include "assay/project/learnings.h"

#include "project_fixture.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

using DiagnosticWords = std::vector<std::string>;

}  // namespace

TEST_CASE("a command without signs of the shell runs without one") {
  CHECK(plain_words("assay check \"a b\" 'c  d' --x=1") ==
        DiagnosticWords{"assay", "check", "a b", "c  d", "--x=1"});
  CHECK(plain_words("x ''") == DiagnosticWords{"x", ""});
  for (const auto* command : {"a | b",
                              "a > b",
                              "a; b",
                              "a && b",
                              "$HOME/a",
                              "a \"$B\"",
                              "a `b`",
                              "a *.txt",
                              "A=1 b",
                              "a ~/b",
                              "a\nb",
                              "a 'b",
                              "a \\b",
                              "",
                              "  "}) {
    CAPTURE(command);
    CHECK(plain_words(command).empty());
  }
}

TEST_CASE("only blocks that say so are diagnostics") {
  LoneProject project;
  project.write("reference/DIAGNOSTICS.md",
                "# D\n\n## clean\n\n```sh\nrm -rf build\n```\n\n## quick\n\n"
                "Whether it is\nquick.\n\nMore.\n\n```sh diagnostic\ntrue\n"
                "```\n\n## slow\n\n~~~sh diagnostic slow seconds=90\nsleep 1\n"
                "true | cat\n~~~\n\n    ```sh diagnostic\n    "
                "no\n\n````text\n```sh diagnostic\nno\n```\n````"
                "\n");
  project.write("assay.toml",
                "[thresholds]\nquick_seconds = 7\n[[diagnostic]]\n"
                "name = \"third\"\ncommand = [\"a b\", \"*\"]\n");
  auto all = list_diagnostics(project.store, read_settings(project.store));
  REQUIRE(all.size() == 3);
  CHECK(all[0].name == "quick");
  CHECK(all[0].purpose == "Whether it is quick.");
  CHECK(all[0].words == DiagnosticWords{"true"});
  CHECK(all[0].seconds == 7);
  CHECK(all[0].line == 9);
  CHECK(all[1].slow);
  CHECK(all[1].seconds == 90);
  CHECK(all[1].words == DiagnosticWords{"sh", "-c", "sleep 1\ntrue | cat"});
  CHECK(all[2].words == DiagnosticWords{"a b", "*"});
  project.write("reference/DIAGNOSTICS.md", "## a\n```sh diagnostic fast\nx\n");
  CHECK(failure([&] { list_diagnostics(project.store, {}); }) ==
        "diagnostic.malformed");
}

TEST_CASE("a diagnostic is written so that it is read the same") {
  LoneProject project;
  add_diagnostic(project.store, "one", "echo '```'\ntrue", "", true, 33);
  auto all = list_diagnostics(project.store, {});
  REQUIRE(all.size() == 1);
  CHECK(all[0].command == "echo '```'\ntrue");
  CHECK(all[0].slow);
  CHECK(all[0].seconds == 33);
  CHECK(is_trusted(project.store));
}

TEST_CASE("outcomes, time and output are bounded and remembered") {
  LoneProject project;
  add_diagnostic(project.store, "good", "echo fine", "");
  add_diagnostic(project.store, "bad", "echo why; exit 3", "");
  add_diagnostic(project.store, "hangs", "sleep 60", "", false, 1);
  add_diagnostic(
      project.store, "loud", "yes long | head -c 3000000; exit 1", "");
  add_diagnostic(project.store, "slow", "touch ran", "", true);
  auto all = list_diagnostics(project.store, {});
  auto start = std::chrono::steady_clock::now();
  auto results = run_diagnostics(project.store, all, Speed::quick);
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(15));
  REQUIRE(results.size() == 4);
  CHECK(results[0].outcome == Outcome::passed);
  CHECK(results[0].output == "fine\n");
  CHECK(results[1].outcome == Outcome::failed);
  CHECK(results[1].exit_code == 3);
  CHECK(results[2].outcome == Outcome::timed_out);
  CHECK(results[3].output.size() < 5000);
  CHECK(!fs::exists(project.folder.path / "ran"));
  auto known = last_results(project.store, all);
  REQUIRE(known.size() == 4);
  CHECK(known[1].output == "why\n");
  CHECK(known[1].when == "2026-11-24 09:00:00");
  // Another command under the same name was never run.
  all[1].command = "true";
  CHECK(last_results(project.store, all).size() == 3);
}

TEST_CASE("a diagnostic that runs diagnostics runs none") {
  LoneProject project;
  add_diagnostic(project.store, "one", "touch ran", "");
  auto within = Variable("ASSAY_WITHIN_DIAGNOSTIC", "1");
  auto all = list_diagnostics(project.store, {});
  auto results = run_diagnostics(project.store, all, Speed::all);
  CHECK(results.at(0).outcome == Outcome::not_run);
  CHECK(!fs::exists(project.folder.path / "ran"));
  CHECK(last_results(project.store, all).empty());
}

TEST_CASE("trust is of this machine: a project can't bring it along") {
  LoneProject project;
  project.write("assay/trusted", project.folder.path.string() + "\n");
  project.write(".assay/trusted", project.folder.path.string() + "\n");
  CHECK(!is_trusted(project.store));
  trust(project.store);
  CHECK(is_trusted(project.store));
  LoneProject other;
  CHECK(!is_trusted(other.store));
}

TEST_CASE("settings say what they do not understand") {
  LoneProject project;
  project.write("assay.toml",
                "name = \"a\"\nkidn = \"llm\"\n[naming]\nscripts = []\n");
  auto settings = read_settings(project.store);
  REQUIRE(settings.findings.size() == 1);
  CHECK(settings.findings[0].where == "assay.toml:2");
  CHECK(settings.script_names.empty());
  for (const auto* text : {"a = ",
                           "name = 3",
                           "[[model]]\nname = \"x\"",
                           "[thresholds]\nquick_seconds = 0",
                           "[thresholds]\nquick_seconds = nan",
                           "model = 1",
                           "[[diagnostic]]\nname = \"a\"\ncommand = []",
                           "[[diagnostic]]\nname = \"a\"\ncommand = [1]"}) {
    CAPTURE(text);
    project.write("assay.toml", text);
    CHECK(failure([&] { read_settings(project.store); }) ==
          "settings.malformed");
  }
  project.write("assay.toml", "a = " + std::string(5000, '['));
  CHECK(failure([&] { read_settings(project.store); }) == "settings.malformed");
}

TEST_CASE("the clock of tests is read strictly") {
  auto at = [](const char* text) {
    auto now = Variable("ASSAY_NOW", text);
    return now_text();
  };
  CHECK(at("2026-11-24 09:30") == "2026-11-24 09:30:00");
  CHECK(at("2024-02-29T23:59:58") == "2024-02-29 23:59:58");
  for (const auto* text :
       {"", "2026-11-24", "2026-02-29 09:30", "2026-11-24 24:00", "x"}) {
    CAPTURE(text);
    CHECK(failure([&] { at(text); }) == "clock.malformed");
  }
  CHECK(minutes_between("2026-11-24 23:00:00", "2026-11-26 00:30:59") == 1530);
  CHECK(span_text(1530) == "25 hours");
  CHECK(span_text(1) == "1 minute");
  CHECK(span_text(3 * 24 * 60) == "3 days");
}
