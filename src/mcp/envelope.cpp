#include "assay/mcp/envelope.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace assay::mcp {
namespace {

constexpr std::string_view kVersionHeader = "MCP-Protocol-Version";

[[noreturn]] void mismatch(const std::string& what) {
  throw ProtocolError(kHeaderMismatch, "Header mismatch: " + what);
}

// -1: not of the alphabet.
int sextet(char c) {
  if (c >= 'A' && c <= 'Z') {
    return c - 'A';
  }
  if (c >= 'a' && c <= 'z') {
    return c - 'a' + 26;
  }
  if (c >= '0' && c <= '9') {
    return c - '0' + 52;
  }
  if (c == '+') {
    return 62;
  }
  return c == '/' ? 63 : -1;
}

std::string decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) {
    mismatch("base64 of a length that 4 does not divide");
  }
  std::string out;
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t bits = 0;
    int padding = 0;
    for (size_t k = 0; k < 4; ++k) {
      char c = text[i + k];
      bool pad = c == '=' && i + 4 == text.size() && k >= 2;
      int value = pad ? 0 : sextet(c);
      if (value < 0 || (padding > 0 && !pad)) {
        mismatch("characters that base64 has not");
      }
      padding += pad ? 1 : 0;
      bits = bits << 6 | static_cast<uint32_t>(value);
    }
    for (int k = 0; k < 3 - padding; ++k) {
      out.push_back(static_cast<char>(bits >> (16 - 8 * k) & 0xff));
    }
  }
  return out;
}

std::string trimmed(std::string text) {
  auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.back())) {
    text.pop_back();
  }
  text.erase(text.begin(), std::ranges::find_if_not(text, blank));
  return text;
}

std::optional<std::string> header(const Headers& headers,
                                  std::string_view name) {
  auto value = headers(name);
  if (!value) {
    return std::nullopt;
  }
  auto text = trimmed(std::move(*value));
  bool printable = std::ranges::all_of(
      text, [](char c) { return (c >= ' ' && c <= '~') || c == '\t'; });
  if (!printable) {
    mismatch(fmt::format("{} holds characters that headers may not", name));
  }
  return text;
}

void require_header(const Headers& headers,
                    std::string_view name,
                    const std::string& expected,
                    bool encoded) {
  auto value = header(headers, name);
  if (!value) {
    mismatch(fmt::format("{} is missing", name));
  }
  if ((encoded ? decode_header(*value) : *value) != expected) {
    mismatch(
        fmt::format("{} is '{}', the body says '{}'", name, *value, expected));
  }
}

bool same_value(const std::string& text, const Json& value) {
  if (value.is_string()) {
    return text == value.get_ref<const std::string&>();
  }
  if (value.is_boolean()) {
    return text == (value.get<bool>() ? "true" : "false");
  }
  double number = 0;
  char* end = nullptr;
  number = std::strtod(text.c_str(), &end);
  return value.is_number() && !text.empty() && *end == '\0' &&
         number == value.get<double>();
}

// "Mcp-Param-NAME" of each property that the tool's schema marks so.
void require_parameters(const Headers& headers,
                        const Json& schema,
                        const Json& arguments) {
  auto properties = schema.find("properties");
  if (properties == schema.end() || !properties->is_object()) {
    return;
  }
  for (const auto& [name, property] : properties->items()) {
    const Json* value = nullptr;
    if (arguments.is_object() && arguments.contains(name) &&
        !arguments[name].is_null()) {
      value = &arguments[name];
    }
    auto mark = property.find("x-mcp-header");
    if (mark != property.end() && mark->is_string()) {
      auto full = "Mcp-Param-" + mark->get<std::string>();
      auto given = header(headers, full);
      if (given.has_value() != (value != nullptr)) {
        mismatch(fmt::format(
            "{} is {}", full, given ? "not in the body" : "missing"));
      }
      if (given && !same_value(decode_header(*given), *value)) {
        mismatch(fmt::format(
            "{} is '{}', the body says {}", full, *given, value->dump()));
      }
    }
    require_parameters(
        headers, property, value == nullptr ? Json::object() : *value);
  }
}

