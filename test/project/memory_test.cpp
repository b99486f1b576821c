// Tasks, learnings, decisions: what is written, and what stays.

#include <cstdlib>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/blocks.h"
#include "assay/project/diagnostics.h"
#include "assay/project/learnings.h"
#include "assay/project/tasks.h"

#include "support.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

const Decision kDecision = {.title = "Use 4 bit",
                            .rationale = "Half the memory.\nFits 8 GB.",
                            .trade_off = "0.8% perplexity",
                            .validation = "measure perplexity",
                            .date = "2026-01-02",
                            .supersedes = {}};

}  // namespace

TEST_CASE("a task goes after the last one of the section at work") {
  Project project;
  project.write("TODO.md",
                "# T\r\n\r\n## Done\r\n- [x] a\r\n\r\n## Now\r\n"
                "- [ ] b\r\n  more\r\n\r\n## Later\r\n- [ ] c");
  auto view = add_task(project.store, "new\none");
  CHECK(view.line == 9);
  CHECK(view.section == std::vector<std::string>{"T", "Now"});
  add_task(project.store, "d", "later");
  CHECK(project.read("TODO.md") ==
        "# T\r\n\r\n## Done\r\n- [x] a\r\n\r\n## Now\r\n- [ ] b\r\n  more\r\n"
        "- [ ] new one\r\n\r\n## Later\r\n- [ ] c\r\n- [ ] d");
  CHECK(failure([&] { add_task(project.store, "c"); }) == "project.duplicate");
  CHECK(failure([&] { add_task(project.store, " \n"); }) == "project.empty");
  CHECK(failure([&] { add_task(project.store, "x", "No"); }) ==
        "project.no-heading");
}

TEST_CASE("the first task makes the document") {
  Project project;
  add_task(project.store, "a");
  CHECK(project.read("TODO.md") == "# TODO\n\n- [ ] a\n");
}

TEST_CASE("a task is named by id, line, text or a part that only it has") {
  Project project;
  project.write("TODO.md", "- [ ] alpha one\n- [ ] alpha two\n1. [ ] beta\n");
  CHECK(failure([&] { set_task(project.store, "alpha", TaskState::done); }) ==
        "project.ambiguous");
  CHECK(failure([&] { set_task(project.store, "xyz", TaskState::done); }) ==
        "project.no-task");
  CHECK(project.read("TODO.md") ==
        "- [ ] alpha one\n- [ ] alpha two\n1. [ ] beta\n");
  set_task(project.store, "ONE", TaskState::started);
  set_task(project.store, task_id("alpha two"), TaskState::done);
  set_task(project.store, "TODO.md:3", TaskState::dropped, "too\nslow");
  CHECK(project.read("TODO.md") ==
        "- [/] alpha one\n- [x] alpha two\n1. [x] ~~beta~~\n"
        "    - too slow\n");
  auto view = set_task(project.store, task_id("beta"), TaskState::open);
  CHECK(view.task.text == "beta");
}

TEST_CASE("learnings are dated, under their heading, once") {
  Project project;
  project.write("reference/LEARNINGS.md",
                "# L\n\n## Insights\n\n- old\n\n## Decisions\n");
  learn(project.store, "first", false, "2026-01-02");
  learn(project.store, "bad idea", true, "2026-01-03");
  CHECK(project.read("reference/LEARNINGS.md") ==
        "# L\n\n## Insights\n\n- old\n- 2026-01-02: first\n\n## Decisions\n\n"
        "## Failed Approaches\n\n- 2026-01-03: bad idea\n");
  CHECK(failure([&] { learn(project.store, "first"); }) == "project.duplicate");
}

TEST_CASE("code that is never closed hides no learning: it is refused") {
  Project project;
  project.write("reference/LEARNINGS.md", "# L\n\n```\ncode\n");
  CHECK(failure([&] { learn(project.store, "x"); }) == "project.ambiguous");
  CHECK(failure([&] { decide(project.store, kDecision); }) ==
        "project.ambiguous");
  CHECK(failure([&] { record_decision(project.store, "d", kDecision); }) ==
        "project.ambiguous");
  CHECK(project.read("reference/LEARNINGS.md") == "# L\n\n```\ncode\n");
}

TEST_CASE("nothing is put into a block that begins the next section") {
  for (const auto* title : {"Insights", "Failed Approaches", "Decisions"}) {
    CAPTURE(std::string(title));
    Project project;
    project.write("reference/LEARNINGS.md",
                  std::string("# L\n\n## ") + title + "\n");
    project.write("TODO.md", "# T\n\n## Next\n");
    auto write = [&] {
      for (const auto& file : {kLearningsFile, kTasksFile}) {
        project.store.edit(file, [](Document& document) {
          write_block(document, "a", {"## Architecture: m", "", "- b"});
        });
      }
    };
    write();
    learn(project.store, "x", false);
    learn(project.store, "y", true);
    decide(project.store, kDecision);
    record_decision(project.store,
                    "d",
                    {.title = "Other",
                     .rationale = "r",
                     .trade_off = "t",
                     .validation = "v",
                     .date = {},
                     .supersedes = {}});
    add_task(project.store, "z", "Next");
    CHECK_NOTHROW(write());
    CHECK(list_decisions(project.store).size() == 2);
    CHECK(list_tasks(project.store).front().section.back() == "Next");
  }
}

