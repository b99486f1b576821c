#include "assay/mcp/conformance.h"

#include <chrono>
#include <random>
#include <thread>

#include <fmt/format.h>

namespace assay::mcp {
namespace {

// One red pixel, and a sound of no length.
constexpr const char* kPng =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGA"
    "hKmMIQAAAABJRU5ErkJggg==";
constexpr const char* kWav =
    "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQAAAAA=";

void pause() {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
}

Json object_schema(Json properties = Json::object(),
                   Json required = Json::array()) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)}};
}

Json text(const std::string& words) {
  return {{"type", "text"}, {"text", words}};
}

Json image() {
  return {{"type", "image"}, {"data", kPng}, {"mimeType", "image/png"}};
}

Json embedded(const std::string& uri,
              const std::string& mime_type,
              const std::string& words) {
  return {
      {"type", "resource"},
      {"resource", {{"uri", uri}, {"mimeType", mime_type}, {"text", words}}}};
}

Json content(Json parts) {
  return {{"content", std::move(parts)}};
}

Json user_message(Json part) {
  return {{"role", "user"}, {"content", std::move(part)}};
}

using Call = std::function<Json(const Json&, Request&)>;

Tool tool(const std::string& name, Call call, Json schema = object_schema()) {
  return {.name = name,
          .title = name,
          .description = "For the conformance suite: " + name,
          .input_schema = std::move(schema),
          .call = std::move(call)};
}

Tool fixed(const std::string& name, Json result) {
  return tool(name, [result = std::move(result)](const Json&, Request&) {
    return result;
  });
}

// What a client is asked for.
Json elicitation(const std::string& message, Json schema) {
  return {{"message", message}, {"requestedSchema", std::move(schema)}};
}

Json sampling(const std::string& words, int most) {
  return {{"messages", Json::array({user_message(text(words))})},
          {"maxTokens", most}};
}

Json input(std::string_view method, Json params) {
  return {{"method", method}, {"params", std::move(params)}};
}

Json one_field(const char* field, const char* type) {
  Json properties = Json::object();
  properties[field] = {{"type", type}};
  return object_schema(std::move(properties), Json::array({field}));
}

Json input_required(Json requests, const std::string& state = "") {
  Json result = {{"resultType", "input_required"},
                 {"inputRequests", std::move(requests)}};
  if (!state.empty()) {
    result["requestState"] = state;
  }
  return result;
}

// States that this process gave out; any other was made up or changed.
class States {
 public:
  std::string give(const std::string& label) const {
    return secret_ + "." + label;
  }
  void require(const Request& request, const std::string& label) const {
    if (request.request_state() != give(label)) {
      throw ProtocolError(kInvalidParams,
                          "requestState is not the one that was given");
    }
  }

 private:
  static std::string random_hex() {
    std::random_device device;
    return fmt::format(
        "{:08x}{:08x}{:08x}{:08x}", device(), device(), device(), device());
  }
  std::string secret_ = random_hex();
};

const Json& field(const Json* response, const char* name) {
  static const Json kNone;
  if (response == nullptr || !response->is_object()) {
    return kNone;
  }
  auto entry = response->find(name);
  return entry == response->end() ? kNone : *entry;
}

Json ask_legacy(Request& request,
                std::string_view method,
                const Json& params,
                const std::string& before) {
  if (!request.ask) {
    throw ProtocolError(kInvalidRequest,
                        "a client of this revision is not asked so");
  }
  auto answer = request.ask(method, params);
  return content(Json::array({text(before + answer.dump())}));
}

Json enum_schema() {
  auto titled = [](const char* first, const char* second) {
    return Json::array({{{"const", "value1"}, {"title", first}},
                        {{"const", "value2"}, {"title", second}}});
  };
  Json plain = {"option1", "option2", "option3"};
  return object_schema(
      {{"untitledSingle", {{"type", "string"}, {"enum", plain}}},
       {"titledSingle",
        {{"type", "string"}, {"oneOf", titled("First Option", "Second")}}},
       {"legacyEnum",
        {{"type", "string"},
         {"enum", {"opt1", "opt2", "opt3"}},
         {"enumNames", {"Option One", "Option Two", "Option Three"}}}},
       {"untitledMulti",
        {{"type", "array"}, {"items", {{"type", "string"}, {"enum", plain}}}}},
       {"titledMulti",
        {{"type", "array"},
         {"items", {{"anyOf", titled("First Choice", "Second")}}}}}});
}

