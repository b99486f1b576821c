#include "assay/mcp/stdio.h"

#include <sstream>

#include <doctest/doctest.h>

#include "support.h"

using namespace assay;
using namespace assay::mcp;
using namespace assay::mcp::test;

namespace {

std::vector<Json> serve(const std::string& input) {
  Server server(echo_server());
  std::istringstream in(input);
  std::ostringstream out;
  serve_stdio(server, in, out);
  std::vector<Json> answers;
  std::istringstream lines(out.str());
  for (std::string line; std::getline(lines, line);) {
    answers.push_back(Json::parse(line));
  }
  return answers;
}

std::string line(const std::string& method, int id) {
  Json message = {{"jsonrpc", "2.0"}, {"id", id}, {"method", method}};
  message["params"]["_meta"] = modern_meta();
  return message.dump() + "\n";
}

}  // namespace

TEST_CASE("each request gets one answer, the last line too") {
  auto text = line("tools/list", 1) + "\n" + line("none", 2);
  text.pop_back();  // no newline at the end
  auto answers = serve(text);
  REQUIRE(answers.size() == 2);
  CHECK(answers[0]["id"] == 1);
  CHECK(answers[0]["result"]["tools"].size() == 1);
  CHECK(answers[1]["error"]["code"] == kMethodNotFound);
}

TEST_CASE("what is no message is answered with an error, and work goes on") {
  auto answers = serve("{\n[1]\n\xff\xfe\n{\"id\":1}\n" +
                       std::string(R"({"jsonrpc":"2.0","method":"x"})") + "\n" +
                       line("tools/list", 9));
  REQUIRE(answers.size() == 4);
  CHECK(answers[0]["error"]["code"] == kParseError);
  CHECK_FALSE(answers[0].contains("id"));
  CHECK(answers[1]["error"]["code"] == kInvalidRequest);
  CHECK(answers[2]["error"]["code"] == kParseError);
  CHECK(answers[3]["id"] == 9);
}

TEST_CASE("a line without end is passed over") {
  auto answers =
      serve(std::string(20u << 20, 'x') + "\n" + line("tools/list", 3));
  REQUIRE(answers.size() == 2);
  CHECK(answers[0]["error"]["code"] == kInvalidRequest);
  CHECK(answers[1]["id"] == 3);
}