TEST_CASE("a decision is read as it was written, and superseding links both") {
  Project project;
  decide(project.store, kDecision);
  auto next = kDecision;
  next.title = "Use 5 bit";
  next.supersedes = "use 4 bit";
  decide(project.store, next);
  auto all = list_decisions(project.store);
  REQUIRE(all.size() == 2);
  CHECK(all[0].decision.rationale == kDecision.rationale);
  CHECK(all[0].decision.trade_off == kDecision.trade_off);
  CHECK(all[0].superseded_by == "Use 5 bit");
  CHECK(all[1].decision.supersedes == "Use 4 bit");
  CHECK(all[1].superseded_by.empty());
  CHECK(failure([&] { decide(project.store, kDecision); }) ==
        "project.duplicate");
  next.title = "other";
  next.supersedes = "none such";
  auto before = project.read("reference/LEARNINGS.md");
  CHECK(failure([&] { decide(project.store, next); }) == "project.no-decision");
  next.rationale = "";
  CHECK(failure([&] { decide(project.store, next); }) == "project.empty");
  CHECK(project.read("reference/LEARNINGS.md") == before);
}

TEST_CASE("MADR files are numbered on, and their status tells the successor") {
  Project project;
  project.write("docs/decisions/0007-x.md",
                "---\r\nstatus: accepted\r\ndate: 2025-01-01\r\n---\r\n\r\n"
                "# Use X\r\n\r\n## Decision Outcome\r\n\r\nX, because.\r\n");
  auto next = kDecision;
  next.supersedes = "Use X";
  auto view = decide(project.store, next);
  CHECK(view.file == "docs/decisions/0008-use-4-bit.md");
  CHECK(project.read("docs/decisions/0007-x.md") ==
        "---\r\nstatus: \"superseded by 0008-use-4-bit.md\"\r\n"
        "date: 2025-01-01\r\n---\r\n\r\n# Use X\r\n\r\n"
        "## Decision Outcome\r\n\r\nX, because.\r\n");
  auto all = list_decisions(project.store);
  REQUIRE(all.size() == 2);
  CHECK(all[0].superseded_by == "0008-use-4-bit.md");
  CHECK(all[1].decision.trade_off == kDecision.trade_off);
  CHECK(all[1].decision.date == "2026-01-02");
}

TEST_CASE("MADR of all versions is read: fields, sections, links") {
  Project project;
  // MADR 2: a list below the title.
  project.write("docs/decisions/0001-use-x.md",
                "# Use X\n\n* Status: superseded by "
                "[ADR-0003](0003-use-z.md)\n* Date: 2020-02-03\n\n"
                "## Decision Outcome\n\nChosen option: \"X\".\n\n"
                "### Positive Consequences\n\n* fast\n\n"
                "### Negative Consequences\n\n* large\n");
  // MADR 4, with sections that repeat.
  project.write("docs/decisions/0002-use-y.md",
                "---\nstatus: \"superseded by ADR-0003\"\n"
                "date: 2024-05-06\n---\n# Use Y\n\n"
                "## Decision Outcome\n\nY.\n\n### Consequences\n\n* good\n\n"
                "### Confirmation\n\ntests\n\n## Notes\n\n## Notes\n");
  project.write("docs/decisions/0003-use-z.md",
                "# Use Z\n\n## More Information\n\n"
                "Supersedes [Y](0002-use-y.md).\n");
  auto all = list_decisions(project.store);
  REQUIRE(all.size() == 3);
  CHECK(all[0].decision.date == "2020-02-03");
  CHECK(all[0].decision.rationale == "Chosen option: \"X\".");
  CHECK(all[0].decision.trade_off == "* fast\n* large");
  CHECK(all[0].superseded_by == "0003-use-z.md");
  CHECK(all[1].superseded_by == "0003-use-z.md");
  CHECK(all[1].decision.rationale == "Y.");
  CHECK(all[1].decision.trade_off == "* good");
  CHECK(all[1].decision.validation == "tests");
  CHECK(all[2].decision.supersedes == "0002-use-y.md");
  // Superseding changes the status where MADR 2 keeps it.
  auto next = kDecision;
  next.supersedes = "0001-use-x.md";
  decide(project.store, next);
  CHECK(project.read("docs/decisions/0001-use-x.md")
            .find("* Status: \"superseded by 0004-use-4-bit.md\"\n"
                  "* Date: 2020-02-03\n") != std::string::npos);
  all = list_decisions(project.store);
  CHECK(all[0].superseded_by == "0004-use-4-bit.md");
  CHECK(all[3].decision.supersedes == "0001-use-x.md");
}

