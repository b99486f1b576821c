#include "assay/mcp/server.h"

#include <algorithm>
#include <array>
#include <chrono>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/core/finding_json.h"
#include "assay/mcp/schema.h"

namespace assay::mcp {
namespace {

constexpr std::chrono::seconds kPatience(60);  // for a client's answer
constexpr int kTimeToLive = 60'000;  // milliseconds; lists seldom change

const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  auto entry = object.find(name);
  return entry == object.end() ? kNone : *entry;
}

std::string argument_text(const Json& params, const char* name) {
  const auto& value = member(params, name);
  if (!value.is_string()) {
    throw ProtocolError(kInvalidParams,
                        fmt::format("params.{} must be a string", name));
  }
  return value.get<std::string>();
}

// Lists are short: there is one page, and a cursor is never handed out.
void refuse_cursor(const Json& params) {
  if (params.contains("cursor")) {
    throw ProtocolError(kInvalidParams, "unknown cursor");
  }
}

bool is_cacheable(std::string_view method) {
  return method == "server/discover" || method == "tools/list" ||
         method == "prompts/list" || method == "resources/list" ||
         method == "resources/templates/list" || method == "resources/read";
}

Json error_result(const Finding& finding) {
  auto result = text_result(to_text(finding));
  result["structuredContent"] = {{"error", to_json(finding)}};
  result["isError"] = true;
  return result;
}

Json contents(const std::string& uri,
              const std::string& mime_type,
              const Json& read) {
  Json entry = {{"uri", uri}, {"mimeType", mime_type}};
  entry.update(read);
  return {{"contents", Json::array({std::move(entry)})}};
}

// Names of changes, and the fields of a filter that ask for them.
constexpr std::array<std::pair<std::string_view, const char*>, 3> kChanges = {
    {{"tools/list_changed", "toolsListChanged"},
     {"prompts/list_changed", "promptsListChanged"},
     {"resources/list_changed", "resourcesListChanged"}}};

Json honoured(const Request& request, const Definition& definition) {
  const auto& asked = member(request.params, "notifications");
  Json filter = Json::object();
  if (!definition.subscriptions || !asked.is_object()) {
    return filter;
  }
  for (const auto& [change, field] : kChanges) {
    if (member(asked, field) == Json(true)) {
      filter[field] = true;
    }
  }
  if (member(asked, "resourceSubscriptions").is_array()) {
    filter["resourceSubscriptions"] = asked["resourceSubscriptions"];
  }
  return filter;
}

bool wants(const Json& filter,
           std::string_view change,
           const std::string& uri) {
  for (const auto& [name, field] : kChanges) {
    if (name == change) {
      return filter.contains(field);
    }
  }
  const auto& list = member(filter, "resourceSubscriptions");
  return list.is_array() && std::ranges::find(list, Json(uri)) != list.end();
}

}  // namespace

Json acknowledgement(const Request& request, const Definition& definition) {
  return notification("notifications/subscriptions/acknowledged",
                      {{"_meta", {{meta_key::kSubscription, request.id}}},
                       {"notifications", honoured(request, definition)}});
}

const Tool* Definition::find_tool(std::string_view wanted) const {
  auto tool = std::ranges::find(tools, wanted, &Tool::name);
  return tool == tools.end() ? nullptr : &*tool;
}

Json text_result(std::string text, Json structured) {
  Json result = {
      {"content",
       Json::array({{{"type", "text"}, {"text", std::move(text)}}})}};
  if (structured.is_object()) {
    result["structuredContent"] = std::move(structured);
  }
  return result;
}

Request read_request(const Json& message) {
  if (!message.is_object() || member(message, "jsonrpc") != Json("2.0") ||
      !member(message, "method").is_string()) {
    throw ProtocolError(kInvalidRequest,
                        "one JSON-RPC 2.0 message with a method is expected");
  }
  Request request;
  request.method = message["method"].get<std::string>();
  auto id = message.find("id");
  if (id != message.end()) {
    if (!id->is_string() && !id->is_number_integer()) {
      throw ProtocolError(kInvalidRequest, "an id is a string or an integer");
    }
    request.id = *id;
  }
  auto params = message.find("params");
  if (params != message.end()) {
    if (!params->is_object()) {
      throw ProtocolError(kInvalidRequest, "params must be an object");
    }
    request.params = *params;
  }
  const auto& meta = member(request.params, "_meta");
  if (meta.is_object()) {
    request.meta = meta;
  }
  return request;
}

Server::Server(Definition definition) : definition_(std::move(definition)) {
  if (!definition_.resources) {
    definition_.resources = [] { return std::vector<Resource>(); };
  }
}

