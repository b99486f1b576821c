// Stop texts that arrive in pieces.

#include "assay/generate/stop_text.h"

#include <doctest/doctest.h>

using assay::StopText;

TEST_CASE("without stop texts everything passes at once") {
  StopText stop({});
  CHECK(stop.push("one") == "one");
  CHECK(stop.push(" two") == " two");
  CHECK(stop.finish().empty());
  CHECK(stop.matched().empty());
}

TEST_CASE("a stop text is found across pieces, and nothing of it shows") {
  StopText stop({"\n\nUser:"});
  CHECK(stop.push("Hello.\n") == "Hello.");
  CHECK(stop.push("\nUs").empty());
  CHECK(stop.push("er: next").empty());
  CHECK(stop.matched() == "\n\nUser:");
  CHECK(stop.push("more").empty());
  CHECK(stop.finish().empty());
}

TEST_CASE("what only looked like the beginning comes out") {
  StopText stop({"</s>"});
  CHECK(stop.push("a <") == "a ");
  CHECK(stop.push("/") == "");
  CHECK(stop.push("b>") == "</b>");
  CHECK(stop.push("</") == "");
  CHECK(stop.finish() == "</");
  CHECK(stop.matched().empty());
}

TEST_CASE("a beginning may start inside another") {
  StopText stop({"aab"});
  CHECK(stop.push("aaa") == "a");
  CHECK(stop.push("b").empty());
  CHECK(stop.matched() == "aab");
}

TEST_CASE("of several stop texts the first in the text counts") {
  StopText stop({"END", "stop"});
  CHECK(stop.push("one stop two END") == "one ");
  CHECK(stop.matched() == "stop");
}

TEST_CASE("empty stop texts are no stop texts") {
  StopText stop({""});
  CHECK(stop.push("text") == "text");
}
