#include "assay/generate/chat.h"

#include <iostream>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/generation_options.h"
#include "assay/cli/verbs.h"
#include "assay/core/platform.h"

namespace assay::cli {
namespace {

constexpr std::string_view kHelp =
    "/clear forgets the conversation, /exit ends it\n";

// One turn. False where the conversation ends.
bool turn(ChatSession& chat,
          const std::string& line,
          const GenerateOptions& options,
          Output& output) {
  if (line == "/exit" || line == "/quit") {
    return false;
  }
  if (line == "/clear") {
    chat.clear();
    return true;
  }
  if (line == "/help") {
    output.stream(kHelp);
    return true;
  }
  if (line.empty()) {
    return true;
  }
  auto generation =
      chat.send(line, options, [&output](const GeneratedToken& token) {
        if (!output.json()) {
          output.stream(token.text);
        }
        return true;
      });
  if (output.json()) {
    output.print(to_json(generation).dump() + "\n");
    return true;
  }
  output.stream("\n");
  for (const auto& finding : generation.findings) {
    output.note(to_text(finding));
  }
  output.note(fmt::format("[{}]", describe(generation.stats)));
  return true;
}

int run_chat(const Arguments& arguments, Output& output) {
  auto options = generate_options(arguments);
  auto session = start_session(arguments);
  auto file = arguments.maybe_text("--chat-template");
  auto chat = ChatSession(*session->generator,
                          arguments.maybe_text("--system-prompt").value_or(""),
                          template_variables(arguments),
                          file ? read_text(*file, 1 << 20) : std::string());
  bool prompting = is_terminal(0) && !output.json();
  if (prompting) {
    output.stream(kHelp);
  }
  std::string line;
  while (true) {
    if (prompting) {
      output.stream("> ");
    }
    if (!std::getline(std::cin, line) || !turn(chat, line, options, output)) {
      return kSound;
    }
  }
}

}  // namespace

Command chat_command() {
  using enum OptionKind;
  Command command = {
      .name = "chat",
      .summary = "a conversation",
      .description =
          "Reads lines, answers each. What was said before is not run again.",
      .operands = {{"MODEL", "a folder or a .gguf file"}},
      .options = {{.name = "--system-prompt",
                   .kind = text,
                   .value = "TEXT",
                   .help = "the system message"}},
      .run = run_chat};
  for (auto& option : generation_options()) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
