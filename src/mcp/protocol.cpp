#include "assay/mcp/protocol.h"

#include <algorithm>

namespace assay::mcp {

int ProtocolError::http_status(Era era) const {
  if (code_ == kMethodNotFound) {
    return era == Era::modern ? 404 : 200;
  }
  if (code_ == kInternalError) {
    return era == Era::modern ? 500 : 200;
  }
  // Older clients read the body of a 200 only.
  return era == Era::modern || code_ == kParseError || code_ == kInvalidRequest
             ? 400
             : 200;
}

Json supported_versions() {
  Json versions = {kModernVersion};
  for (auto version : kLegacyVersions) {
    versions.push_back(version);
  }
  return versions;
}

bool is_legacy_version(std::string_view version) {
  return std::ranges::find(kLegacyVersions, version) != kLegacyVersions.end();
}

Json response(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json error_response(const std::optional<Json>& id,
                    int code,
                    std::string_view message,
                    const Json& data) {
  Json body = {{"jsonrpc", "2.0"}};
  if (id) {
    body["id"] = *id;
  }
  body["error"] = {{"code", code}, {"message", message}};
  if (!data.is_null()) {
    body["error"]["data"] = data;
  }
  return body;
}

Json notification(std::string_view method, Json params) {
  Json body = {{"jsonrpc", "2.0"}, {"method", method}};
  if (!params.is_null()) {
    body["params"] = std::move(params);
  }
  return body;
}

const Json* Request::input_response(std::string_view key) const {
  auto all = params.find("inputResponses");
  if (all == params.end()) {
    return nullptr;
  }
  if (!all->is_object()) {
    throw ProtocolError(kInvalidParams, "inputResponses must be an object");
  }
  auto one = all->find(key);
  return one == all->end() ? nullptr : &*one;
}

std::optional<std::string> Request::request_state() const {
  auto state = params.find("requestState");
  if (state == params.end()) {
    return std::nullopt;
  }
  if (!state->is_string()) {
    throw ProtocolError(kInvalidParams, "requestState must be a string");
  }
  return state->get<std::string>();
}

bool Request::client_has(std::string_view capability) const {
  return client_capabilities.is_object() &&
         client_capabilities.contains(capability);
}

void Request::need(std::string_view capability) const {
  if (!client_has(capability)) {
    Json required = Json::object();
    required[std::string(capability)] = Json::object();
    throw ProtocolError(
        kMissingCapability,
        "the client lacks the capability " + std::string(capability),
        {{"requiredCapabilities", std::move(required)}});
  }
}

void Request::progress(double done, double total) const {
  auto token = meta.find("progressToken");
  if (token != meta.end()) {
    send(notification(
        "notifications/progress",
        {{"progressToken", *token}, {"progress", done}, {"total", total}}));
  }
}

}  // namespace assay::mcp