bool shows_modern(const Request& request) {
  return request.meta.contains(meta_key::kVersion) ||
         request.method == "server/discover";
}

// The fields of every modern request.
std::string require_meta(Request& request) {
  request.era = Era::modern;
  auto version = request.meta.find(meta_key::kVersion);
  if (version == request.meta.end() || !version->is_string()) {
    throw ProtocolError(kInvalidParams,
                        fmt::format("_meta lacks {}; versions spoken: {}",
                                    meta_key::kVersion,
                                    supported_versions().dump()));
  }
  auto capabilities = request.meta.find(meta_key::kCapabilities);
  if (capabilities == request.meta.end() || !capabilities->is_object()) {
    throw ProtocolError(kInvalidParams,
                        fmt::format("_meta lacks {}", meta_key::kCapabilities));
  }
  request.client_capabilities = *capabilities;
  return version->get<std::string>();
}

void require_modern(const std::string& version) {
  if (version != kModernVersion) {
    throw ProtocolError(
        kUnsupportedVersion,
        "Unsupported protocol version",
        {{"supported", supported_versions()}, {"requested", version}});
  }
}

void require_headers(const Request& request,
                     const Definition& definition,
                     const Headers& headers) {
  require_header(headers, "Mcp-Method", request.method, false);
  auto name = [&](const char* field) {
    auto value = request.params.find(field);
    if (value != request.params.end() && value->is_string()) {
      require_header(headers, "Mcp-Name", value->get<std::string>(), true);
    }
  };
  if (request.method == "resources/read") {
    name("uri");
  } else if (request.method == "prompts/get") {
    name("name");
  } else if (request.method == "tools/call") {
    name("name");
    const auto* tool =
        definition.find_tool(request.params.value("name", Json()).is_string()
                                 ? request.params["name"].get<std::string>()
                                 : "");
    if (tool != nullptr) {
      require_parameters(headers,
                         tool->input_schema,
                         request.params.value("arguments", Json::object()));
    }
  }
}

// "localhost:8080" and "[::1]:8080" without the port; empty where what follows
// the name is no port, as in "localhost:x@evil.example".
std::string_view without_port(std::string_view host) {
  auto end = host.starts_with('[') ? host.find(']') + 1 : host.find(':');
  if (end == 0 || end >= host.size()) {
    return end == 0 ? std::string_view() : host;
  }
  auto port = host.substr(end);
  bool digits = port.size() > 1 && port[0] == ':' &&
                std::ranges::all_of(port.substr(1), [](char c) {
                  return c >= '0' && c <= '9';
                });
  return digits ? host.substr(0, end) : std::string_view();
}

}  // namespace

std::string decode_header(const std::string& value) {
  constexpr std::string_view kPrefix = "=?base64?";
  constexpr std::string_view kSuffix = "?=";
  std::string_view text = value;
  bool encoded = text.size() >= kPrefix.size() + kSuffix.size() &&
                 text.starts_with(kPrefix) && text.ends_with(kSuffix);
  if (!encoded) {
    return value;
  }
  text.remove_prefix(kPrefix.size());
  text.remove_suffix(kSuffix.size());
  return decode_base64(text);
}

void open_on_stdio(Request& request, bool opened) {
  if (!shows_modern(request) && (opened || request.method == "initialize")) {
    request.era = Era::legacy;
    return;
  }
  require_modern(require_meta(request));
}

void open_on_http(Request& request,
                  const Definition& definition,
                  const Headers& headers) {
  auto stated = headers(kVersionHeader);
  bool legacy = !stated || is_legacy_version(trimmed(*stated));
  if (legacy && !shows_modern(request)) {
    request.era = Era::legacy;
    return;
  }
  auto version = require_meta(request);
  require_header(headers, kVersionHeader, version, false);
  require_modern(version);
  require_headers(request, definition, headers);
}

bool is_local_host(std::string_view host) {
  auto name = std::string(without_port(host));
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return name == "localhost" || name == "127.0.0.1" || name == "[::1]";
}

bool is_local_origin(std::string_view origin) {
  for (std::string_view scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) {
      return is_local_host(origin.substr(scheme.size()));
    }
  }
  return false;
}

}  // namespace assay::mcp
