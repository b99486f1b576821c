#include "assay/formats/quote.h"

#include <doctest/doctest.h>

using namespace assay;

TEST_CASE("text of a file cannot steer a terminal") {
  CHECK(quote("model.norm.weight") == "'model.norm.weight'");
  CHECK(quote("日本 é") == "'日本 é'");
  CHECK(quote("\x1b[31m\n") == "'\\x1b[31m\\x0a'");
  CHECK(quote("a\xffz") == "'a\\xffz'");
  // A control character of two bytes (U+009B, "CSI").
  CHECK(quote("\xc2\x9b") == "'\\xc2\\x9b'");
  auto cut = quote(std::string(5000, 'x'));
  CHECK(cut.size() < 200);
  CHECK(cut.ends_with("...'"));
}
