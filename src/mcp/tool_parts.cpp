#include "assay/mcp/tool_parts.h"

namespace assay::mcp {

Json word(const char* description) {
  return {{"type", "string"},
          {"description", description},
          {"minLength", 1},
          {"maxLength", 4096}};
}

Json whole(const char* description, int least, int most) {
  return {{"type", "integer"},
          {"description", description},
          {"minimum", least},
          {"maximum", most}};
}

Json choice(const char* description, bool fallback) {
  return {
      {"type", "boolean"}, {"description", description}, {"default", fallback}};
}

Json closed(Json properties, Json required) {
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

Json one_of(const char* description, Json words) {
  return {{"type", "string"},
          {"description", description},
          {"enum", std::move(words)}};
}

int number(const Json& arguments, const char* name, int fallback) {
  auto entry = arguments.find(name);
  return entry == arguments.end() ? fallback
                                  : static_cast<int>(entry->get<double>());
}

Json as_result(Json report) {
  auto text = report.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text_result(std::move(text), std::move(report));
}

}  // namespace assay::mcp
