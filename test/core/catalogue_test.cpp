#include "assay/core/catalogue.h"

#include <algorithm>

#include <doctest/doctest.h>

using namespace assay;

TEST_CASE("every entry is complete, and its id is its own") {
  auto entries = catalogue();
  CHECK(std::ranges::adjacent_find(entries,
                                   std::ranges::greater_equal{},
                                   &CatalogueEntry::id) == entries.end());
  for (const auto& entry : entries) {
    CAPTURE(entry.id);
    CHECK(find_entry(entry.id) == &entry);
    CHECK(!entry.title.empty());
    CHECK(!entry.cause.empty());
    CHECK(!entry.remedy.empty());
  }
}

TEST_CASE("a finding takes its cause and remedy from the catalogue") {
  auto finding = make_finding("file.exists", "out", "nothing", "a folder");
  CHECK(finding.cause == find_entry("file.exists")->cause);
  CHECK(to_line(finding) ==
        "[error] file.exists out: expected nothing, found a folder");
  CHECK_THROWS_AS(make_finding("no.such", "", "", ""), std::logic_error);
}
