#include "assay/formats/json_fields.h"

#include <nlohmann/json.hpp>

namespace assay::fields {

const Json* member(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto entry = object.find(name);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

const Json* member_at(const Json& object, std::string_view path) {
  const Json* value = &object;
  while (value != nullptr && !path.empty()) {
    auto dot = path.find('.');
    value = member(*value, path.substr(0, dot));
    path.remove_prefix(dot == path.npos ? path.size() : dot + 1);
  }
  return value;
}

std::optional<int64_t> integer(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_number_integer()
             ? std::optional(value->get<int64_t>())
             : std::nullopt;
}

std::optional<double> number(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_number()
             ? std::optional(value->get<double>())
             : std::nullopt;
}

std::string text(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : "";
}

bool truth(const Json& object, std::string_view name) {
  const auto* value = member(object, name);
  return value != nullptr && value->is_boolean() && value->get<bool>();
}

std::string shown(const Json& value) {
  constexpr size_t kLongest = 120;
  auto text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kLongest) {
    text.resize(kLongest);
    text += "...";
  }
  return text;
}

}  // namespace assay::fields
