#include "assay/generate/generate.h"

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/generation_options.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"
#include "assay/text/chat_template.h"

namespace assay::cli {
namespace {

// The prompt, "-" for standard input.
std::string prompt_text(const Arguments& arguments) {
  auto prompt = arguments.maybe_text("--prompt");
  if (!prompt) {
    throw UsageError("--prompt is missing (a text, or - for standard input)");
  }
  if (*prompt == "-") {
    return {std::istreambuf_iterator<char>(std::cin), {}};
  }
  return *prompt;
}

// The ids to start from: through the model's template, if it has one and that
// was not declined.
std::vector<int32_t> prompt_ids(const Arguments& arguments, Session& session) {
  auto text = prompt_text(arguments);
  auto file = arguments.maybe_text("--chat-template");
  auto chat_template =
      file ? read_text(*file, 1 << 20) : session.model.files->chat_template;
  if (chat_template.empty() || arguments.flag("--ignore-chat-template")) {
    return session.tokenizer->encode(text);
  }
  Json messages = Json::array();
  if (auto system = arguments.maybe_text("--system-prompt")) {
    messages.push_back({{"role", "system"}, {"content", *system}});
  }
  messages.push_back({{"role", "user"}, {"content", text}});
  auto variables = template_variables(arguments);
  auto rendered =
      render_chat(chat_template,
                  messages,
                  session.generator->special(),
                  {.variables = variables.is_null() ? nullptr : &variables});
  // The template writes the special tokens itself.
  return session.tokenizer->encode(rendered, false);
}

OnToken printer(const Arguments& arguments, Output& output) {
  if (output.json()) {
    return {};
  }
  bool logprobs = arguments.has("--logprobs");
  return [&output, logprobs](const GeneratedToken& token) {
    if (!logprobs) {
      output.stream(token.text);
      return true;
    }
    auto line =
        fmt::format("{:>7} {:>9.4f}  {}", token.id, token.logprob, token.text);
    for (const auto& other : token.top) {
      line += fmt::format(
          "\n{:>7} {:>9.4f}    {}", other.id, other.logprob, other.token);
    }
    output.stream(line + "\n");
    return true;
  };
}

void print_end(const Generation& generation,
               const GenerateOptions& options,
               Output& output) {
  output.print("\n");
  for (const auto& finding : generation.findings) {
    output.note(to_text(finding));
  }
  auto seed = options.sampling.temperature > 0
                  ? fmt::format(", seed {}", generation.seed)
                  : "";
  output.note(fmt::format("[{}{}; ended by {}]",
                          describe(generation.stats),
                          seed,
                          name(generation.finish)));
}

int run_generate(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  auto options = generate_options(arguments);
  if (auto top = arguments.maybe_integer("--logprobs")) {
    options.top_logprobs = static_cast<int>(*top);
  }
  auto session = start_session(arguments);
  auto& generator = *session->generator;
  auto cache_file = arguments.maybe_text("--prompt-cache-file");
  if (cache_file && std::filesystem::exists(*cache_file)) {
    generator.load_cache(*cache_file);
  }
  auto ids = prompt_ids(arguments, *session);
  auto generation = generator.generate(
      ids, options, printer(arguments, output), output.progress());
  if (cache_file) {
    generator.save_cache(*cache_file);
  }
  if (output.json()) {
    output.print_json(to_json(generation));
  } else {
    print_end(generation, options, output);
  }
  return recording.keep(output, kSound, [&](const RecordTarget& target) {
    return record(target,
                  {.model = arguments.path("MODEL"),
                   .draft = arguments.maybe_text("--draft-model").value_or(""),
                   .options = options,
                   .cache = cache_options(arguments)},
                  generation);
  });
}

}  // namespace

Command generate_command() {
  using enum OptionKind;
  Command command = {
      .name = "generate",
      .summary = "text from a prompt",
      .description =
          "Runs the prompt through the model's chat template and streams the "
          "answer. Runs any model that Assay reads, GGUFs too.",
      .operands = {{"MODEL", "a folder or a .gguf file"}},
      .options = {{.name = "--prompt",
                   .kind = text,
                   .value = "TEXT",
                   .help = "what to answer; - reads standard input",
                   .short_name = "-p"},
                  {.name = "--system-prompt",
                   .kind = text,
                   .value = "TEXT",
                   .help = "the system message"},
                  {.name = "--ignore-chat-template",
                   .help = "continue the prompt as it is"},
                  {.name = "--logprobs",
                   .kind = integer,
                   .value = "K",
                   .help = "a line a token, with log-probabilities of it and "
                           "of the K likeliest"},
                  {.name = "--prompt-cache-file",
                   .kind = path,
                   .value = "FILE",
                   .help = "start from the caches saved here, and save them"},
                  record_option()},
      .run = run_generate};
  for (auto& option : generation_options()) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
