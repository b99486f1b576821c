#pragma once

// The table of commands: one definition of every verb, operand and option,
// which the parser, the help, the manual page and the completions all read.

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace assay::cli {

class Arguments;
class Output;

enum class OptionKind { flag, integer, number, text, path };

struct Option {
  std::string_view name;  ///< "--max-tokens"
  OptionKind kind = OptionKind::flag;
  std::string_view value = {};  ///< "N": the value's name in help
  std::string_view help = {};
  /** What holds where the option is absent; empty: nothing does. */
  std::string_view fallback = {};
  /** The words allowed, separated by spaces; empty: any. */
  std::string_view choices = {};
  std::string_view short_name = {};  ///< "-o"
  /** May be given several times. */
  bool many = false;
};

struct Operand {
  std::string_view name;  ///< "MODEL"
  std::string_view help;
  bool required = true;
  bool many = false;
};

/** What a verb's function returns, and the program's exit code. */
enum ExitCode : int {
  kSound = 0,
  kFindings = 1,
  kUsage = 2,
  kUndecided = 3,
};

struct Command {
  std::string_view name;     ///< "inspect"
  std::string_view summary;  ///< one line
  std::string_view description;
  std::vector<Operand> operands;
  std::vector<Option> options;
  int (*run)(const Arguments&, Output&);
};

/** Every command, in the order of the help. */
std::span<const Command> commands();

/** Options that all commands take. */
std::span<const Option> common_options();

}  // namespace assay::cli
