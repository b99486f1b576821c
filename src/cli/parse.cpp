#include <charconv>
#include <cmath>
#include <limits>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/cli/arguments.h"

namespace assay::cli {
namespace {

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> result;
  for (size_t start = 0; start < text.size();) {
    auto end = std::min(text.find(' ', start), text.size());
    result.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return result;
}

std::string check_integer(const std::string& text) {
  int64_t value = 0;
  auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  bool whole = error == std::errc() && end == text.data() + text.size();
  return whole ? "" : fmt::format("'{}' is not a whole number", text);
}

std::string check_number(const std::string& text) {
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  bool whole = !text.empty() && end == text.c_str() + text.size();
  return whole && std::isfinite(value)
             ? ""
             : fmt::format("'{}' is not a number", text);
}

void add_option(CLI::App& app,
                const Option& option,
                Arguments::Values& values) {
  std::string names(option.name);
  if (!option.short_name.empty()) {
    names = fmt::format("{},{}", option.short_name, option.name);
  }
  auto& slot = values[std::string(option.name)];
  if (option.kind == OptionKind::flag) {
    app.add_flag_callback(names, [&slot] { slot = {"true"}; });
    return;
  }
  auto* added = app.add_option(names, slot);
  if (option.many) {
    added->expected(1)->allow_extra_args(false)->take_all();
  } else {
    added->expected(1)->allow_extra_args(false)->multi_option_policy(
        CLI::MultiOptionPolicy::Throw);
  }
  if (option.kind == OptionKind::integer) {
    added->check(CLI::Validator(check_integer, ""));
  } else if (option.kind == OptionKind::number) {
    added->check(CLI::Validator(check_number, ""));
  }
  if (!option.choices.empty()) {
    auto allowed = words(option.choices);
    added->check(CLI::Validator(
        [allowed](const std::string& text) {
          return std::ranges::find(allowed, text) != allowed.end()
                     ? std::string()
                     : fmt::format("'{}' is none of {}",
                                   text,
                                   fmt::join(allowed, ", "));
        },
        ""));
  }
}

void add_operand(CLI::App& app,
                 const Operand& operand,
                 Arguments::Values& values) {
  auto* added = app.add_option(std::string(operand.name),
                               values[std::string(operand.name)]);
  added->required(operand.required);
  if (operand.many) {
    added->expected(operand.required ? 1 : 0, std::numeric_limits<int>::max());
  } else {
    added->expected(1)->allow_extra_args(false);
  }
}

// A word as a shell takes it.
std::string shell_word(std::string_view word) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
      "-_./,:=+@%";
  if (!word.empty() &&
      word.find_first_not_of(kPlain) == std::string_view::npos) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (char c : word) {
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

std::string shell_line(int argc, const char* const* argv) {
  std::string line = "assay";
  for (int index = 1; index < argc; ++index) {
    line += " " + shell_word(argv[index]);
  }
  return line;
}

}  // namespace

Request parse(int argc, const char* const* argv) {
  CLI::App app("", "assay");
  app.set_help_flag();
  app.require_subcommand(0, 1);
  bool help = false;
  bool version = false;
  bool man = false;
  std::string shell;
  app.add_flag("-h,--help", help);
  app.add_flag("-V,--version", version);
  app.add_flag("--man", man);
  app.add_option("--completions", shell)
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  std::map<std::string, Arguments::Values, std::less<>> values;
  std::map<std::string, bool, std::less<>> command_help;
  for (const auto& command : commands()) {
    auto name = std::string(command.name);
    auto* sub = app.add_subcommand(name);
    sub->set_help_flag();
    sub->add_flag("-h,--help", command_help[name]);
    auto& slots = values[name];
    for (const auto& operand : command.operands) {
      add_operand(*sub, operand, slots);
    }
    for (const auto& option : command.options) {
      add_option(*sub, option, slots);
    }
    for (const auto& option : common_options()) {
      add_option(*sub, option, slots);
    }
  }
  // Help may be asked for before a command line is complete.
  std::string problem;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    problem = error.what();
  }
  Request request;
  for (const auto& command : commands()) {
    if (app.got_subcommand(std::string(command.name))) {
      request.command = &command;
    }
  }
  if (help || (request.command != nullptr &&
               command_help[std::string(request.command->name)])) {
    request.kind = Request::Kind::help;
    return request;
  }
  if (!problem.empty()) {
    throw UsageError(problem);
  }
  if (version || man || !shell.empty()) {
    request.kind = version ? Request::Kind::version
                   : man   ? Request::Kind::man
                           : Request::Kind::completions;
    request.shell = shell;
    return request;
  }
  if (request.command == nullptr) {
    request.kind = Request::Kind::help;
    if (argc > 1) {
      throw UsageError("a command is missing");
    }
    return request;
  }
  std::erase_if(values[std::string(request.command->name)],
                [](const auto& entry) { return entry.second.empty(); });
  request.arguments.emplace(
      *request.command,
      std::move(values[std::string(request.command->name)]),
      shell_line(argc, argv));
  return request;
}

}  // namespace assay::cli
