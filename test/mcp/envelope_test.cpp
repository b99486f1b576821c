#include <doctest/doctest.h>

#include "support.h"

using namespace assay;
using namespace assay::mcp;
using namespace assay::mcp::test;

TEST_CASE("a message that is no request is refused") {
  for (const auto* text :
       {R"([])",
        R"("tools/list")",
        R"({"id": 1, "method": "ping"})",
        R"({"jsonrpc": "1.0", "id": 1, "method": "ping"})",
        R"({"jsonrpc": "2.0", "id": null, "method": "ping"})",
        R"({"jsonrpc": "2.0", "id": 1.5, "method": "ping"})",
        R"({"jsonrpc": "2.0", "id": {}, "method": "ping"})",
        R"({"jsonrpc": "2.0", "id": 1, "method": 7})",
        R"({"jsonrpc": "2.0", "id": 1, "method": "x", "params": [1]})"}) {
    CAPTURE(text);
    CHECK(error_of([&] { read_request(Json::parse(text)); }) ==
          kInvalidRequest);
  }
}

TEST_CASE("on stdio a legacy client shakes hands first") {
  auto list = request("tools/list");
  CHECK(error_of([&] { open_on_stdio(list, false); }) == kInvalidParams);
  auto initialize = request("initialize");
  open_on_stdio(initialize, false);
  CHECK(initialize.era == Era::legacy);
  auto later = request("tools/list");
  open_on_stdio(later, true);
  CHECK(later.era == Era::legacy);
  auto modern = modern_request("tools/list");
  open_on_stdio(modern, true);  // both may use one process
  CHECK(modern.era == Era::modern);
}

TEST_CASE("a modern request names its version and capabilities") {
  Json meta = modern_meta();
  meta.erase(meta_key::kCapabilities);
  auto lacking = request("tools/list", {{"_meta", meta}});
  CHECK(error_of([&] { open_on_stdio(lacking, false); }) == kInvalidParams);
  auto unknown = request("tools/list", {{"_meta", modern_meta("1900-01-01")}});
  CHECK(error_of([&] { open_on_stdio(unknown, false); }) ==
        kUnsupportedVersion);
}

TEST_CASE("headers must say what the body says") {
  const auto definition = echo_server();
  const std::map<std::string, std::string> right = {
      {"mcp-protocol-version", "2026-07-28"},
      {"mcp-method", "tools/call"},
      {"mcp-name", "echo"},
      {"mcp-param-region", "us-west1"}};
  auto with = [&](const std::string& name, const std::string& value) {
    auto changed = right;
    if (value.empty()) {
      changed.erase(name);
    } else {
      changed[name] = value;
    }
    auto call = modern_request(
        "tools/call",
        {{"name", "echo"}, {"arguments", {{"region", "us-west1"}}}});
    return error_of([&] { open_on_http(call, definition, headers(changed)); });
  };
  CHECK(with("other", "x") == 0);
  CHECK(with("mcp-name", "=?base64?ZWNobw==?=") == 0);
  CHECK(with("mcp-name", "  echo ") == 0);
  for (const auto* name :
       {"mcp-protocol-version", "mcp-method", "mcp-name", "mcp-param-region"}) {
    CAPTURE(name);
    CHECK(with(name, "") == kHeaderMismatch);
    CHECK(with(name, "other") == kHeaderMismatch);
  }
  CHECK(with("mcp-method", "Tools/Call") == kHeaderMismatch);
  CHECK(with("mcp-name", "=?base64?ZWNob?=") == kHeaderMismatch);
  CHECK(with("mcp-name", "=?base64?ZW=obw==?=") == kHeaderMismatch);
  CHECK(with("mcp-name", "ech\x01o") == kHeaderMismatch);
}

TEST_CASE("over HTTP a request without modern signs is a legacy one") {
  const auto definition = echo_server();
  for (const auto& all : {std::map<std::string, std::string>(),
                          {{"mcp-protocol-version", "2025-06-18"}}}) {
    auto list = request("tools/list");
    open_on_http(list, definition, headers(all));
    CHECK(list.era == Era::legacy);
  }
  auto unknown = request("tools/list");
  CHECK(error_of([&] {
          open_on_http(unknown,
                       definition,
                       headers({{"mcp-protocol-version", "2030-01-01"}}));
        }) == kInvalidParams);
}

TEST_CASE("only this machine's names are local") {
  for (const auto* host :
       {"localhost", "LOCALHOST:80", "127.0.0.1:3000", "[::1]:1"}) {
    CHECK(is_local_host(host));
  }
  for (const auto* host : {"",
                           "evil.example",
                           "localhost.evil.example",
                           "127.0.0.1.evil.example:80",
                           "[::1].evil.example",
                           "0.0.0.0"}) {
    CAPTURE(host);
    CHECK_FALSE(is_local_host(host));
  }
  CHECK(is_local_origin("http://localhost:8080"));
  CHECK_FALSE(is_local_origin("null"));
  CHECK_FALSE(is_local_origin("http://localhost@evil.example"));
  CHECK_FALSE(is_local_origin("http://localhost:x@evil.example"));
  CHECK_FALSE(is_local_origin("file://"));
}
