#include "assay/cli/documents.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include <fmt/format.h>

namespace assay::cli {
namespace {

// "-o, --output FILE"
std::string spelled(const Option& option) {
  auto text = option.short_name.empty()
                  ? std::string(option.name)
                  : fmt::format("{}, {}", option.short_name, option.name);
  return option.value.empty() ? text : fmt::format("{} {}", text, option.value);
}

std::string explained(const Option& option) {
  std::string text(option.help);
  if (!option.choices.empty()) {
    text += fmt::format(" (one of: {})", option.choices);
  }
  if (!option.fallback.empty()) {
    text += fmt::format(" [{}]", option.fallback);
  }
  return text;
}

std::string usage(const Command& command) {
  auto text = fmt::format("assay {}", command.name);
  for (const auto& operand : command.operands) {
    auto name = fmt::format("{}{}", operand.name, operand.many ? "..." : "");
    text += operand.required ? " " + name : " [" + name + "]";
  }
  return text + " [options]";
}

// `text` in lines of at most `width`, all but the first indented.
std::string wrapped(std::string_view text, size_t indent, size_t width) {
  std::string result;
  size_t column = indent;
  for (size_t start = 0; start < text.size();) {
    auto end = std::min(text.find_first_of(" \n", start), text.size());
    auto word = text.substr(start, end - start);
    if (column > indent && column + 1 + word.size() > width) {
      result += "\n" + std::string(indent, ' ');
      column = indent;
    }
    if (column > indent) {
      result += " ";
      ++column;
    }
    result += word;
    column += word.size();
    start = end + 1;
  }
  return result;
}

void add_row(std::string& text,
             const std::string& left,
             std::string_view right,
             size_t indent,
             size_t width) {
  auto head = "  " + left;
  if (head.size() + 2 > indent) {
    head += "\n" + std::string(indent, ' ');
  } else {
    head.resize(indent, ' ');
  }
  text += head + wrapped(right, indent, width) + "\n";
}

std::string help_of(const Command& command, size_t width) {
  constexpr size_t kIndent = 28;
  auto text = fmt::format(
      "{}\n\n{}\n", usage(command), wrapped(command.description, 0, width));
  if (!command.operands.empty()) {
    text += "\n";
  }
  for (const auto& operand : command.operands) {
    add_row(text, std::string(operand.name), operand.help, kIndent, width);
  }
  text += "\noptions\n";
  for (const auto& option : command.options) {
    add_row(text, spelled(option), explained(option), kIndent, width);
  }
  for (const auto& option : common_options()) {
    add_row(text, spelled(option), explained(option), kIndent, width);
  }
  add_row(text, "-h, --help", "this text", kIndent, width);
  return text;
}

std::string help_of_all(size_t width) {
  std::string text =
      "assay COMMAND [...]    what a generative model really is, before you "
      "run it\n\ncommands\n";
  for (const auto& command : commands()) {
    add_row(text, std::string(command.name), command.summary, 16, width);
  }
  text +=
      "\nassay COMMAND --help    the options of one\n"
      "assay --version | --man | --completions bash|zsh|fish\n\n"
      "exit codes: 0 sound, 1 findings or failure, 2 usage, 3 could not "
      "decide\n";
  return text;
}

std::string roff(std::string_view text) {
  std::string result;
  for (char c : text) {
    if (c == '-') {
      result += "\\-";
    } else if (c == '\\') {
      result += "\\e";
    } else {
      result += c;
    }
  }
  return result.starts_with('.') || result.starts_with('\'') ? "\\&" + result
                                                             : result;
}

std::vector<const Option*> documents_options(const Command& command) {
  std::vector<const Option*> options;
  for (const auto& option : command.options) {
    options.push_back(&option);
  }
  for (const auto& option : common_options()) {
    options.push_back(&option);
  }
  return options;
}

std::string option_names(const Command& command) {
  std::string names = "--help";
  for (const auto* option : documents_options(command)) {
    names += fmt::format(" {}", option->name);
  }
  return names;
}

std::string command_names() {
  std::string names;
  for (const auto& command : commands()) {
    names += fmt::format("{}{}", names.empty() ? "" : " ", command.name);
  }
  return names;
}

// Words in single quotes for a shell.
std::string shell_quoted(std::string_view text) {
  std::string result = "'";
  for (char c : text) {
    result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return result + "'";
}

std::string bash() {
  auto text = fmt::format(
      "_assay() {{\n"
      "  local word=${{COMP_WORDS[COMP_CWORD]}}\n"
      "  local before=${{COMP_WORDS[COMP_CWORD-1]}}\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
      "    COMPREPLY=($(compgen -W '{} --help --version' -- \"$word\"))\n"
      "    return\n"
      "  fi\n"
      "  local options=\n"
      "  case ${{COMP_WORDS[1]}} in\n",
      command_names());
  for (const auto& command : commands()) {
    text += fmt::format("    {})\n      options='{}'\n      case $before in\n",
                        command.name,
                        option_names(command));
    for (const auto* option : documents_options(command)) {
      if (!option->choices.empty()) {
        text += fmt::format(
            "        {}) COMPREPLY=($(compgen -W '{}' -- \"$word\")); return "
            ";;\n",
            option->name,
            option->choices);
      }
    }
    text += "      esac ;;\n";
  }
  return text +
         "  esac\n"
         "  case $word in\n"
         "    -*) COMPREPLY=($(compgen -W \"$options\" -- \"$word\")) ;;\n"
         "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
         "  esac\n"
         "}\n"
         "complete -o filenames -F _assay assay\n";
}

std::string zsh() {
  std::string text =
      "#compdef assay\n"
      "_assay() {\n"
      "  local -a commands\n"
      "  commands=(\n";
  for (const auto& command : commands()) {
    text += fmt::format(
        "    {}\n",
        shell_quoted(fmt::format("{}:{}", command.name, command.summary)));
  }
  text +=
      "  )\n"
      "  if (( CURRENT == 2 )); then\n"
      "    _describe command commands\n"
      "    return\n"
      "  fi\n"
      "  case $words[2] in\n";
  for (const auto& command : commands()) {
    text += fmt::format("    {}) _arguments '*:file:_files'", command.name);
    for (const auto* option : documents_options(command)) {
      std::string help;
      for (char c : option->help) {
        help += c == '[' || c == ']' || c == ':' ? ' ' : c;
      }
      auto spec = fmt::format("{}[{}]", option->name, help);
      if (!option->choices.empty()) {
        spec += fmt::format(":{}:({})", option->value, option->choices);
      } else if (option->kind == OptionKind::path) {
        spec += fmt::format(":{}:_files", option->value);
      } else if (option->kind != OptionKind::flag) {
        spec += fmt::format(":{}:", option->value);
      }
      text += " " + shell_quoted(spec);
    }
    text += " ;;\n";
  }
  return text + "  esac\n}\n_assay \"$@\"\n";
}

std::string fish() {
  std::string text;
  for (const auto& command : commands()) {
    text +=
        fmt::format("complete -c assay -n __fish_use_subcommand -a {} -d {}\n",
                    command.name,
                    shell_quoted(command.summary));
    for (const auto* option : documents_options(command)) {
      text += fmt::format(
          "complete -c assay -n '__fish_seen_subcommand_from {}' -l {} -d {}",
          command.name,
          option->name.substr(2),
          shell_quoted(option->help));
      if (!option->choices.empty()) {
        text += fmt::format(" -x -a {}", shell_quoted(option->choices));
      } else if (option->kind != OptionKind::flag) {
        text += option->kind == OptionKind::path ? " -r" : " -x";
      }
      text += "\n";
    }
  }
  return text;
}

}  // namespace

std::string help_text(const Command* command, int width) {
  auto columns = static_cast<size_t>(std::clamp(width, 60, 100));
  return command == nullptr ? help_of_all(columns) : help_of(*command, columns);
}

std::string man_page(std::string_view version) {
  auto text = fmt::format(
      ".TH ASSAY 1 \"\" \"assay {}\"\n"
      ".SH NAME\nassay \\- what a generative model really is, before you run "
      "it\n"
      ".SH SYNOPSIS\n.B assay\n.I COMMAND\n[...]\n.SH COMMANDS\n",
      version);
  for (const auto& command : commands()) {
    text += fmt::format(
        ".SS {}\n{}\n.PP\n", roff(usage(command)), roff(command.description));
    for (const auto& operand : command.operands) {
      text += fmt::format(
          ".TP\n.I {}\n{}\n", roff(operand.name), roff(operand.help));
    }
    for (const auto* option : documents_options(command)) {
      text += fmt::format(
          ".TP\n.B {}\n{}\n", roff(spelled(*option)), roff(explained(*option)));
    }
  }
  return text +
         ".SH EXIT STATUS\n0 sound, 1 findings or failure, 2 usage, 3 could "
         "not decide.\n"
         ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nNo colours when set.\n";
}

std::string completions(std::string_view shell) {
  if (shell == "bash") {
    return bash();
  }
  if (shell == "zsh") {
    return zsh();
  }
  if (shell == "fish") {
    return fish();
  }
  throw std::logic_error("unknown shell");
}

}  // namespace assay::cli
