#include <cstdlib>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/arch/loaded_model.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/sample_options.h"
#include "assay/cli/verbs.h"
#include "assay/measure/bench.h"
#include "assay/measure/divergence.h"
#include "assay/measure/perplexity.h"

namespace assay::cli {
namespace {

std::vector<int> lengths(const Arguments& arguments) {
  std::vector<int> result;
  for (const auto& text : arguments.all("--prompt-length")) {
    result.push_back(static_cast<int>(std::strtol(text.c_str(), nullptr, 10)));
  }
  return result.empty() ? BenchOptions().prompt_lengths : result;
}

int run_bench(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  BenchOptions options;
  options.prompt_lengths = lengths(arguments);
  options.decode_tokens = arguments.dimension("--decode");
  options.runs = arguments.dimension("--runs");
  options.prefill_chunk = arguments.dimension("--prefill-step-size");
  options.threads = arguments.dimension("--threads");
  options.kv_bits = arguments.dimension("--kv-bits");
  auto report = bench(arguments.path("MODEL"), options, output.progress());
  auto code = recording.keep(output, kSound, [&](const RecordTarget& target) {
    return record(target, report, options);
  });
  if (output.json()) {
    output.print_json(to_json(report));
    return code;
  }
  output.heading(report.path.string());
  std::vector<std::vector<std::string>> rows = {
      {"what", "median", "spread", "unit"}};
  for (const auto& measured : report.measurements) {
    bool memory = measured.unit == "bytes";
    rows.push_back({measured.what,
                    memory ? bytes_text(static_cast<uint64_t>(measured.value))
                           : fmt::format("{:.4g}", measured.value),
                    memory ? "" : fmt::format("{:.2g}", measured.spread),
                    memory ? "" : measured.unit});
  }
  output.print(table(rows, {1, 2}));
  if (!report.measurements.empty()) {
    for (const auto& [name, value] : report.measurements.front().conditions) {
      output.row(name, value);
    }
  }
  return code;
}

int run_perplexity(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  auto model = arch::load_model(arguments.path("MODEL"));
  auto sample = sample_tokens(model, sample_options(arguments));
  auto result = perplexity(
      model,
      sample.ids,
      {.window = arguments.dimension("--window"),
       .stride = arguments.dimension("--stride"),
       .prefill_step_size = arguments.dimension("--prefill-step-size")},
      output.progress());
  auto code = recording.keep(output, kSound, [&](const RecordTarget& target) {
    return record(target, arguments.path("MODEL"), sample, result);
  });
  if (output.json()) {
    output.print_json(to_json(result));
    return code;
  }
  output.print(fmt::format(
      "perplexity {:.5f} (mean NLL {:.5f} +- {:.5f} nats; {} tokens of {} in "
      "windows of {}; {:.1f} tokens/s)\n",
      result.perplexity,
      result.mean_nll,
      result.standard_error,
      result.tokens,
      sample.source,
      result.window,
      static_cast<double>(result.tokens) / result.seconds));
  return code;
}

int run_kl(const Arguments& arguments, Output& output) {
  auto other = arguments.maybe_text("CANDIDATE");
  if (!other) {
    throw UsageError("measure kl takes two models: the reference and another");
  }
  Recording recording(arguments);
  auto reference = arch::load_model(arguments.path("MODEL"));
  auto candidate = arch::load_model(*other);
  auto sample = sample_tokens(reference, sample_options(arguments));
  auto result = kl(reference,
                   candidate,
                   sample.ids,
                   arguments.dimension("--window"),
                   output.progress());
  auto code = recording.keep(output, kSound, [&](const RecordTarget& target) {
    return record(target,
                  arguments.path("MODEL"),
                  *other,
                  sample,
                  arguments.dimension("--window"),
                  result);
  });
  if (output.json()) {
    output.print_json(to_json(result));
    return code;
  }
  output.print(fmt::format(
      "KL {:.4e} nats a token (at most {:.4e}), top-1 agreement {:.2f}%, "
      "largest difference of logits {:.3e} ({} positions of {})\n",
      result.kl_mean,
      result.kl_max,
      100 * result.top1_agreement,
      result.max_abs,
      result.positions,
      sample.source));
  return code;
}

int run_measure(const Arguments& arguments, Output& output) {
  auto what = arguments.text("WHAT");
  if (what == "bench") {
    return run_bench(arguments, output);
  }
  if (what == "perplexity") {
    return run_perplexity(arguments, output);
  }
  if (what == "kl") {
    return run_kl(arguments, output);
  }
  throw UsageError(
      fmt::format("measure bench, perplexity or kl, not '{}'", what));
}

}  // namespace

Command measure_command() {
  using enum OptionKind;
  Command command = {
      .name = "measure",
      .summary = "speed and memory (bench), perplexity, kl",
      .description =
          "bench: tokens/s reading and writing, load time and peak memory, "
          "medians with spread. perplexity: of a text. kl: how far a second "
          "model's predictions are from the first's.",
      .operands = {{"WHAT", "bench, perplexity or kl"},
                   {"MODEL", "a folder or a .gguf file"},
                   {"CANDIDATE", "kl: the second model", false}},
      .options = {{.name = "--prompt-length",
                   .kind = integer,
                   .value = "N",
                   .help = "bench: tokens of the prompt (128 and 512); may be "
                           "repeated",
                   .many = true},
                  {.name = "--decode",
                   .kind = integer,
                   .value = "N",
                   .help = "bench: tokens written after it",
                   .fallback = "64"},
                  {.name = "--runs",
                   .kind = integer,
                   .value = "N",
                   .help = "bench: runs that count",
                   .fallback = "5"},
                  {.name = "--prefill-step-size",
                   .kind = integer,
                   .value = "N",
                   .help = "bench, perplexity: positions of a prompt at "
                           "once; 1: as text is generated",
                   .fallback = "512"},
                  {.name = "--kv-bits",
                   .kind = integer,
                   .value = "B",
                   .help = "bench: bits of the KV cache; 0: as computed, "
                           "16: float16",
                   .fallback = "0",
                   .choices = "0 16"},
                  {.name = "--window",
                   .kind = integer,
                   .value = "N",
                   .help = "perplexity, kl: tokens run at once",
                   .fallback = "512"},
                  {.name = "--stride",
                   .kind = integer,
                   .value = "N",
                   .help = "perplexity: between windows; 0: no overlap",
                   .fallback = "0"},
                  record_option()},
      .run = run_measure};
  for (auto& option : sample_option_table("0")) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
