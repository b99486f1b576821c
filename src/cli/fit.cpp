#include "assay/fit/fit.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

void print_fit(const FitReport& report, Output& output) {
  output.heading(report.path.string());
  output.print(table(
      {{"weights",
        bytes_text(report.need.weights),
        fmt::format("{} ({:.2f} bits a weight)",
                    report.weights_as,
                    report.bits_per_weight)},
       {"KV cache",
        bytes_text(report.need.kv_cache),
        fmt::format("{}, {} positions, batch {}, {} a token",
                    report.cache_as,
                    report.context,
                    report.batch,
                    bytes_text(report.kv_bytes_per_token))},
       {"activations", bytes_text(report.need.activations), "peak of one step"},
       {"program", bytes_text(report.need.program), ""},
       {"together",
        bytes_text(report.need.total()),
        fmt::format("of {} ({} {}), {} free now",
                    bytes_text(report.limit.total),
                    report.limit.device,
                    report.limit.what,
                    bytes_text(report.limit.free))}},
      {1}));
  auto verdict = !report.fits       ? "does not fit"
                 : !report.fits_now ? "fits, but not beside what runs now"
                                    : "fits";
  output.print(fmt::format(
      "{}; the longest context that fits is {}\n",
      output.styled(report.fits ? Style::green : Style::red, verdict),
      report.largest_context));
  for (const auto& advice : report.advice) {
    output.print(fmt::format(
        "  would fit with {}: {}\n", advice.what, bytes_text(advice.total)));
  }
  output.print_findings(report.findings);
}

FitOptions fit_options(const Arguments& arguments) {
  FitOptions options;
  options.context = arguments.dimension("--context");
  options.batch = arguments.dimension("--batch");
  options.bits = arguments.dimension("--bits");
  options.group_size = arguments.dimension("--group-size");
  options.kv_bits = arguments.dimension("--kv-bits");
  options.kv_group_size = arguments.dimension("--kv-group-size");
  return options;
}

int run_fit(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  auto options = fit_options(arguments);
  auto path = arguments.path("MODEL");
  if (arguments.flag("--measure")) {
    auto measured = measure_fit(path, options);
    if (output.json()) {
      output.print_json(to_json(measured));
    } else {
      print_fit(measured.estimate, output);
      output.print(fmt::format("measured {}: the estimate is off by {:+.1f}%\n",
                               bytes_text(measured.measured),
                               100 * measured.error));
    }
    return recording.keep(
        output,
        measured.estimate.fits ? kSound : kFindings,
        [&](const RecordTarget& target) { return record(target, measured); });
  }
  auto report = fit(path, options);
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    print_fit(report, output);
  }
  return recording.keep(
      output,
      report.fits ? kSound : kFindings,
      [&](const RecordTarget& target) { return record(target, report); });
}

}  // namespace

Command fit_command() {
  using enum OptionKind;
  return {
      .name = "fit",
      .summary = "whether a model fits this machine's memory",
      .description =
          "Adds up weights, KV cache and activations for a context, and holds "
          "the sum against this machine. Says what would fit if it doesn't.",
      .operands = {{"MODEL", "a folder or a .gguf file"}},
      .options = {{.name = "--context",
                   .kind = integer,
                   .value = "N",
                   .help = "positions; 0: the model's own, at most 4096",
                   .fallback = "0"},
                  {.name = "--batch",
                   .kind = integer,
                   .value = "N",
                   .help = "sequences at once",
                   .fallback = "1"},
                  {.name = "--bits",
                   .kind = integer,
                   .value = "B",
                   .help = "as if quantized to B bits; 0: as stored",
                   .fallback = "0",
                   .choices = "0 2 3 4 5 6 8 16 32"},
                  {.name = "--group-size",
                   .kind = integer,
                   .value = "N",
                   .help = "with --bits",
                   .fallback = "64",
                   .choices = "32 64 128"},
                  {.name = "--kv-bits",
                   .kind = integer,
                   .value = "B",
                   .help = "bits of the KV cache; 0: as activations",
                   .fallback = "0",
                   .choices = "0 2 3 4 5 6 8"},
                  {.name = "--kv-group-size",
                   .kind = integer,
                   .value = "N",
                   .help = "with --kv-bits",
                   .fallback = "64",
                   .choices = "32 64 128"},
                  {.name = "--measure",
                   .help = "run it, and say how far the estimate is off"},
                  record_option()},
      .run = run_fit};
}

}  // namespace assay::cli
