#pragma once

// Arguments: what the command line said, checked against the table of
// commands. Parsing has no effects.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "assay/cli/command.h"

namespace assay::cli {

/** A command line that the table does not allow: exit code 2. */
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

class Arguments {
 public:
  using Values = std::map<std::string, std::vector<std::string>, std::less<>>;

  Arguments(const Command& command, Values values, std::string line = {})
      : command_(&command),
        values_(std::move(values)),
        line_(std::move(line)) {}

  const Command& command() const { return *command_; }
  /** All of it, as a shell takes it: "assay fit 'a b' --record". */
  const std::string& line() const { return line_; }

  /** True if the option was given. */
  bool has(std::string_view name) const;
  /** A flag. */
  bool flag(std::string_view name) const { return has(name); }
  /** The value given, or the table's fallback. Asking for an option that the
   * table lacks, or one without a value, is a defect: std::logic_error. */
  std::string text(std::string_view name) const;
  int64_t integer(std::string_view name) const;
  int dimension(std::string_view name) const;
  double number(std::string_view name) const;
  std::filesystem::path path(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;

  std::optional<std::string> maybe_text(std::string_view name) const;
  std::optional<int64_t> maybe_integer(std::string_view name) const;
  std::optional<double> maybe_number(std::string_view name) const;

 private:
  const Command* command_;
  Values values_;
  std::string line_;
};

/** What to do instead of a command. */
struct Request {
  enum class Kind { run, help, version, man, completions };
  Kind kind = Kind::run;
  const Command* command = nullptr;  ///< for run, and help of one command
  std::optional<Arguments> arguments;
  std::string shell;  ///< completions
};

/** Throws UsageError. */
Request parse(int argc, const char* const* argv);

}  // namespace assay::cli
