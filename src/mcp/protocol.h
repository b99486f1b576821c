#pragma once

// The Model Context Protocol's messages: JSON-RPC 2.0 in the revision
// 2026-07-28 (each request by itself) and the older ones that start with a
// handshake. Knows no transport and none of Assay's verbs.

#include <array>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "assay/core/json.h"

namespace assay::mcp {

/** Whose rules a request follows. */
enum class Era { legacy, modern };

inline constexpr std::string_view kModernVersion = "2026-07-28";
/** Newest first. */
inline constexpr std::array<std::string_view, 3> kLegacyVersions = {
    "2025-11-25", "2025-06-18", "2025-03-26"};

namespace meta_key {
inline constexpr const char* kVersion =
    "io.modelcontextprotocol/protocolVersion";
inline constexpr const char* kCapabilities =
    "io.modelcontextprotocol/clientCapabilities";
inline constexpr const char* kServer = "io.modelcontextprotocol/serverInfo";
inline constexpr const char* kLogLevel = "io.modelcontextprotocol/logLevel";
inline constexpr const char* kSubscription =
    "io.modelcontextprotocol/subscriptionId";
}  // namespace meta_key

enum ErrorCode : int {
  kParseError = -32700,
  kInvalidRequest = -32600,
  kMethodNotFound = -32601,
  kInvalidParams = -32602,
  kInternalError = -32603,
  kHeaderMismatch = -32020,
  kMissingCapability = -32021,
  kUnsupportedVersion = -32022,
};

/** Ends a request with a JSON-RPC error. */
class ProtocolError : public std::runtime_error {
 public:
  ProtocolError(ErrorCode code, const std::string& message, Json data = {})
      : std::runtime_error(message), code_(code), data_(std::move(data)) {}
  ErrorCode code() const { return code_; }
  const Json& data() const { return data_; }
  /** The status that goes with it over HTTP. */
  int http_status(Era era) const;

 private:
  ErrorCode code_;
  Json data_;
};

/** All versions that are spoken, the newest first. */
Json supported_versions();
bool is_legacy_version(std::string_view version);

Json response(const Json& id, Json result);
/** Without an id where the request's could not be read. */
Json error_response(const std::optional<Json>& id,
                    int code,
                    std::string_view message,
                    const Json& data = {});
Json notification(std::string_view method, Json params);

/** One request while it is worked on, and what it may do meanwhile. */
struct Request {
  Json id;
  std::string method;
  Json params = Json::object();
  Era era = Era::legacy;
  /** What the client said it can do; over HTTP a legacy client's are not
   * known. */
  Json client_capabilities = Json::object();
  /** "_meta" of the params. */
  Json meta = Json::object();

  /** Sends a notification that belongs to this request. */
  std::function<void(const Json&)> send = [](const Json&) {};
  /** Asks a legacy client something, and waits for its result. Throws
   * ProtocolError where it refuses or takes too long. */
  std::function<Json(std::string_view, const Json&)> ask;
  std::function<bool()> cancelled = [] { return false; };

  /** The client's answers to an earlier "input_required" result. */
  const Json* input_response(std::string_view key) const;
  std::optional<std::string> request_state() const;
  bool client_has(std::string_view capability) const;
  /** Throws ProtocolError kMissingCapability. */
  void need(std::string_view capability) const;
  /** Sends notifications/progress where the client asked for them. */
  void progress(double done, double total) const;
};

}  // namespace assay::mcp
