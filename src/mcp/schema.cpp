#include "assay/mcp/schema.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::mcp {
namespace {

// 2.0 is an integer to JSON Schema.
bool is_integer(const Json& value) {
  if (value.is_number_integer()) {
    return true;
  }
  if (!value.is_number_float()) {
    return false;
  }
  auto number = value.get<double>();
  constexpr double kExact = 9007199254740992.0;
  return number >= -kExact && number <= kExact &&
         number == static_cast<double>(static_cast<int64_t>(number));
}

bool has_type(const Json& value, std::string_view type) {
  return (type == "object" && value.is_object()) ||
         (type == "array" && value.is_array()) ||
         (type == "string" && value.is_string()) ||
         (type == "boolean" && value.is_boolean()) ||
         (type == "number" && value.is_number()) ||
         (type == "integer" && is_integer(value)) ||
         (type == "null" && value.is_null());
}

std::string type_violation(const Json& value,
                           const Json& schema,
                           const std::string& where) {
  auto type = schema.find("type");
  if (type == schema.end()) {
    return "";
  }
  auto fits = [&](const Json& one) {
    return one.is_string() &&
           has_type(value, one.get_ref<const std::string&>());
  };
  bool right =
      type->is_array() ? std::ranges::any_of(*type, fits) : fits(*type);
  return right ? ""
               : fmt::format("{} must be {}, not {}",
                             where,
                             type->dump(),
                             value.type_name());
}

std::string range_violation(const Json& value,
                            const Json& schema,
                            const std::string& where) {
  auto limit = [&](const char* name) {
    auto entry = schema.find(name);
    return entry != schema.end() && entry->is_number() ? &*entry : nullptr;
  };
  if (value.is_number()) {
    const auto* least = limit("minimum");
    const auto* most = limit("maximum");
    if ((least != nullptr && value < *least) ||
        (most != nullptr && value > *most)) {
      return fmt::format("{} must be within {}..{}, not {}",
                         where,
                         least == nullptr ? "" : least->dump(),
                         most == nullptr ? "" : most->dump(),
                         value.dump());
    }
  }
  auto size = value.is_string() ? value.get_ref<const std::string&>().size()
                                : value.size();
  const auto* least = limit(value.is_string() ? "minLength" : "minItems");
  const auto* most = limit(value.is_string() ? "maxLength" : "maxItems");
  if ((value.is_string() || value.is_array()) &&
      ((least != nullptr && size < least->get<size_t>()) ||
       (most != nullptr && size > most->get<size_t>()))) {
    return fmt::format(
        "{} has {} characters or items, too few or too many", where, size);
  }
  return "";
}

std::string object_violation(const Json& value,
                             const Json& schema,
                             const std::string& where) {
  if (!value.is_object()) {
    return "";
  }
  for (const auto& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get_ref<const std::string&>())) {
      return fmt::format("{} lacks {}", where, name.dump());
    }
  }
  auto properties = schema.value("properties", Json::object());
  bool closed = schema.value("additionalProperties", Json()) == Json(false);
  for (const auto& [name, member] : value.items()) {
    auto known = properties.find(name);
    if (known != properties.end()) {
      auto wrong =
          schema_violation(member, *known, fmt::format("{}.{}", where, name));
      if (!wrong.empty()) {
        return wrong;
      }
    } else if (closed) {
      return fmt::format("{} has no property {}", where, Json(name).dump());
    }
  }
  return "";
}

}  // namespace

std::string schema_violation(const Json& value,
                             const Json& schema,
                             const std::string& where) {
  if (!schema.is_object()) {
    return "";
  }
  auto wrong = type_violation(value, schema, where);
  if (wrong.empty()) {
    wrong = range_violation(value, schema, where);
  }
  auto choices = schema.find("enum");
  if (wrong.empty() && choices != schema.end() &&
      std::ranges::find(*choices, value) == choices->end()) {
    wrong = fmt::format(
        "{} must be one of {}, not {}", where, choices->dump(), value.dump());
  }
  if (wrong.empty()) {
    wrong = object_violation(value, schema, where);
  }
  auto items = schema.find("items");
  for (size_t i = 0; wrong.empty() && items != schema.end() &&
                     value.is_array() && i < value.size();
       ++i) {
    wrong = schema_violation(value[i], *items, fmt::format("{}[{}]", where, i));
  }
  return wrong;
}

}  // namespace assay::mcp
