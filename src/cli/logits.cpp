#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/output.h"
#include "assay/cli/sample_options.h"
#include "assay/cli/verbs.h"
#include "assay/measure/logits_file.h"

namespace assay::cli {
namespace {

int run_logits(const Arguments& arguments, Output& output) {
  auto file = arguments.maybe_text("--output");
  if (!file) {
    throw UsageError("--output is missing (a .safetensors file)");
  }
  auto report = write_logits(arguments.path("MODEL"),
                             sample_options(arguments),
                             *file,
                             output.progress());
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    output.print(fmt::format("{}: logits ({}, {}) float32, {}\n",
                             report.output.string(),
                             report.tokens.size(),
                             report.vocab,
                             bytes_text(report.bytes)));
  }
  return kSound;
}

}  // namespace

Command logits_command() {
  Command command = {
      .name = "logits",
      .summary = "the logits of a text, as a file",
      .description =
          "Writes a safetensors file with float32 `logits` [length, vocab] and "
          "int32 `tokens` [length], so that any other implementation can be "
          "compared: `compare` takes such a file on either side.",
      .operands = {{"MODEL", "a folder or a .gguf file"}},
      .options = {{.name = "--output",
                   .kind = OptionKind::path,
                   .value = "FILE",
                   .help = "where to write them",
                   .short_name = "-o"}},
      .run = run_logits};
  for (auto& option : sample_option_table("0")) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
