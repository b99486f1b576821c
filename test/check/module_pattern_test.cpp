// Patterns of modules match what Python's re.fullmatch matches, or are not
// read at all.

#include "assay/check/module_pattern.h"

#include <filesystem>
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/json.h"

using namespace assay;

TEST_CASE("patterns match as Python's re does") {
  auto path =
      std::filesystem::path(ASSAY_TEST_DIR) / "golden/module_patterns.json";
  auto golden = parse_json(read_text(path), path.string());
  size_t compared = 0;
  // What takes a machine with memory is refused, whatever Python says.
  const std::set<std::string> refused = {
      "(?=a)a.*", "(a)\\1b", "\\bq.*", "(?i)Q_PROJ", "a++b"};
  for (const auto& row : golden["rows"]) {
    auto text = row["pattern"].get<std::string>();
    CAPTURE(text);
    auto pattern = ModulePattern::read(text);
    if (row.contains("error") || refused.contains(text)) {
      CHECK(!pattern);
      continue;
    }
    REQUIRE(pattern);
    for (size_t i = 0; i < golden["names"].size(); ++i) {
      auto name = golden["names"][i].get<std::string>();
      CAPTURE(name);
      CHECK(pattern->matches(name) == row["matches"][i].get<bool>());
      ++compared;
    }
  }
  CHECK(compared > 350);
}

TEST_CASE("patterns and names that make other engines slow end at once") {
  auto pattern = ModulePattern::read("(a*)*(a*)*(a|aa)+b");
  REQUIRE(pattern);
  CHECK(!pattern->matches(std::string(20'000, 'a')));
  CHECK(!ModulePattern::read("((a{100}){100}){100}"));
  CHECK(!ModulePattern::read(std::string(3000, '(')));
  CHECK(!ModulePattern::read(std::string(5000, 'a')));
}
