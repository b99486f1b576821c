// What a Markdown document holds, and that an edit touches its own lines only.

#include "assay/project/document.h"

#include <filesystem>
#include <random>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/project/blocks.h"
#include "assay/project/hash.h"

using namespace assay;
using namespace assay::project;
namespace fs = std::filesystem;

namespace {

Document read(std::string text) {
  return {std::move(text), "TODO.md"};
}

std::vector<std::string> task_texts(const Document& document) {
  std::vector<std::string> texts;
  for (const auto& task : document.tasks()) {
    texts.push_back(task.text);
  }
  return texts;
}

using Texts = std::vector<std::string>;

// Every edit, and what takes it back, on any text.
void expect_undo(const std::string& text) {
  CAPTURE(text);
  auto document = read(text);
  auto count = document.lines().size();
  for (size_t at = 0; at <= count; ++at) {
    document.insert(at, {"one", "", "- [ ] two"});
    CHECK(document.lines().size() == count + 3);
    document.erase(at, 3);
    REQUIRE(document.text() == text);
  }
  for (size_t index = 0; index < document.tasks().size(); ++index) {
    auto before = document.tasks()[index];
    if (text[before.mark] == 'X' || before.text == "~~a~~ b") {
      continue;
    }
    for (auto state : {TaskState::open,
                       TaskState::started,
                       TaskState::done,
                       TaskState::dropped}) {
      document.set_state(document.tasks()[index], state);
      CHECK(document.tasks()[index].id == before.id);
      document.set_state(document.tasks()[index], before.state);
      REQUIRE(document.text() == text);
    }
  }
}

// A document of odd pieces, line endings and last lines.
std::string generated_text(std::mt19937& random) {
  const std::vector<std::string> pieces = {
      "- [ ] eins",    "* [x] zwei", "  - [/] \xE4\xB8\x89",
      "1. [ ] vier  ", "# Kopf",     "",
      "   ",           "```",        "<!--",
      "-->",           "text",       "===",
      "\t- [ ] tab",   "| a | b |",  "- [x] ~~weg~~",
      "- [x] ~~a~~ b", "> zitat",    "~~~",
      "- x",           "\xff\xfe",   "---"};
  const std::vector<std::string> endings = {"\n", "\r\n", "\r"};
  auto below = [&](size_t bound) {
    return static_cast<size_t>(random()) % bound;
  };
  std::string text = below(4) == 0 ? "\xEF\xBB\xBF" : "";
  auto usual = below(3);
  auto count = below(14);
  for (size_t line = 0; line < count; ++line) {
    auto ending = below(8) == 0 ? below(3) : usual;
    text += pieces[below(pieces.size())];
    // A bare CR before an empty line that ends in LF would be one ending.
    text += endings[ending == 2 ? 0 : ending];
  }
  if (count > 0 && below(2) == 0) {
    text += "last";
  }
  return text;
}

// A block written, renewed and taken out, or refused without a trace.
void expect_block_undo(const std::string& text) {
  CAPTURE(text);
  auto document = read(text);
  auto count = document.lines().size();
  try {
    write_block(document, "b", {"one", "", "| two |"});
  } catch (const Error& error) {
    // Code or a comment that is never closed would hide it.
    CHECK(error.finding().id == "project.ambiguous");
    return;
  }
  auto written = document.text();
  write_block(document, "b", {"other"});
  write_block(document, "b", {"one", "", "| two |"});
  CHECK(document.text() == written);
  document.erase(count, document.lines().size() - count);
  REQUIRE(document.text() == text);
}

}  // namespace

