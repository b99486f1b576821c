// The table of commands is the one definition: parser, help, manual page and
// completions must all show every entry of it.

#include <set>
#include <string>

#include <doctest/doctest.h>

#include "assay/cli/arguments.h"
#include "assay/cli/documents.h"

using namespace assay::cli;

namespace {

Request parse_words(std::vector<const char*> words) {
  words.insert(words.begin(), "assay");
  return parse(static_cast<int>(words.size()), words.data());
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("help, manual and completions show every command and option") {
  auto all = help_text(nullptr, 80);
  auto manual = man_page("1");
  for (const auto& command : commands()) {
    CAPTURE(command.name);
    auto own = help_text(&command, 80);
    CHECK(contains(all, command.name));
    CHECK(contains(all, command.summary));
    std::set<std::string_view> names;
    for (const auto& option : command.options) {
      CAPTURE(option.name);
      CHECK(names.insert(option.name).second);
      CHECK(option.name.starts_with("--"));
      CHECK(!option.help.empty());
      CHECK(contains(own, option.name));
      CHECK(contains(completions("bash"), option.name));
      CHECK(contains(completions("zsh"), option.name));
      CHECK(contains(completions("fish"), option.name.substr(2)));
    }
    std::string title;
    for (char c : command.name) {  // troff's own hyphen is another character
      title += c == '-' ? "\\-" : std::string(1, c);
    }
    CHECK(contains(manual, ".SS assay " + title + " "));
  }
}

TEST_CASE("a command line is checked before anything happens") {
  auto request = parse_words({"inspect", "a", "b", "--json"});
  REQUIRE(request.arguments);
  CHECK(request.arguments->all("MODEL") == std::vector<std::string>{"a", "b"});
  CHECK(request.arguments->flag("--json"));
  CHECK(!request.arguments->flag("--quiet"));

  CHECK_THROWS_AS(parse_words({"inspect"}), UsageError);
  CHECK_THROWS_AS(parse_words({"inspect", "a", "--no-such"}), UsageError);
  CHECK_THROWS_AS(parse_words({"fit", "a", "--context", "many"}), UsageError);
  CHECK_THROWS_AS(parse_words({"fit", "a", "--bits", "7"}), UsageError);
  CHECK_THROWS_AS(parse_words({"no-such"}), UsageError);
}

TEST_CASE("operands and options take one value each, unless they say so") {
  auto request = parse_words({"compare", "a", "b"});
  CHECK(request.arguments->text("A") == "a");
  CHECK(request.arguments->text("B") == "b");
  request = parse_words(
      {"generate", "--stop", "x", "m", "--stop", "y", "-p", "hello"});
  CHECK(request.arguments->text("MODEL") == "m");
  CHECK(request.arguments->all("--stop") == std::vector<std::string>{"x", "y"});
  CHECK_THROWS_AS(parse_words({"convert", "a", "b", "c"}), UsageError);
  CHECK_THROWS_AS(parse_words({"fit", "a", "--bits", "4", "--bits", "8"}),
                  UsageError);
}

TEST_CASE("fallbacks are those that the help shows") {
  auto request = parse_words({"fit", "a"});
  CHECK(request.arguments->integer("--context") == 0);
  CHECK(request.arguments->integer("--group-size") == 64);
  CHECK_THROWS_AS(request.arguments->integer("--no-such"), std::logic_error);
}

TEST_CASE("help is given for a command line that is not complete") {
  auto request = parse_words({"convert", "--help"});
  CHECK(request.kind == Request::Kind::help);
  REQUIRE(request.command != nullptr);
  CHECK(request.command->name == "convert");
}
