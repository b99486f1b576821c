// Search over the documents: what is found, whatever is typed, and that the
// index never says what the documents do not.

#include "assay/project/recall.h"

#include <algorithm>
#include <fstream>
#include <set>

#include <doctest/doctest.h>

#include "assay/project/learnings.h"
#include "assay/project/results.h"
#include "assay/project/tasks.h"

#include "support.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

const char* const kLearnings =
    "# Learnings\n\n## Insights\n\n- The head drifts most when it is "
    "quantized.\n- Caf\xC3\xA9 tokens need NFC.\n"
    "- \xE9\x87\x8F\xE5\x8C\x96\xE6\xA8\xA1\xE5\x9E\x8B\xE6\x8D\x9F\xE5\xA4\xB1"
    "\xE5\xBE\x88\xE5\xB0\x8F\n\n"
    "## Failed approaches\n\n- Rotating the prompt in pieces: the drift of "
    "rope_theta grew.\n\n"
    "## Decisions\n\n### Keep the head in 8 bits\n\n- Date: 2026-01-01\n"
    "- Rationale: drift\n";

void fill(Project& project) {
  project.write("reference/LEARNINGS.md", kLearnings);
  project.write(
      "TODO.md",
      "# TODO\n\n- [ ] Trace the drift\n  - by layers\n- [x] Bench\n");
}

std::vector<std::string> places(const Recall& found) {
  std::vector<std::string> all;
  for (const auto& hit : found.hits) {
    all.push_back(hit.passage.file + ":" + std::to_string(hit.passage.line));
  }
  return all;
}

using RecallTexts = std::vector<std::string>;

RecallTexts search(const Project& project,
                   std::string_view words,
                   std::vector<RecallKind> kinds = {}) {
  return places(
      recall(project.store, words, {.kinds = std::move(kinds), .limit = 10}));
}

}  // namespace

TEST_CASE("a passage is a task, a decision, a failure, or a piece of text") {
  auto found = passages_of(Document(kLearnings, "reference/LEARNINGS.md"));
  REQUIRE(found.size() == 5);
  CHECK(found[0].kind == RecallKind::text);
  CHECK(found[0].title == "Learnings > Insights");
  CHECK(found[0].line == 5);
  CHECK(found[3].kind == RecallKind::failed);
  CHECK(found[4].kind == RecallKind::decision);
  CHECK(found[4].text.ends_with("- Rationale: drift"));
  found =
      passages_of(Document("- [ ] a\n  more\n\n  and\n- [x] b\n", "TODO.md"));
  REQUIRE(found.size() == 2);
  CHECK(found[0].kind == RecallKind::task);
  CHECK(found[0].text == "- [ ] a\n  more\n\n  and");
  found = passages_of(Document("---\nstatus: accepted\n---\n\n# Use X\n\nwhy\n",
                               "docs/decisions/0001-use-x.md"));
  REQUIRE(found.size() == 1);
  CHECK(found[0].kind == RecallKind::decision);
}

TEST_CASE("every line that says something is in some passage") {
  auto root = fs::path(ASSAY_TEST_DIR).parent_path();
  for (const auto* name : {"TODO.md",
                           "README.md",
                           "reference/LEARNINGS.md",
                           "reference/RESULTS.md",
                           "test/README.md"}) {
    auto document = Document(read_text(root / name), name);
    std::string all;
    for (const auto& passage : passages_of(document)) {
      all += passage.title + "\n" + passage.text + "\n";
      CHECK(document.text().compare(
                passage.offset, passage.text.size(), passage.text) == 0);
    }
    for (size_t line = 0; line < document.lines().size(); ++line) {
      auto text = document.line(line);
      if (document.lines()[line].kind == LineKind::heading) {
        text = trim(
            text.substr(std::min(text.find_first_not_of('#'), text.size())));
      }
      CAPTURE(std::string(text));
      CHECK(all.find(text) != std::string::npos);
    }
  }
}

TEST_CASE("what was tried, and why did it fail") {
  Project project;
  fill(project);
  auto found = recall(project.store, "rotating prompt");
  REQUIRE(!found.hits.empty());
  CHECK(found.findings.empty());
  CHECK(found.hits[0].passage.line == 11);
  CHECK(found.hits[0].all_words);
  CHECK(found.hits[0].snippet.find("Rotating the prompt") != std::string::npos);
  // Forms of a word, accents, case; then those that hold some of the words.
  auto forms = search(project, "DRIFTED heads");
  REQUIRE(forms.size() == 4);
  CHECK(std::set(forms.begin(), forms.begin() + 2) ==
        std::set<std::string>{"reference/LEARNINGS.md:5",
                              "reference/LEARNINGS.md:15"});
  CHECK(std::set(forms.begin() + 2, forms.end()) ==
        std::set<std::string>{"TODO.md:3", "reference/LEARNINGS.md:11"});
  CHECK(search(project, "cafe") == RecallTexts{"reference/LEARNINGS.md:6"});
  CHECK(search(project, "rope_theta").front() == "reference/LEARNINGS.md:11");
  CHECK(search(project, "drift", {RecallKind::task}) ==
        RecallTexts{"TODO.md:3"});
  CHECK(search(project, "drift", {RecallKind::failed}) ==
        RecallTexts{"reference/LEARNINGS.md:11"});
  CHECK(search(project, "zebra").empty());
  // Chinese puts no spaces between words.
  CHECK(search(project, "\xE6\xA8\xA1\xE5\x9E\x8B") ==
        RecallTexts{"reference/LEARNINGS.md:7"});
  CHECK(search(project, "\xE5\x9E\x8B\xE6\xA8\xA1").empty());
}