TEST_CASE("decisions that people wrote by hand are read as well") {
  Project project;
  project.write("reference/LEARNINGS.md",
                "# L\n\n## Decisions\n\n### Rooms are lists\n"
                "- Date: 2026-11-23\n- Decision: each folder\n"
                "- Rationale: an include\n  does not compile.\n"
                "- **Trade-off:** paths\n* Validation: it fails\n\n"
                "#### More\n\n## Later\n\n### Not one\n");
  auto all = list_decisions(project.store);
  REQUIRE(all.size() == 1);
  CHECK(all[0].decision.title == "Rooms are lists");
  CHECK(all[0].decision.rationale == "an include\ndoes not compile.");
  CHECK(all[0].decision.trade_off == "paths");
  CHECK(all[0].decision.validation == "it fails");
  CHECK(all[0].line == 5);
}

TEST_CASE("what a program decides again is renewed, not doubled") {
  for (bool madr : {false, true}) {
    CAPTURE(madr);
    Project project;
    if (madr) {
      fs::create_directories(project.folder.path / kDecisionsFolder);
    }
    auto view = record_decision(project.store, "d", kDecision);
    auto again = kDecision;
    again.trade_off = "0.9% perplexity";
    again.date = "2026-01-03";
    record_decision(project.store, "d", again);
    auto all = list_decisions(project.store);
    REQUIRE(all.size() == 1);
    CHECK(all[0].decision.trade_off == "0.9% perplexity");
    CHECK(all[0].decision.date == "2026-01-03");
    auto text = project.read(view.file);
    text.replace(text.find("0.9%"), 4, "0.1%");
    project.write(view.file, text);
    CHECK(failure([&] { record_decision(project.store, "d", kDecision); }) ==
          "project.edited-block");
    CHECK(project.read(view.file) == text);
    auto other = kDecision;
    other.title = "By hand";
    decide(project.store, other);
    CHECK(failure([&] { record_decision(project.store, "e", other); }) ==
          "project.duplicate");
  }
}

TEST_CASE("a form gives what somebody filled in") {
  auto form = decision_form({.title = "Use X",
                             .rationale = "known",
                             .trade_off = {},
                             .validation = {},
                             .date = {},
                             .supersedes = {}});
  auto read = read_decision_form(form);
  CHECK(read.title == "Use X");
  CHECK(read.rationale == "known");
  CHECK(read.trade_off.empty());
  form.insert(form.find("## Validation"), "It costs.\r\n\r\n- a lot\n\n");
  form += "## not a field\n\nmeasured\n";
  read = read_decision_form(form);
  CHECK(read.trade_off == "It costs.\n\n- a lot");
  CHECK(read.validation == "## not a field\n\nmeasured");
}

TEST_CASE("a decision is filled in in an editor; a form half done stays") {
  Project project;
  auto program = project.folder.path / "edit.sh";
  auto use_editor = [&](const std::string& script) {
    write_text(program, "#!/bin/sh\n" + script);
    fs::permissions(program, fs::perms(0700));
    setenv("VISUAL", (program.string() + " --wait").c_str(), 1);
  };
  Decision known = {.title = "Use X: now",
                    .rationale = "because",
                    .trade_off = {},
                    .validation = {},
                    .date = "2026-01-02",
                    .supersedes = {}};
  auto form = project.folder.path / ".assay/decision-use-x-now.md";
  use_editor("exit 3\n");
  CHECK(failure([&] { decide_in_editor(project.store, known); }) ==
        "project.editor");
  // The editor gets its own words and one more, the form.
  use_editor("[ $# = 2 ] && printf 'tests show it\\n' >> \"$2\"\n");
  CHECK(failure([&] { decide_in_editor(project.store, known); }) ==
        "project.empty");
  CHECK(read_text(form).ends_with("tests show it\n"));
  CHECK(!project.store.exists(kLearningsFile));
  use_editor(
      "text=$(awk '/^## Validation/ {print \"it costs\"} {print}' "
      "\"$2\") && echo \"$text\" > \"$2\"\n");
  auto view = decide_in_editor(project.store, known);
  CHECK(view.decision.trade_off == "it costs");
  CHECK(view.decision.validation == "tests show it");
  CHECK(!fs::exists(form));
  CHECK(list_decisions(project.store).size() == 1);
  unsetenv("VISUAL");
}

TEST_CASE("a diagnostic is a heading, its purpose and its command") {
  Project project;
  add_diagnostic(project.store, "headers", "assay check M", "Do they fit?");
  CHECK(project.read("reference/DIAGNOSTICS.md") ==
        "# Diagnostics\n\n## headers\n\nDo they fit?\n\n"
        "```sh diagnostic\nassay check M\n```\n");
  CHECK(failure([&] { add_diagnostic(project.store, "Headers", "x", ""); }) ==
        "project.duplicate");
}
