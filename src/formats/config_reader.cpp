#include "assay/formats/config_reader.h"

#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"

namespace assay {

struct ConfigReader::Field {
  std::string_view name;
  const Json& value;
};

namespace {

[[noreturn]] void fail_kind(const std::string& where,
                            std::string_view name,
                            std::string_view expected,
                            const Json& value) {
  fail("config.invalid-value",
       fmt::format("{}: {}", where, name),
       std::string(expected),
       value.dump().substr(0, 200));
}

// JSON has one kind of number: 64 and 64.0 are the same dimension.
std::optional<int64_t> as_integer(const Json& value) {
  if (value.is_number_unsigned() &&
      value.get<uint64_t>() >
          static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return std::nullopt;
  }
  if (value.is_number_integer()) {
    return value.get<int64_t>();
  }
  if (value.is_number_float()) {
    double number = value.get<double>();
    if (std::abs(number) < 9e15 && number == std::floor(number)) {
      return static_cast<int64_t>(number);
    }
  }
  return std::nullopt;
}

}  // namespace

ConfigReader::ConfigReader(const Json& config, std::string where)
    : config_(&config), where_(std::move(where)) {
  if (!config.is_object()) {
    fail("config.invalid-value", where_, "a JSON object", config.type_name());
  }
}

const Json* ConfigReader::find(std::string_view name) const {
  auto field = config_->find(name);
  return field == config_->end() || field->is_null() ? nullptr : &*field;
}

ConfigReader ConfigReader::child(std::string_view name) const {
  auto field = required({name});
  return ConfigReader(field.value, fmt::format("{}: {}", where_, name));
}

ConfigReader::Field ConfigReader::required(
    std::initializer_list<std::string_view> names) const {
  for (auto name : names) {
    if (const Json* value = find(name)) {
      return {name, *value};
    }
  }
  fail("config.missing-field",
       where_,
       fmt::format("{}", fmt::join(names, " or ")),
       "no such field");
}

int64_t ConfigReader::integer(
    std::initializer_list<std::string_view> names) const {
  auto [name, value] = required(names);
  auto result = as_integer(value);
  if (!result) {
    fail_kind(where_, name, "an integer", value);
  }
  return *result;
}

double ConfigReader::number(
    std::initializer_list<std::string_view> names) const {
  auto [name, value] = required(names);
  if (!value.is_number() || !std::isfinite(value.get<double>())) {
    fail_kind(where_, name, "a finite number", value);
  }
  return value.get<double>();
}

bool ConfigReader::boolean(
    std::initializer_list<std::string_view> names) const {
  auto [name, value] = required(names);
  if (!value.is_boolean()) {
    fail_kind(where_, name, "true or false", value);
  }
  return value.get<bool>();
}

std::string ConfigReader::text(
    std::initializer_list<std::string_view> names) const {
  auto [name, value] = required(names);
  if (!value.is_string()) {
    fail_kind(where_, name, "a string", value);
  }
  return value.get<std::string>();
}

int ConfigReader::dimension(std::string_view name) const {
  return dimension({name});
}

int ConfigReader::dimension(
    std::initializer_list<std::string_view> names) const {
  int64_t value = integer(names);
  if (value < 1 || value > std::numeric_limits<int>::max()) {
    fail("config.invalid-value",
         fmt::format("{}: {}", where_, *names.begin()),
         "a positive dimension",
         fmt::format("{}", value));
  }
  return static_cast<int>(value);
}

float ConfigReader::real(std::string_view name) const {
  return static_cast<float>(number({name}));
}

bool ConfigReader::flag(std::string_view name) const {
  return boolean({name});
}

std::string ConfigReader::text(std::string_view name) const {
  return text({name});
}

std::optional<int64_t> ConfigReader::maybe_integer(
    std::string_view name) const {
  return find(name) ? std::optional(integer({name})) : std::nullopt;
}

std::optional<double> ConfigReader::maybe_number(std::string_view name) const {
  return find(name) ? std::optional(number({name})) : std::nullopt;
}

std::optional<bool> ConfigReader::maybe_boolean(std::string_view name) const {
  return find(name) ? std::optional(boolean({name})) : std::nullopt;
}

std::optional<std::string> ConfigReader::maybe_text(
    std::string_view name) const {
  return find(name) ? std::optional(text({name})) : std::nullopt;
}

std::optional<std::vector<double>> ConfigReader::maybe_numbers(
    std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  std::vector<double> numbers;
  for (const auto& item : *value) {
    if (!value->is_array() || !item.is_number()) {
      fail_kind(where_, name, "a list of numbers", *value);
    }
    numbers.push_back(item.get<double>());
  }
  return numbers;
}

std::optional<std::vector<std::string>> ConfigReader::maybe_texts(
    std::string_view name) const {
  const Json* value = find(name);
  if (value == nullptr) {
    return std::nullopt;
  }
  std::vector<std::string> texts;
  for (const auto& item : *value) {
    if (!value->is_array() || !item.is_string()) {
      fail_kind(where_, name, "a list of strings", *value);
    }
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

}  // namespace assay
