// Tasks, learnings, decisions: what is written, and what stays.

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/learnings.h"
#include "assay/project/tasks.h"

#include "support.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

struct Project {
  TemporaryFolder folder;
  Store store{folder.path};

  void write(const std::string& name, std::string_view text) {
    fs::create_directories((folder.path / name).parent_path());
    write_text(folder.path / name, text);
  }
  std::string read(const std::string& name) const {
    return read_text(folder.path / name);
  }
};

template <class Work>
std::string failure(const Work& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.finding().id;
  }
  return {};
}

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

TEST_CASE("a diagnostic is a heading, its purpose and its command") {
  Project project;
  add_tool(project.store, "headers", "assay check M", "Do they fit?");
  CHECK(project.read("reference/DIAGNOSTICS.md") ==
        "# Diagnostics\n\n## headers\n\nDo they fit?\n\n"
        "```sh\nassay check M\n```\n");
  CHECK(failure([&] { add_tool(project.store, "Headers", "x", ""); }) ==
        "project.duplicate");
}
