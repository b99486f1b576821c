// What is wrong with a project's own files: each defect planted, each found.

#include "assay/project/project_check.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "assay/project/diagnostics.h"
#include "assay/project/links.h"
#include "assay/project/naming.h"
#include "assay/project/scaffold.h"

#include "project_fixture.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

using CheckTexts = std::vector<std::string>;

struct SoundProject : LoneProject {
  SoundProject() { adopt(store, {}); }

  /** "id where" of each finding. */
  CheckTexts found(const ProjectCheckOptions& options = {}) {
    CheckTexts texts;
    for (const auto& finding : check_project(store, options).findings) {
      texts.push_back(finding.id + " " + finding.where);
    }
    std::ranges::sort(texts);
    return texts;
  }
  void append(const std::string& name, const std::string& text) {
    write(name, read(name) + text);
  }
};

CheckTexts targets(std::string_view line) {
  CheckTexts all;
  for (const auto& link : links_in(line)) {
    all.push_back(link.target);
  }
  return all;
}

}  // namespace

TEST_CASE("targets of links, and what only looks like one") {
  CHECK(targets("[a](b.md) and ![c](d%20e.png \"t\")") ==
        CheckTexts{"b.md", "d%20e.png"});
  CHECK(targets("[a](<b c.md>) [x](f(1).md)") ==
        CheckTexts{"b c.md", "f(1).md"});
  CHECK(targets("[id]: some/where.md 'title'") == CheckTexts{"some/where.md"});
  CHECK(targets("<a href=\"x.md\"><img src=\"y.png\"></a>") ==
        CheckTexts{"x.md", "y.png"});
  CHECK(targets("`[a](b.md)` ``[c](d) ` ``").empty());
  CHECK(targets("`` ` `` [a](b)") == CheckTexts{"b"});
  CHECK(targets("\\[a\\](b) [^1]: note").empty());
  CHECK(targets("[a](").empty());
  CHECK(targets("[[a](b)](c)") == CheckTexts{"b", "c"});
}

TEST_CASE("anchors are GitHub's") {
  CHECK(heading_anchor("Use 4 bit?") == "use-4-bit");
  CHECK(heading_anchor("`env` & **more** -- _it_") == "env--more----it");
  CHECK(heading_anchor("a_b `_c_` __d__") == "a_b-_c_-d");
  CHECK(heading_anchor("A [link](x.md) here") == "a-link-here");
  CHECK(heading_anchor("\xC3\x9C"
                       "ber \xE2\x80\x94 Ma\xC3\x9F") ==
        "\xC3\xBC"
        "ber--ma\xC3\x9F");
  CHECK(heading_anchor("\xE6\xB5\x8B\xE8\xAF\x95 1.2") ==
        "\xE6\xB5\x8B\xE8\xAF\x95-12");
  auto anchors = anchors_of(Document(
      "# A\n\n# A\n\nB\n===\n\n```\n# C\n```\n<a id=\"d\"></a>\n", "x"));
  CHECK(anchors == std::set<std::string>{"a", "a-1", "b", "d"});
}

TEST_CASE("patterns") {
  CHECK(matches_pattern("test_*", "test_a"));
  CHECK(matches_pattern("*_x_*", "a_x_x_b"));
  CHECK(matches_pattern("*", ""));
  CHECK(!matches_pattern("test_*", "tes_a"));
  CHECK(!matches_pattern("a*b", "abc"));
  CHECK(!matches_pattern("", "a"));
}

TEST_CASE("links that lead nowhere") {
  SoundProject project;
  CHECK(project.found().empty());
  project.write("docs/a b.md", "# One\n");
  project.write("NOTES.md",
                "[1](docs/a%20b.md#one) [2](<docs/a b.md#two>)\n"
                "[3](#here) [4](#there) [5](docs) [6](no.md)\n"
                "[7](https://example.org/x.md) [8](mailto:a@b.c)\n"
                "[9](../outside.md) [10](/docs/a%20b.md) [11](/x)\n"
                "[12](NOTES.md?x=1#HERE)\n\n## Here\n\n"
                "```\n[x](no.md)\n```\n<!-- [y](no.md) -->\n");
  CHECK(project.found() == CheckTexts{"document.link NOTES.md:1",
                                      "document.link NOTES.md:2",
                                      "document.link NOTES.md:2",
                                      "document.link NOTES.md:4",
                                      "document.link NOTES.md:4"});
}