TEST_CASE("nothing that is typed is an operator, but quotes make a phrase") {
  Project project;
  fill(project);
  CHECK(search(project, "\"head drifts\"") ==
        RecallTexts{"reference/LEARNINGS.md:5"});
  CHECK(search(project, "\"drifts head\"").empty());
  for (const auto* words : {"drift AND",
                            "drift OR",
                            "NOT drift",
                            "drift*",
                            "^drift",
                            "title:drift",
                            "NEAR(drift, 2)",
                            "drift\"",
                            "\"\" drift",
                            "(drift",
                            "drift) - + {} ; ' --",
                            "drift \xff\xc3",
                            "drift \xE2\x80\x94",
                            "'; DROP TABLE passage; -- drift"}) {
    CAPTURE(std::string(words));
    CHECK(!search(project, words).empty());
  }
  std::string zero("drift\0drift", 11);
  CHECK_NOTHROW(search(project, zero));
  for (const auto* nothing : {"", "  ", "\"\"", "*", "- + ()"}) {
    CAPTURE(std::string(nothing));
    CHECK(failure([&] { search(project, nothing); }) == "project.empty");
  }
}

TEST_CASE("the index follows the documents") {
  Project project;
  fill(project);
  CHECK(search(project, "zebra").empty());
  add_task(project.store, "Feed the zebra");
  CHECK(search(project, "zebra") == RecallTexts{"TODO.md:6"});
  set_task(project.store, "zebra", TaskState::dropped);
  CHECK(search(project, "zebra") == RecallTexts{"TODO.md:6"});
  // The same size within the same moment.
  project.write("TODO.md", "- [ ] zebra\n");
  CHECK(search(project, "zebra") == RecallTexts{"TODO.md:1"});
  project.write("TODO.md", "- [ ] horse\n");
  CHECK(search(project, "zebra").empty());
  CHECK(search(project, "horse") == RecallTexts{"TODO.md:1"});
  fs::remove(project.folder.path / "TODO.md");
  CHECK(search(project, "horse").empty());
  // A file put in place with an older time.
  project.write("TODO.md", "- [ ] otter\n");
  CHECK(search(project, "otter").size() == 1);
  project.write("TODO.md", "- [ ] tiger\n");
  fs::last_write_time(project.folder.path / "TODO.md",
                      fs::file_time_type::clock::now() - std::chrono::hours(9));
  CHECK(search(project, "otter").empty());
}

TEST_CASE("results are found by what was measured, once each") {
  Project project;
  Run run;
  run.kind = "bench";
  run.model = {"SmolLM2", "models/smol", "s1-abc"};
  run.values = {{.what = "decode 64", .value = 69.3, .unit = "tokens/s"}};
  run.conditions = {{"processor", "EPYC"}};
  record(project.store, run);
  run.values[0].value = 71;
  record(project.store, run);
  auto found = recall(project.store, "smollm2 decode");
  REQUIRE(found.hits.size() == 2);
  CHECK(found.hits[0].passage.kind == RecallKind::result);
  CHECK(search(project, "epyc", {RecallKind::result}).size() == 2);
  // Lines may be put together in another order by git.
  auto ledger = project.read("reference/results.jsonl");
  auto half = ledger.find('\n') + 1;
  project.write("reference/results.jsonl",
                ledger.substr(half) + ledger.substr(0, half));
  auto lines = search(project, "71");
  CHECK(lines == RecallTexts{"reference/results.jsonl:1"});
}

TEST_CASE("a damaged index is made anew, and never believed") {
  Project project;
  fill(project);
  auto expected = search(project, "drift");
  auto index = project.folder.path / kIndexFile;
  auto whole = read_text(index);
  auto damage = [&](std::string bytes) {
    std::ofstream(index, std::ios::binary) << bytes;
    auto found = recall(project.store, "drift");
    CHECK(places(found) == expected);
    return found.findings.empty() ? std::string() : found.findings[0].id;
  };
  CHECK(damage(std::string(8192, 'x')) == "recall.rebuilt");
  CHECK(damage("") == "");  // as good as none
  damage(whole.substr(0, whole.size() / 2));
  for (size_t at = 100; at < whole.size(); at += whole.size() / 60) {
    auto bytes = whole;
    for (size_t byte = at; byte < std::min(at + 64, bytes.size()); ++byte) {
      bytes[byte] = static_cast<char>(bytes[byte] ^ 0x5a);
    }
    damage(bytes);
  }
  // A folder in its place: then without one.
  fs::remove(index);
  fs::create_directory(index);
  CHECK(search(project, "drift") == expected);
}

TEST_CASE("a link out of the project is not followed") {
  Project project;
  fill(project);
  TemporaryFolder outside;
  write_text(outside.path / "secret.md", "drift secret\n");
  fs::create_symlink(outside.path / "secret.md",
                     project.folder.path / "reference" / "secret.md");
  auto found = recall(project.store, "secret");
  CHECK(found.hits.empty());
  REQUIRE(found.findings.size() == 1);
  CHECK(found.findings[0].id == "project.outside");
}
