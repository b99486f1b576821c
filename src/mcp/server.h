#pragma once

// A server's definition (tools, resources, prompts) and the answers to one
// message after another. Nothing is remembered between requests but, where a
// legacy client is asked something, which answers are awaited.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/mcp/protocol.h"

namespace assay::mcp {

struct Tool {
  std::string name;
  std::string title;
  std::string description;
  Json input_schema;
  /** Changes nothing; otherwise it writes, within the project. */
  bool read_only = true;
  bool idempotent = true;
  /** Gets arguments that follow the schema; returns a CallToolResult, or an
   * "input_required" result. What it throws becomes a result with "isError",
   * ProtocolError a JSON-RPC error. */
  std::function<Json(const Json&, Request&)> call;
};

struct Resource {
  std::string uri;
  std::string name;
  std::string title;
  std::string description;
  std::string mime_type;
  /** {"text": ...} or {"blob": base64}. */
  std::function<Json()> read;
};

struct ResourceTemplate {
  std::string uri_template;
  std::string name;
  std::string description;
  std::string mime_type;
  /** As Resource::read, or nothing where the URI is not one of its own. */
  std::function<std::optional<Json>(const std::string&)> read;
};

struct PromptArgument {
  std::string name;
  std::string description;
  bool required = false;
};

struct Prompt {
  std::string name;
  std::string title;
  std::string description;
  std::vector<PromptArgument> arguments;
  /** Returns a GetPromptResult. */
  std::function<Json(const Json&, Request&)> get;
};

struct Definition {
  std::string name;
  std::string title;
  std::string version;
  std::string instructions;
  std::vector<Tool> tools;
  /** Asked anew for each request: documents come and go. */
  std::function<std::vector<Resource>()> resources;
  std::vector<ResourceTemplate> templates;
  std::vector<Prompt> prompts;
  /** Capabilities that only a test's server has. */
  bool logging = false;
  bool subscriptions = false;

  const Tool* find_tool(std::string_view wanted) const;
};

/** The answer to a request, and the HTTP status that goes with it. */
struct Reply {
  Json body;
  int status = 200;
};

class Server {
 public:
  explicit Server(Definition definition);

  const Definition& definition() const { return definition_; }

  /** Answers one request: its method, params, era and means are set. Throws
   * nothing. */
  Reply answer(Request& request);

  /** Gives `request` the means to ask a legacy client, over its channel. */
  void let_ask(Request& request);
  /** A response of the client to something asked; unknown ids are ignored. */
  void deliver(const Json& response);

  /** Sends what changes to a stream of "subscriptions/listen", as its filter
   * allows; unsubscribe() ends it. */
  using Send = std::function<void(const Json&)>;
  uint64_t subscribe(const Request& request, Send send);
  void unsubscribe(uint64_t key);
  /** "tools/list_changed", or "resources/updated" with its URI. */
  void publish(std::string_view change, const std::string& uri = "");

 private:
  struct Subscriber {
    Json id;
    Json filter;
    Send send;
  };
  Json dispatch(Request& request);
  Json initialize(const Request& request) const;
  Json capabilities(Era era) const;
  Json server_info() const;
  Json list_tools() const;
  Json call_tool(Request& request) const;
  Json list_resources() const;
  Json read_resource(const Request& request) const;
  Json list_prompts() const;
  Json get_prompt(Request& request) const;
  Json complete(const Request& request) const;
  Json wait_for(const std::string& id);

  Definition definition_;
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::map<std::string, std::optional<Json>> awaited_;
  uint64_t asked_ = 0;
  std::map<uint64_t, Subscriber> subscribers_;
  uint64_t subscribed_ = 0;
};

/** The first message of a stream of changes: the part of the filter that is
 * honoured. */
Json acknowledgement(const Request& request, const Definition& definition);

/** Reads a message's envelope into a request: a method and an id. Throws
 * ProtocolError kInvalidRequest. */
Request read_request(const Json& message);

/** {"content": [{"type": "text"...}]}, with `structured` if it is an object. */
Json text_result(std::string text, Json structured = {});

}  // namespace assay::mcp
