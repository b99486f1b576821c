#pragma once

// Requests as clients send them.

#include <map>
#include <string>

#include "assay/mcp/envelope.h"

namespace assay::mcp::test {

inline Json modern_meta(const std::string& version = "2026-07-28") {
  return {{meta_key::kVersion, version},
          {meta_key::kCapabilities, Json::object()}};
}

inline Request request(const std::string& method,
                       Json params = Json::object()) {
  return read_request({{"jsonrpc", "2.0"},
                       {"id", 1},
                       {"method", method},
                       {"params", std::move(params)}});
}

/** `params` with the fields that a modern request carries. */
inline Request modern_request(const std::string& method,
                              Json params = Json::object()) {
  params["_meta"] = modern_meta();
  return request(method, std::move(params));
}

/** Header names in lower case. */
inline Headers headers(std::map<std::string, std::string> all) {
  return [all = std::move(all)](
             std::string_view name) -> std::optional<std::string> {
    std::string key;
    for (char c : name) {
      key += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
    }
    auto entry = all.find(key);
    return entry == all.end() ? std::nullopt : std::optional(entry->second);
  };
}

/** The code of the ProtocolError that `action` throws; 0: none. */
template <class Action>
int error_of(Action&& action) {
  try {
    action();
  } catch (const ProtocolError& error) {
    return error.code();
  }
  return 0;
}

/** A server with one tool, which says what it was given. */
inline Definition echo_server() {
  Definition definition;
  definition.name = "echo";
  definition.version = "1";
  Json region = {{"type", "string"}, {"x-mcp-header", "Region"}};
  Tool echo;
  echo.name = "echo";
  echo.input_schema = {{"type", "object"},
                       {"properties", {{"region", region}}},
                       {"additionalProperties", false}};
  echo.call = [](const Json& arguments, Request&) {
    return text_result(arguments.dump());
  };
  definition.tools.push_back(std::move(echo));
  return definition;
}

}  // namespace assay::mcp::test