Reply Server::answer(Request& request) {
  try {
    auto result = dispatch(request);
    if (request.era == Era::modern) {
      if (!result.contains("resultType")) {
        result["resultType"] = "complete";
      }
      result["_meta"][meta_key::kServer] = server_info();
      if (is_cacheable(request.method)) {
        result["ttlMs"] = request.method == "resources/read" ? 0 : kTimeToLive;
        result["cacheScope"] = "private";
      }
    }
    return {response(request.id, std::move(result)), 200};
  } catch (const ProtocolError& error) {
    return {
        error_response(request.id, error.code(), error.what(), error.data()),
        error.http_status(request.era)};
  } catch (const std::exception& error) {
    ProtocolError internal(kInternalError, error.what());
    return {error_response(request.id, internal.code(), error.what()),
            internal.http_status(request.era)};
  }
}

Json Server::dispatch(Request& request) {
  const auto& method = request.method;
  bool modern = request.era == Era::modern;
  if (modern && method == "server/discover") {
    return {{"supportedVersions", supported_versions()},
            {"capabilities", capabilities(Era::modern)},
            {"instructions", definition_.instructions}};
  }
  if (!modern && method == "initialize") {
    return initialize(request);
  }
  if (!modern && method == "ping") {
    return Json::object();
  }
  if (!modern && method == "logging/setLevel" && definition_.logging) {
    argument_text(request.params, "level");
    return Json::object();
  }
  if (!modern && definition_.subscriptions &&
      (method == "resources/subscribe" || method == "resources/unsubscribe")) {
    argument_text(request.params, "uri");
    return Json::object();
  }
  if (method == "tools/list") {
    refuse_cursor(request.params);
    return list_tools();
  }
  if (method == "tools/call") {
    return call_tool(request);
  }
  if (method == "resources/list") {
    refuse_cursor(request.params);
    return list_resources();
  }
  if (method == "resources/templates/list") {
    refuse_cursor(request.params);
    Json list = Json::array();
    for (const auto& one : definition_.templates) {
      list.push_back({{"uriTemplate", one.uri_template},
                      {"name", one.name},
                      {"description", one.description},
                      {"mimeType", one.mime_type}});
    }
    return {{"resourceTemplates", std::move(list)}};
  }
  if (method == "resources/read") {
    return read_resource(request);
  }
  if (method == "prompts/list") {
    refuse_cursor(request.params);
    return list_prompts();
  }
  if (method == "prompts/get") {
    return get_prompt(request);
  }
  if (method == "completion/complete") {
    return complete(request);
  }
  throw ProtocolError(kMethodNotFound, "unknown method " + method);
}

// A version that is not spoken is answered with the newest that is.
Json Server::initialize(const Request& request) const {
  auto asked = argument_text(request.params, "protocolVersion");
  auto version =
      is_legacy_version(asked) ? asked : std::string(kLegacyVersions.front());
  return {{"protocolVersion", version},
          {"capabilities", capabilities(Era::legacy)},
          {"serverInfo", server_info()},
          {"instructions", definition_.instructions}};
}

Json Server::capabilities(Era era) const {
  Json all = {{"tools", Json::object()},
              {"resources", Json::object()},
              {"prompts", Json::object()},
              {"completions", Json::object()}};
  if (definition_.logging) {
    all["logging"] = Json::object();
  }
  if (definition_.subscriptions) {
    all["resources"]["subscribe"] = true;
    if (era == Era::modern) {
      all["tools"]["listChanged"] = true;
      all["prompts"]["listChanged"] = true;
    }
  }
  return all;
}

Json Server::server_info() const {
  return {{"name", definition_.name},
          {"title", definition_.title},
          {"version", definition_.version}};
}

Json Server::list_tools() const {
  Json list = Json::array();
  for (const auto& tool : definition_.tools) {
    Json entry = {{"name", tool.name}};
    if (!tool.title.empty()) {
      entry["title"] = tool.title;
    }
    entry["description"] = tool.description;
    entry["inputSchema"] = tool.input_schema;
    entry["annotations"] = {{"readOnlyHint", tool.read_only},
                            {"openWorldHint", false}};
    if (!tool.read_only) {
      entry["annotations"]["destructiveHint"] = false;
      entry["annotations"]["idempotentHint"] = tool.idempotent;
    }
    list.push_back(std::move(entry));
  }
  return {{"tools", std::move(list)}};
}

Json Server::call_tool(Request& request) const {
  auto name = argument_text(request.params, "name");
  const auto* tool = definition_.find_tool(name);
  if (tool == nullptr) {
    throw ProtocolError(kInvalidParams, "unknown tool " + Json(name).dump());
  }
  auto arguments = request.params.value("arguments", Json::object());
  auto wrong = schema_violation(arguments, tool->input_schema);
  if (!wrong.empty()) {
    // Said to the model, which can mend its call.
    auto result = text_result(wrong);
    result["isError"] = true;
    return result;
  }
  try {
    return tool->call(arguments, request);
  } catch (const ProtocolError&) {
    throw;
  } catch (const Error& error) {
    return error_result(error.finding());
  } catch (const std::bad_alloc&) {
    throw ProtocolError(kInternalError, "out of memory");
  } catch (const std::exception& error) {
    auto result = text_result(error.what());
    result["isError"] = true;
    return result;
  }
}

