#include <cmath>
#include <limits>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/gguf.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using Type = GgufValue::Type;

[[noreturn]] void wrong_type(std::string_view key,
                             std::string_view expected,
                             const GgufValue& value) {
  fail("gguf.metadata-type",
       fmt::format("key {}", quote(key)),
       std::string(expected),
       describe(value));
}

std::optional<int64_t> as_integer(const GgufValue& value) {
  if (const auto* number = std::get_if<int64_t>(&value.value)) {
    return *number;
  }
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (const auto* number = std::get_if<uint64_t>(&value.value)) {
    return *number <= kMax ? std::optional(static_cast<int64_t>(*number))
                           : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::string_view name(GgufValue::Type type) {
  constexpr std::string_view kNames[] = {"u8",
                                         "i8",
                                         "u16",
                                         "i16",
                                         "u32",
                                         "i32",
                                         "f32",
                                         "bool",
                                         "string",
                                         "array",
                                         "u64",
                                         "i64",
                                         "f64"};
  return kNames[static_cast<size_t>(type)];
}

std::string describe(const GgufValue& value) {
  if (value.type == Type::array) {
    return fmt::format(
        "array of {} {}", array_size(value), name(value.element_type));
  }
  if (const auto* text = std::get_if<std::string>(&value.value)) {
    return fmt::format("string {}", quote(*text));
  }
  if (const auto* number = std::get_if<double>(&value.value)) {
    return fmt::format("{} {}", name(value.type), *number);
  }
  if (const auto* truth = std::get_if<bool>(&value.value)) {
    return fmt::format("bool {}", *truth);
  }
  if (const auto* number = std::get_if<uint64_t>(&value.value)) {
    return fmt::format("{} {}", name(value.type), *number);
  }
  return fmt::format("{} {}", name(value.type), std::get<int64_t>(value.value));
}

size_t array_size(const GgufValue& value) {
  return std::visit(
      [](const auto& held) -> size_t {
        using Held = std::decay_t<decltype(held)>;
        if constexpr (std::is_arithmetic_v<Held> ||
                      std::is_same_v<Held, std::string>) {
          return 0;
        } else {
          return held.size();
        }
      },
      value.value);
}

const GgufValue* GgufMetadata::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name == key) {
      return &value;
    }
  }
  return nullptr;
}

void GgufMetadata::set(std::string_view key, GgufValue value) {
  for (auto& [name, held] : entries) {
    if (name == key) {
      held = std::move(value);
      return;
    }
  }
  entries.emplace_back(key, std::move(value));
}

std::optional<int64_t> GgufMetadata::integer(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  auto number = as_integer(*value);
  if (!number) {
    wrong_type(key, "an integer of 63 bits", *value);
  }
  return number;
}

std::optional<double> GgufMetadata::number(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const auto* number = std::get_if<double>(&value->value);
  if (number == nullptr) {
    wrong_type(key, "f32 or f64", *value);
  }
  return *number;
}

std::optional<bool> GgufMetadata::boolean(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const auto* truth = std::get_if<bool>(&value->value);
  if (truth == nullptr) {
    wrong_type(key, "bool", *value);
  }
  return *truth;
}

std::optional<std::string_view> GgufMetadata::text(std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const auto* text = std::get_if<std::string>(&value->value);
  if (text == nullptr) {
    wrong_type(key, "string", *value);
  }
  return *text;
}

const std::vector<std::string>* GgufMetadata::texts(
    std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return nullptr;
  }
  const auto* texts = std::get_if<std::vector<std::string>>(&value->value);
  if (texts == nullptr) {
    wrong_type(key, "array of string", *value);
  }
  return texts;
}

std::optional<std::vector<double>> GgufMetadata::numbers(
    std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  const auto* numbers = std::get_if<std::vector<double>>(&value->value);
  if (numbers == nullptr) {
    wrong_type(key, "array of f32 or f64", *value);
  }
  return *numbers;
}

std::optional<std::vector<int64_t>> GgufMetadata::integers(
    std::string_view key) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (const auto* held = std::get_if<std::vector<int64_t>>(&value->value)) {
    return *held;
  }
  const auto* held = std::get_if<std::vector<uint64_t>>(&value->value);
  if (held == nullptr) {
    wrong_type(key, "array of integers", *value);
  }
  std::vector<int64_t> integers;
  integers.reserve(held->size());
  for (uint64_t number : *held) {
    if (number > uint64_t{std::numeric_limits<int64_t>::max()}) {
      wrong_type(key, "integers of 63 bits", *value);
    }
    integers.push_back(static_cast<int64_t>(number));
  }
  return integers;
}

GgufValue gguf_u32(uint32_t value) {
  return {Type::u32, Type::u32, uint64_t{value}};
}

GgufValue gguf_i32(int32_t value) {
  return {Type::i32, Type::u32, int64_t{value}};
}

GgufValue gguf_f32(float value) {
  return {Type::f32, Type::u32, double{value}};
}

GgufValue gguf_bool(bool value) {
  return {Type::boolean, Type::u32, value};
}

GgufValue gguf_text(std::string value) {
  return {Type::string, Type::u32, std::move(value)};
}

GgufValue gguf_texts(std::vector<std::string> values) {
  return {Type::array, Type::string, std::move(values)};
}

GgufValue gguf_f32s(const std::vector<float>& values) {
  return {Type::array,
          Type::f32,
          std::vector<double>(values.begin(), values.end())};
}

GgufValue gguf_i32s(const std::vector<int32_t>& values) {
  return {Type::array,
          Type::i32,
          std::vector<int64_t>(values.begin(), values.end())};
}

GgufValue gguf_u32s(const std::vector<uint32_t>& values) {
  return {Type::array,
          Type::u32,
          std::vector<uint64_t>(values.begin(), values.end())};
}

}  // namespace assay
