#include "assay/cli/arguments.h"

#include <algorithm>
#include <cstdlib>
#include <limits>

#include <fmt/format.h>

namespace assay::cli {
namespace {

const Option& option_of(const Command& command, std::string_view name) {
  for (auto options :
       {std::span<const Option>(command.options), common_options()}) {
    auto option = std::ranges::find(options, name, &Option::name);
    if (option != options.end()) {
      return *option;
    }
  }
  throw std::logic_error(
      fmt::format("'{}' has no option {}", command.name, name));
}

bool is_operand(const Command& command, std::string_view name) {
  return std::ranges::find(command.operands, name, &Operand::name) !=
         command.operands.end();
}

}  // namespace

bool Arguments::has(std::string_view name) const {
  if (!is_operand(*command_, name)) {
    option_of(*command_, name);
  }
  return values_.contains(name);
}

std::optional<std::string> Arguments::maybe_text(std::string_view name) const {
  auto value = values_.find(name);
  if (value != values_.end()) {
    return value->second.back();
  }
  if (is_operand(*command_, name)) {
    return std::nullopt;
  }
  auto fallback = option_of(*command_, name).fallback;
  return fallback.empty() ? std::nullopt : std::optional(std::string(fallback));
}

std::string Arguments::text(std::string_view name) const {
  auto value = maybe_text(name);
  if (!value) {
    throw std::logic_error(fmt::format("{} has no value", name));
  }
  return *value;
}

std::optional<int64_t> Arguments::maybe_integer(std::string_view name) const {
  auto value = maybe_text(name);
  return value ? std::optional<int64_t>(std::strtoll(value->c_str(), {}, 10))
               : std::nullopt;
}

std::optional<double> Arguments::maybe_number(std::string_view name) const {
  auto value = maybe_text(name);
  return value ? std::optional(std::strtod(value->c_str(), nullptr))
               : std::nullopt;
}

int64_t Arguments::integer(std::string_view name) const {
  return std::strtoll(text(name).c_str(), nullptr, 10);
}

int Arguments::dimension(std::string_view name) const {
  int64_t value = integer(name);
  if (value < 0 || value > std::numeric_limits<int>::max()) {
    throw UsageError(fmt::format("{}: {} is out of range", name, text(name)));
  }
  return static_cast<int>(value);
}

double Arguments::number(std::string_view name) const {
  return std::strtod(text(name).c_str(), nullptr);
}

std::filesystem::path Arguments::path(std::string_view name) const {
  return text(name);
}

std::vector<std::string> Arguments::all(std::string_view name) const {
  auto value = values_.find(name);
  return value == values_.end() ? std::vector<std::string>() : value->second;
}

}  // namespace assay::cli