Json default_schema() {
  auto with = [](const char* type, Json value) {
    return Json({{"type", type}, {"default", std::move(value)}});
  };
  auto status = with("string", "active");
  status["enum"] = {"active", "inactive", "pending"};
  return object_schema({{"name", with("string", "John Doe")},
                        {"age", with("integer", 30)},
                        {"score", with("number", 95.5)},
                        {"status", status},
                        {"verified", with("boolean", true)}});
}

void add_contents(std::vector<Tool>& tools) {
  tools.push_back(fixed("test_simple_text",
                        content(Json::array({text(
                            "This is a simple text response for testing.")}))));
  tools.push_back(fixed("test_image_content", content(Json::array({image()}))));
  tools.push_back(fixed(
      "test_audio_content",
      content(Json::array(
          {{{"type", "audio"}, {"data", kWav}, {"mimeType", "audio/wav"}}}))));
  tools.push_back(fixed("test_embedded_resource",
                        content(Json::array({embedded(
                            "test://embedded-resource",
                            "text/plain",
                            "This is an embedded resource content.")}))));
  tools.push_back(fixed(
      "test_multiple_content_types",
      content(Json::array({text("Multiple content types test:"),
                           image(),
                           embedded("test://mixed-content-resource",
                                    "application/json",
                                    R"({"test":"data","value":123})")}))));
  auto failing =
      content(Json::array({text("This tool intentionally returns an error for "
                                "testing")}));
  failing["isError"] = true;
  tools.push_back(fixed("test_error_handling", failing));
  Json street = {{"street", {{"type", "string"}}},
                 {"city", {{"type", "string"}}}};
  Json word = {{"type", "string"}};
  Json method = {{"type", "string"}, {"enum", {"phone", "email"}}};
  Json schema = object_schema({{"name", word},
                               {"address", {{"$ref", "#/$defs/address"}}},
                               {"contactMethod", method},
                               {"phone", word},
                               {"email", word}});
  schema.erase("required");
  schema["$schema"] = "https://json-schema.org/draft/2020-12/schema";
  schema["$defs"]["address"] = {
      {"$anchor", "addressDef"}, {"type", "object"}, {"properties", street}};
  Json phone = {{"required", {"phone"}}};
  Json email = {{"required", {"email"}}};
  schema["allOf"] = Json::array({Json{{"anyOf", Json::array({phone, email})}}});
  schema["if"] = {{"properties", {{"contactMethod", {{"const", "phone"}}}}},
                  {"required", {"contactMethod"}}};
  schema["then"] = phone;
  schema["else"] = email;
  schema["additionalProperties"] = false;
  tools.push_back(tool(
      "json_schema_2020_12_tool",
      [](const Json& arguments, Request&) {
        return text_result(arguments.dump());
      },
      schema));
  tools.push_back(tool(
      "test_custom_header",
      [](const Json& arguments, Request&) {
        return text_result(arguments.dump());
      },
      object_schema(
          {{"region", {{"type", "string"}, {"x-mcp-header", "Region"}}}})));
}

void add_notifying(std::vector<Tool>& tools,
                   const std::shared_ptr<Server*>& server) {
  // A modern client gets log messages only if it names a level.
  auto log = [](const Request& request, const char* words) {
    if (request.era == Era::legacy ||
        request.meta.contains(meta_key::kLogLevel)) {
      request.send(notification("notifications/message",
                                {{"level", "info"}, {"data", words}}));
    }
  };
  auto logging = [log](const Json&, Request& request) {
    log(request, "Tool execution started");
    pause();
    log(request, "Tool processing data");
    pause();
    log(request, "Tool execution completed");
    return text_result("done");
  };
  tools.push_back(tool("test_tool_with_logging", logging));
  tools.push_back(tool("test_logging_tool", logging));
  tools.push_back(
      tool("test_tool_with_progress", [](const Json&, Request& request) {
        for (int done : {0, 50, 100}) {
          request.progress(done, 100);
          pause();
        }
        return text_result("done");
      }));
  tools.push_back(
      tool("test_missing_capability", [](const Json&, Request& request) {
        request.need("sampling");
        return text_result("the client can sample");
      }));
  auto trigger = [server](const char* change) {
    return [server, change](const Json&, Request&) {
      (*server)->publish(change);
      return text_result("published");
    };
  };
  tools.push_back(
      tool("test_trigger_tool_change", trigger("tools/list_changed")));
  tools.push_back(
      tool("test_trigger_prompt_change", trigger("prompts/list_changed")));
}

