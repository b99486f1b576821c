#include "assay/quantize/quantize.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/convert_view.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/sample_options.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

void print_tries(const QuantizeReport& report, Output& output) {
  std::vector<std::vector<std::string>> rows = {{"",
                                                 "tried",
                                                 "bits/weight",
                                                 "size",
                                                 "perplexity",
                                                 "loss",
                                                 "KL",
                                                 "top-1"}};
  rows.push_back({"",
                  "source",
                  fmt::format("{:.2f}", report.source_bits_per_weight),
                  bytes_text(report.source_bytes),
                  fmt::format("{:.4f}", report.source_perplexity.perplexity),
                  "",
                  "",
                  ""});
  for (const auto& tried : report.tries) {
    rows.push_back({tried.chosen ? "*" : "",
                    tried.what,
                    fmt::format("{:.2f}", tried.bits_per_weight),
                    bytes_text(tried.bytes),
                    fmt::format("{:.4f}", tried.perplexity),
                    fmt::format("{:+.2f}%", tried.loss_percent),
                    fmt::format("{:.2e}", tried.kl),
                    fmt::format("{:.1f}%", 100 * tried.top1_agreement)});
  }
  output.print(table(rows, {2, 3, 4, 5, 6, 7}) + "\n");
}

void print_quantize(const QuantizeReport& report, Output& output) {
  if (!report.tries.empty()) {
    print_tries(report, output);
  }
  print(report.written, output);
  output.row("perplexity",
             fmt::format("{:.4f}, of the source {:.4f}: {:+.2f}% ({} tokens "
                         "of {})",
                         report.result_perplexity.perplexity,
                         report.source_perplexity.perplexity,
                         report.result_loss_percent,
                         report.tokens,
                         report.text_source));
  output.row("KL",
             fmt::format("{:.3e} nats a token, top-1 agreement {:.1f}%",
                         report.result_divergence.kl_mean,
                         100 * report.result_divergence.top1_agreement));
  output.row("took", fmt::format("{:.1f} s", report.seconds));
  output.print_findings(report.findings);
}

// "1" or "1%".
double percent(std::string text) {
  if (text.ends_with('%')) {
    text.pop_back();
  }
  char* end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(value >= 0)) {
    throw UsageError(fmt::format("--max-loss: '{}' is no percentage", text));
  }
  return value;
}

QuantizeOptions quantize_options(const Arguments& arguments) {
  QuantizeOptions options;
  options.bits = arguments.dimension("--bits");
  options.group_size = arguments.dimension("--group-size");
  options.mode = arguments.maybe_text("--mode").value_or("");
  options.recipe = arguments.maybe_text("--recipe").value_or("");
  if (auto loss = arguments.maybe_text("--max-loss")) {
    options.max_loss_percent = percent(*loss);
  }
  options.sample = sample_options(arguments);
  options.max_tries = arguments.dimension("--max-tries");
  options.allow_larger = arguments.flag("--allow-larger");
  options.force = arguments.flag("--force");
  options.dtype = arguments.maybe_text("--dtype").value_or("");
  return options;
}

int run_quantize(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  auto report = quantize(arguments.path("SRC"),
                         arguments.path("DST"),
                         quantize_options(arguments),
                         output.progress());
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    print_quantize(report, output);
  }
  return recording.keep(
      output,
      has_errors(report.findings) ? kFindings : kSound,
      [&](const RecordTarget& target) { return record(target, report); });
}

}  // namespace

Command quantize_command() {
  using enum OptionKind;
  Command command = {
      .name = "quantize",
      .summary = "a model in fewer bits, its loss measured",
      .description =
          "Uniform (--bits, --mode), by a named recipe, or with --max-loss the "
          "smallest mix whose measured perplexity stays within that percentage "
          "of the source's. Every figure is measured; the last ones on the "
          "folder that was written.",
      .operands = {{"SRC", "a folder or a .gguf file"},
                   {"DST", "a folder that is not there yet"}},
      .options = {{.name = "--max-loss",
                   .kind = text,
                   .value = "X%",
                   .help = "largest increase of perplexity"},
                  {.name = "--max-tries",
                   .kind = integer,
                   .value = "N",
                   .help = "with --max-loss: most mixes that are measured",
                   .fallback = "8"},
                  {.name = "--dtype",
                   .kind = text,
                   .value = "TYPE",
                   .help = "type of scales and of what is not quantized",
                   .choices = "float16 bfloat16 float32"},
                  {.name = "--allow-larger",
                   .help = "let the result be larger than the source"},
                  {.name = "--force",
                   .help = "replace DST, at the end, in one step"},
                  record_option()},
      .run = run_quantize};
  for (auto& option :
       quantization_options("the same bits for all; 0: the mode's own")) {
    command.options.push_back(option);
  }
  for (auto& option : sample_option_table("512")) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