TEST_CASE("names of scripts, documents and models") {
  SoundProject project;
  project.write("scripts/convert_it.py", "");
  project.write("scripts/my_convert.py", "");
  project.write("test/helper.py", "");
  project.write("test/conftest.py", "");
  project.write("src/anything.py", "");
  project.write("reference/notes.md", "");
  project.write("reference/NOTES-2.md", "");
  project.write("docs/decisions/0001-a.md", "# A\n");
  project.write("docs/decisions/b.md", "# B\n");
  project.write("models/owner/a b/config.json", "");
  project.write("models/fine-4bit/config.json", "");
  CHECK(project.found() == CheckTexts{"naming.document docs/decisions/b.md",
                                      "naming.document reference/notes.md",
                                      "naming.model models/owner/a b",
                                      "naming.script scripts/my_convert.py",
                                      "naming.script test/helper.py"});
  project.write("assay.toml", "[naming]\nscripts = [\"*\"]\n");
  CHECK(project.found().size() == 3);
}

TEST_CASE("documents that are missing or speak of what is gone") {
  SoundProject project;
  project.remove("reference/RESULTS.md");
  project.write("test/test_new.py", "");
  project.append("test/README.md", "| `test_gone.py` | x | y |\n");
  CHECK(project.found() == CheckTexts{"document.link README.md:22",
                                      "document.missing reference/RESULTS.md",
                                      "document.stale test/README.md",
                                      "document.stale test/README.md"});
}

TEST_CASE("a model that assay.toml names and that is not there") {
  SoundProject project;
  project.write("assay.toml",
                "[[model]]\nname = \"a\"\npath = \"models/a\"\n"
                "[[model]]\nname = \"b\"\npath = \"elsewhere/b\"\n"
                "[[model]]\nname = \"c\"\npath = \"models/c\"\n");
  project.write("models/a/config.json", "{}");
  CHECK(project.found() == CheckTexts{"document.stale assay.toml:7"});
}

TEST_CASE("decisions superseded by nothing, one-sided, or in a circle") {
  SoundProject project;
  auto decision = [](const std::string& title, const std::string& fields) {
    return "\n### Decision: " + title + "\n\n- **Date**: 2026-01-01\n" + fields;
  };
  project.append("reference/LEARNINGS.md",
                 decision("a", "- **Superseded by**: nobody\n") +
                     decision("b", "- **Superseded by**: c\n") +
                     decision("c", "- **Supersedes**: b\n") +
                     decision("d", "- **Supersedes**: e\n") +
                     decision("e", "") +
                     decision("f",
                              "- **Supersedes**: g\n"
                              "- **Superseded by**: g\n") +
                     decision("g",
                              "- **Supersedes**: f\n"
                              "- **Superseded by**: f\n"));
  auto found = check_project(project.store, {}).findings;
  CheckTexts texts;
  for (const auto& finding : found) {
    CHECK(finding.id == "decision.contradiction");
    texts.push_back(finding.actual);
  }
  CHECK(texts == CheckTexts{"no such decision",
                            "it still holds",
                            "they supersede in a circle",
                            "they supersede in a circle"});
}

TEST_CASE("a finished task whose diagnostic fails now") {
  SoundProject project;
  add_diagnostic(project.store, "Loads well", "test -e model", "");
  add_diagnostic(project.store, "late", "test -e model", "", true);
  project.write("TODO.md",
                "- [x] one\n  - diagnostic: `loads WELL`\n"
                "- [x] two, see [it](reference/DIAGNOSTICS.md#loads-well)\n"
                "- [ ] three (diagnostic: none such)\n"
                "- [x] four (diagnostic: none such)\n"
                "- [x] five (diagnostic: late)\n- [x] six\n- [ ] six\n"
                "- [x] outer\n  - [ ] inner (diagnostic: Loads well)\n");
  project.write("model", "");
  CHECK(project.found() == CheckTexts{"diagnostic.none TODO.md:5",
                                      "task.contradiction TODO.md:7"});
  project.remove("model");
  CHECK(project.found() == CheckTexts{"diagnostic.none TODO.md:5",
                                      "task.contradiction TODO.md:1",
                                      "task.contradiction TODO.md:3",
                                      "task.contradiction TODO.md:7"});
  CHECK(project.found({.slow = true}).size() == 5);
  // Without running, the last outcomes count.
  project.write("model", "");
  CHECK(project.found({.run = false}).size() == 5);
}

TEST_CASE("a document that is a link out of the project is a finding") {
  SoundProject project;
  TemporaryFolder other;
  write_text(other.path / "x.md", "# X\n");
  fs::create_symlink(other.path / "x.md", project.folder.path / "x.md");
  CHECK(project.found() == CheckTexts{"project.outside x.md"});
}