void add_asking(std::vector<Tool>& tools) {
  tools.push_back(tool(
      "test_sampling",
      [](const Json& arguments, Request& request) {
        return ask_legacy(request,
                          "sampling/createMessage",
                          sampling(arguments["prompt"], 100),
                          "LLM response: ");
      },
      one_field("prompt", "string")));
  tools.push_back(tool(
      "test_elicitation",
      [](const Json& arguments, Request& request) {
        Json word = {{"type", "string"}};
        auto schema = object_schema({{"username", word}, {"email", word}},
                                    {"username", "email"});
        return ask_legacy(request,
                          "elicitation/create",
                          elicitation(arguments["message"], schema),
                          "User response: ");
      },
      one_field("message", "string")));
  auto eliciting = [](const Json& schema) {
    return [schema](const Json&, Request& request) {
      return ask_legacy(request,
                        "elicitation/create",
                        elicitation("Please fill this in", schema),
                        "Elicitation completed: ");
    };
  };
  tools.push_back(
      tool("test_elicitation_sep1034_defaults", eliciting(default_schema())));
  tools.push_back(
      tool("test_elicitation_sep1330_enums", eliciting(enum_schema())));
}

Json name_request() {
  return input("elicitation/create",
               elicitation("What is your name?", one_field("name", "string")));
}

// The name, if the client gave one that can be used.
const Json* given_name(const Request& request) {
  const auto& name =
      field(&field(request.input_response("user_name"), "content"), "name");
  return name.is_string() ? &name : nullptr;
}

Json ask_name(const Json&, Request& request) {
  const auto* name = given_name(request);
  if (name == nullptr) {
    return input_required({{"user_name", name_request()}});
  }
  return text_result(fmt::format("Hello, {}!", name->get<std::string>()));
}

void add_input_required(std::vector<Tool>& tools) {
  auto states = std::make_shared<States>();
  const std::string prefix = "test_input_required_result_";
  tools.push_back(tool(prefix + "elicitation", ask_name));
  tools.push_back(tool("test_streaming_elicitation", ask_name));
  auto once = [](const char* key, const Json& request_of_client) {
    return [key, request_of_client](const Json&, Request& request) {
      const auto* answer = request.input_response(key);
      if (answer == nullptr) {
        return input_required({{key, request_of_client}});
      }
      return text_result(answer->dump());
    };
  };
  tools.push_back(
      tool(prefix + "sampling",
           once("capital_question",
                input("sampling/createMessage",
                      sampling("What is the capital of France?", 100)))));
  tools.push_back(
      tool(prefix + "list_roots",
           once("client_roots", input("roots/list", Json::object()))));
  auto guarded = [states](const Json&, Request& request) {
    if (!request.request_state()) {
      return input_required(
          {{"confirm",
            input("elicitation/create",
                  elicitation("Please confirm", one_field("ok", "boolean")))}},
          states->give("confirm"));
    }
    states->require(request, "confirm");
    return text_result("state-ok");
  };
  tools.push_back(tool(prefix + "request_state", guarded));
  tools.push_back(tool(prefix + "tampered_state", guarded));
  tools.push_back(
      tool(prefix + "multiple_inputs", [states](const Json&, Request& request) {
        bool all = given_name(request) != nullptr &&
                   request.input_response("greeting") != nullptr &&
                   request.input_response("client_roots") != nullptr;
        if (!all) {
          return input_required(
              {{"user_name", name_request()},
               {"greeting",
                input("sampling/createMessage",
                      sampling("Generate a greeting", 50))},
               {"client_roots", input("roots/list", Json::object())}},
              states->give("several"));
        }
        states->require(request, "several");
        return text_result("all came");
      }));
  tools.push_back(
      tool(prefix + "multi_round", [states](const Json&, Request& request) {
        if (request.input_response("step2") != nullptr) {
          states->require(request, "round-2");
          return text_result("both steps done");
        }
        auto step = [](const char* words, const char* wanted) {
          return input("elicitation/create",
                       elicitation(words, one_field(wanted, "string")));
        };
        if (request.input_response("step1") != nullptr) {
          states->require(request, "round-1");
          return input_required(
              {{"step2",
                step("Step 2: What is your favorite color?", "color")}},
              states->give("round-2"));
        }
        return input_required(
            {{"step1", step("Step 1: What is your name?", "name")}},
            states->give("round-1"));
      }));
  tools.push_back(
      tool(prefix + "capabilities", [](const Json&, Request& request) {
        Json wanted = Json::object();
        if (request.client_has("elicitation")) {
          wanted["user_name"] = name_request();
        }
        if (request.client_has("sampling")) {
          wanted["greeting"] =
              input("sampling/createMessage", sampling("Say hello", 50));
        }
        return wanted.empty() ? text_result("nothing to ask")
                              : input_required(std::move(wanted));
      }));
}