Json Server::list_resources() const {
  Json list = Json::array();
  for (const auto& resource : definition_.resources()) {
    list.push_back({{"uri", resource.uri},
                    {"name", resource.name},
                    {"title", resource.title},
                    {"description", resource.description},
                    {"mimeType", resource.mime_type}});
  }
  return {{"resources", std::move(list)}};
}

Json Server::read_resource(const Request& request) const {
  auto uri = argument_text(request.params, "uri");
  for (const auto& resource : definition_.resources()) {
    if (resource.uri == uri) {
      return contents(uri, resource.mime_type, resource.read());
    }
  }
  for (const auto& one : definition_.templates) {
    if (auto read = one.read(uri)) {
      return contents(uri, one.mime_type, *read);
    }
  }
  throw ProtocolError(kInvalidParams, "Resource not found", {{"uri", uri}});
}

Json Server::list_prompts() const {
  Json list = Json::array();
  for (const auto& prompt : definition_.prompts) {
    Json arguments = Json::array();
    for (const auto& argument : prompt.arguments) {
      arguments.push_back({{"name", argument.name},
                           {"description", argument.description},
                           {"required", argument.required}});
    }
    list.push_back({{"name", prompt.name},
                    {"title", prompt.title},
                    {"description", prompt.description},
                    {"arguments", std::move(arguments)}});
  }
  return {{"prompts", std::move(list)}};
}

Json Server::get_prompt(Request& request) const {
  auto name = argument_text(request.params, "name");
  auto prompt = std::ranges::find(definition_.prompts, name, &Prompt::name);
  if (prompt == definition_.prompts.end()) {
    throw ProtocolError(kInvalidParams, "unknown prompt " + Json(name).dump());
  }
  auto arguments = request.params.value("arguments", Json::object());
  for (const auto& argument : prompt->arguments) {
    const auto& value = member(arguments, argument.name.c_str());
    if (argument.required ? !value.is_string()
                          : !value.is_string() && !value.is_null()) {
      throw ProtocolError(
          kInvalidParams,
          fmt::format("argument {} must be a string", argument.name));
    }
  }
  return prompt->get(arguments, request);
}

// Suggestions: names of models would mean a search of the disk. None are made.
Json Server::complete(const Request& request) const {
  if (!member(request.params, "ref").is_object() ||
      !member(request.params, "argument").is_object()) {
    throw ProtocolError(kInvalidParams, "params.ref and params.argument");
  }
  return {{"completion",
           {{"values", Json::array()}, {"total", 0}, {"hasMore", false}}}};
}

void Server::let_ask(Request& request) {
  request.ask = [this, send = request.send](std::string_view method,
                                            const Json& params) {
    std::string id;
    {
      std::scoped_lock lock(mutex_);
      id = fmt::format("assay-{}", ++asked_);
      awaited_.emplace(id, std::nullopt);
    }
    send({{"jsonrpc", "2.0"},
          {"id", id},
          {"method", method},
          {"params", params}});
    auto answer = wait_for(id);
    if (answer.contains("error")) {
      throw ProtocolError(kInternalError,
                          "the client refused " + std::string(method));
    }
    return member(answer, "result");
  };
}

Json Server::wait_for(const std::string& id) {
  std::unique_lock lock(mutex_);
  bool came = arrived_.wait_for(
      lock, kPatience, [&] { return awaited_[id].has_value(); });
  auto answer = std::move(awaited_[id]);
  awaited_.erase(id);
  if (!came) {
    throw ProtocolError(kInternalError, "the client did not answer");
  }
  return std::move(*answer);
}

void Server::deliver(const Json& message) {
  const auto& id = member(message, "id");
  std::scoped_lock lock(mutex_);
  auto entry =
      id.is_string() ? awaited_.find(id.get<std::string>()) : awaited_.end();
  if (entry != awaited_.end()) {
    entry->second = message;
    arrived_.notify_all();
  }
}

uint64_t Server::subscribe(const Request& request, Send send) {
  std::scoped_lock lock(mutex_);
  subscribers_.emplace(
      ++subscribed_,
      Subscriber{request.id, honoured(request, definition_), std::move(send)});
  return subscribed_;
}

void Server::unsubscribe(uint64_t key) {
  std::scoped_lock lock(mutex_);
  subscribers_.erase(key);
}

void Server::publish(std::string_view change, const std::string& uri) {
  std::scoped_lock lock(mutex_);
  for (const auto& [key, subscriber] : subscribers_) {
    if (wants(subscriber.filter, change, uri)) {
      Json params = {{"_meta", {{meta_key::kSubscription, subscriber.id}}}};
      if (!uri.empty()) {
        params["uri"] = uri;
      }
      subscriber.send(notification(fmt::format("notifications/{}", change),
                                   std::move(params)));
    }
  }
}

}  // namespace assay::mcp