TEST_CASE("SHA-256 gives the digests of FIPS 180-4") {
  CHECK(sha256("abc") ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("tasks: every marker, nested, numbered, in three states") {
  auto document = read(
      "- [ ] a\n* [/] b\n  + [x] c\n1. [X] d\n   2) [ ] e\n- [ ] \n"
      "- [x] ~~f~~\n- [x] ~~g~~ h\n");
  CHECK(task_texts(document) ==
        Texts{"a", "b", "c", "d", "", "~~f~~", "~~g~~ h"});
  const auto& tasks = document.tasks();
  CHECK(tasks[1].state == TaskState::started);
  CHECK(tasks[2].depth == 1);
  CHECK(tasks[1].last == 2);
  CHECK(tasks[3].state == TaskState::done);
  CHECK(tasks[5].state == TaskState::dropped);
  CHECK(tasks[5].id == task_id("f"));
  CHECK(tasks[6].state == TaskState::done);
}

TEST_CASE("what is not a task: code, comments, quotes, links, words") {
  CHECK(read("```\n- [ ] a\n```\n~~~~ x\n- [ ] b\n~~~\n- [ ] c\n~~~~\n"
             "<!--\n- [ ] d\n-->\n    - [ ] e\n> - [ ] f\n- [x](g)\n"
             "- [y] h\n[ ] i\n-[ ] j\n<pre>\n- [ ] k\n</pre>\n"
             "words <!-- and\n- [ ] l -->\n-     [ ] m\n")
            .tasks()
            .empty());
  CHECK(read("---\n- [ ] front matter\n---\n").tasks().empty());
}

TEST_CASE("code and comments end where CommonMark ends them") {
  CHECK(task_texts(read("- ```\n  x\n- [ ] a\n")) == Texts{"a"});
  CHECK(task_texts(read("`<!--`\n- [ ] a\n")) == Texts{"a"});
  CHECK(task_texts(read("a <!-- b\n\n- [ ] c\n")) == Texts{"c"});
  CHECK(task_texts(read("```a`b\n- [ ] c\n")) == Texts{"c"});
  CHECK(task_texts(read("<!-- x -->\n- [ ] a\n")) == Texts{"a"});
  CHECK(task_texts(read("- a\nlazy\n    - [ ] b\n")) == Texts{"b"});
  CHECK(task_texts(read("\xEF\xBB\xBF- [ ] a\r\n\t- [ ] b\r- [ ] c")) ==
        Texts{"a", "b", "c"});
}

TEST_CASE("a task whose words are struck out in part is not dropped") {
  auto document = read("- [ ] ~~a~~ b\n");
  CHECK_THROWS_AS(document.set_state(document.tasks()[0], TaskState::dropped),
                  Error);
  CHECK(document.text() == "- [ ] ~~a~~ b\n");
}

TEST_CASE("headings: both kinds, closed or not, none in code or lists") {
  auto document =
      read("# A ##\n\nB\n===\n## C#\n```\n# D\n```\n- # E\n\nF\ng\n---\n#H\n");
  Texts titles;
  for (const auto& heading : document.headings()) {
    titles.push_back(heading.title);
  }
  CHECK(titles == Texts{"A", "B", "C#", "F g"});
  CHECK(document.find_heading("c#")->level == 2);
  CHECK(document.find_heading("D") == nullptr);
  auto section = document.section(*document.find_heading("A"));
  CHECK(section.first == 1);
  CHECK(section.last == 2);
  CHECK(document.path_of(5) == Texts{"B", "C#"});
}

TEST_CASE("two headings of one title are ambiguous, and said to be") {
  auto document = read("# A\n# a\n");
  CHECK_THROWS_AS(document.find_heading("A"), Error);
}

TEST_CASE("a block is replaced between its marks, or made at the end") {
  auto document =
      read("x\r\n<!-- assay:m -->\r\nold\r\n<!-- /assay:m -->\r\ny");
  document.set_block("m", {"new", "lines"});
  CHECK(document.text() ==
        "x\r\n<!-- assay:m -->\r\nnew\r\nlines\r\n<!-- /assay:m -->\r\ny");
  document.set_block("n", {"z"});
  CHECK(document.text().ends_with(
      "y\r\n\r\n<!-- assay:n -->\r\nz\r\n<!-- /assay:n -->"));
  auto before = document.text();
  document.set_block("n", {"z"});
  CHECK(document.text() == before);
}

TEST_CASE("marks that do not pair up are refused, nothing changed") {
  for (const auto* text : {"<!-- assay:m -->\n",
                           "<!-- /assay:m -->\n",
                           "<!-- assay:m -->\n<!-- /assay:n -->\n",
                           "<!-- assay:m -->\n<!-- assay:n -->\n",
                           "<!-- assay:m -->\n<!-- /assay:m -->\n"
                           "<!-- assay:m -->\n<!-- /assay:m -->\n"}) {
    CAPTURE(text);
    auto document = read(text);
    CHECK_THROWS_AS(document.set_block("m", {"x"}), Error);
    CHECK(document.text() == text);
  }
  CHECK_NOTHROW(read("```\n<!-- assay:m -->\n```\n").blocks());
  auto document = read("");
  CHECK_THROWS_AS(document.set_block("m", {"<!-- /assay:m -->"}), Error);
}

TEST_CASE("an edit taken back gives the same bytes: generated documents") {
  std::mt19937 random(7);
  for (int round = 0; round < 400; ++round) {
    auto text = generated_text(random);
    expect_undo(text);
    expect_block_undo(text);
  }
}

TEST_CASE("an edit taken back gives the same bytes: this project's own") {
  auto root = fs::path(ASSAY_TEST_DIR).parent_path();
  for (const auto* name : {"TODO.md",
                           "README.md",
                           "reference/LEARNINGS.md",
                           "reference/DIAGNOSTICS.md",
                           "reference/RESULTS.md",
                           "test/README.md"}) {
    auto text = read_text(root / name);
    auto document = Document(text, name);
    CHECK(!document.headings().empty());
    auto count = document.lines().size();
    for (size_t at = 0; at <= count; at += 7) {
      document.insert(at, {"- [ ] x"});
      document.erase(at, 1);
      REQUIRE(document.text() == text);
    }
    expect_block_undo(text);
  }
}