void add_prompts(std::vector<Prompt>& prompts) {
  auto add = [&](const char* name,
                 std::vector<PromptArgument> arguments,
                 std::function<Json(const Json&, Request&)> get) {
    prompts.push_back({name,
                       name,
                       std::string("For the conformance suite: ") + name,
                       std::move(arguments),
                       std::move(get)});
  };
  auto messages = [](Json list) {
    return Json({{"messages", std::move(list)}});
  };
  add("test_simple_prompt", {}, [messages](const Json&, Request&) {
    return messages(Json::array(
        {user_message(text("This is a simple prompt for testing."))}));
  });
  add("test_prompt_with_arguments",
      {{"arg1", "the first", true}, {"arg2", "the second", true}},
      [messages](const Json& arguments, Request&) {
        return messages(Json::array({user_message(
            text(fmt::format("Prompt with arguments: arg1='{}', arg2='{}'",
                             arguments["arg1"].get<std::string>(),
                             arguments["arg2"].get<std::string>())))}));
      });
  add("test_prompt_with_embedded_resource",
      {{"resourceUri", "what to embed", true}},
      [messages](const Json& arguments, Request&) {
        return messages(Json::array(
            {user_message(embedded(arguments["resourceUri"],
                                   "text/plain",
                                   "Embedded resource content for testing.")),
             user_message(
                 text("Please process the embedded resource above."))}));
      });
  add("test_prompt_with_image", {}, [messages](const Json&, Request&) {
    return messages(
        Json::array({user_message(image()),
                     user_message(text("Please analyze the image above."))}));
  });
  add("test_input_required_result_prompt",
      {},
      [messages](const Json&, Request& request) {
        const auto* answer = request.input_response("user_context");
        if (answer == nullptr) {
          return input_required(
              {{"user_context",
                input("elicitation/create",
                      elicitation("What context should the prompt use?",
                                  one_field("context", "string")))}});
        }
        return messages(Json::array({user_message(text(answer->dump()))}));
      });
}

std::vector<Resource> test_resources() {
  return {{"test://static-text",
           "static-text",
           "Static text",
           "A text that never changes",
           "text/plain",
           [] {
             return Json{
                 {"text", "This is the content of the static text resource."}};
           }},
          {"test://static-binary",
           "static-binary",
           "Static picture",
           "A picture that never changes",
           "image/png",
           [] { return Json{{"blob", kPng}}; }},
          {"test://watched-resource",
           "watched-resource",
           "Watched",
           "A text that can be subscribed to",
           "text/plain",
           [] { return Json{{"text", "watched"}}; }}};
}

std::optional<Json> read_template(const std::string& uri) {
  constexpr std::string_view kBefore = "test://template/";
  constexpr std::string_view kAfter = "/data";
  if (!uri.starts_with(kBefore) || !uri.ends_with(kAfter) ||
      uri.size() <= kBefore.size() + kAfter.size()) {
    return std::nullopt;
  }
  auto id =
      uri.substr(kBefore.size(), uri.size() - kBefore.size() - kAfter.size());
  Json data = {
      {"id", id}, {"templateTest", true}, {"data", "Data for ID: " + id}};
  return Json{{"text", data.dump()}};
}

}  // namespace

void add_conformance_fixture(Definition& definition,
                             const std::shared_ptr<Server*>& server) {
  definition.logging = true;
  definition.subscriptions = true;
  add_contents(definition.tools);
  add_notifying(definition.tools, server);
  add_asking(definition.tools);
  add_input_required(definition.tools);
  add_prompts(definition.prompts);
  definition.resources = [own = definition.resources] {
    auto all = own ? own() : std::vector<Resource>();
    for (auto& resource : test_resources()) {
      all.push_back(std::move(resource));
    }
    return all;
  };
  definition.templates.push_back({"test://template/{id}/data",
                                  "template",
                                  "Data by its id",
                                  "application/json",
                                  read_template});
}

}  // namespace assay::mcp
