#include "assay/convert/convert.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/convert_view.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

void print_changed(const ConvertReport& report, Output& output) {
  constexpr size_t kMost = 12;
  std::vector<std::vector<std::string>> rows = {
      {"changed", "from", "to", "RMS error", "largest"}};
  for (const auto& tensor : report.changed) {
    if (rows.size() > kMost) {
      break;
    }
    rows.push_back({tensor.name,
                    tensor.from,
                    tensor.to,
                    fmt::format("{:.2e}", tensor.rms_relative),
                    fmt::format("{:.2e}", tensor.max_abs)});
  }
  output.print(table(rows, {3, 4}));
  if (report.changed.size() > kMost) {
    output.print(fmt::format("... and {} more (--json has all)\n",
                             report.changed.size() - kMost));
  }
}

ConvertOptions convert_options(const Arguments& arguments) {
  ConvertOptions options;
  options.to = *convert_target(arguments.text("--to"));
  options.bits = arguments.dimension("--bits");
  options.group_size = arguments.dimension("--group-size");
  options.mode = arguments.maybe_text("--mode").value_or("");
  options.recipe = arguments.maybe_text("--recipe").value_or("");
  options.dtype = arguments.maybe_text("--dtype").value_or("");
  options.gguf_type = arguments.maybe_text("--type").value_or("");
  if (arguments.dimension("--shard-size") == 0) {
    throw UsageError("--shard-size: at least 1 MB");
  }
  options.max_shard_bytes =
      static_cast<uint64_t>(arguments.integer("--shard-size")) * 1'000'000;
  options.force = arguments.flag("--force");
  options.verify = !arguments.flag("--no-verify");
  return options;
}

int run_convert(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  auto report = convert(arguments.path("SRC"),
                        arguments.path("DST"),
                        convert_options(arguments),
                        output.progress());
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    print(report, output);
  }
  return recording.keep(
      output,
      has_errors(report.findings) ? kFindings : kSound,
      [&](const RecordTarget& target) { return record(target, report); });
}

}  // namespace

void print(const ConvertReport& report, Output& output) {
  output.heading(fmt::format(
      "{} -> {}", report.source.string(), report.destination.string()));
  output.row("written",
             fmt::format("{} tensors, {} parameters, {} in {} file{}",
                         report.tensors,
                         count_text(report.parameters),
                         bytes_text(report.bytes),
                         report.files,
                         report.files == 1 ? "" : "s"));
  output.row("weights",
             fmt::format("{:.2f} bits a weight, {} matrices quantized",
                         report.bits_per_weight,
                         report.quantized));
  output.row("exact",
             fmt::format("{} of {} tensors", report.exact, report.tensors));
  output.row(
      "time and memory",
      fmt::format(
          "{:.2f} s, peak {}", report.seconds, bytes_text(report.peak_bytes)));
  if (!report.changed.empty()) {
    print_changed(report, output);
  }
  if (report.drift) {
    output.row("drift",
               fmt::format("KL {:.2e} nats, top-1 agreement {:.1f}%, logits "
                           "differ by {:.2e} in the mean, {:.2e} at most "
                           "({} tokens)",
                           report.drift->kl,
                           100 * report.drift->top1_agreement,
                           report.drift->mean_abs,
                           report.drift->max_abs,
                           report.drift->tokens));
  }
  output.print_findings(report.findings);
}

std::vector<Option> quantization_options(std::string_view bits_help) {
  using enum OptionKind;
  return {{.name = "--bits",
           .kind = integer,
           .value = "B",
           .help = bits_help,
           .fallback = "0",
           .choices = "0 2 3 4 5 6 8"},
          {.name = "--group-size",
           .kind = integer,
           .value = "N",
           .help = "weights that share a scale; 0: the mode's own",
           .fallback = "0",
           .choices = "0 16 32 64 128"},
          {.name = "--mode",
           .kind = text,
           .value = "MODE",
           .help = "how to quantize",
           .choices = "affine mxfp4 mxfp8 nvfp4"},
          {.name = "--recipe",
           .kind = text,
           .value = "NAME",
           .help = "a mix of bits by layer, as mlx-lm names them",
           .choices = "mixed_2_6 mixed_3_4 mixed_3_6 mixed_4_6"}};
}

Command convert_command() {
  using enum OptionKind;
  Command command = {
      .name = "convert",
      .summary = "GGUF or Hugging Face to MLX, and back",
      .description =
          "Writes a model in another layout, tensor by tensor, in bounded "
          "memory. Without --bits everything that MLX can hold exactly stays "
          "exact. Then the logits of source and result are compared. The "
          "destination appears whole or not at all.",
      .operands = {{"SRC",
                    "a folder, a .gguf, a .safetensors or a PyTorch file"},
                   {"DST", "a folder (to gguf: a file) that is not there yet"}},
      .options = {{.name = "--to",
                   .kind = text,
                   .value = "FORMAT",
                   .help = "what to write",
                   .fallback = "mlx",
                   .choices = "mlx gguf hf"},
                  {.name = "--dtype",
                   .kind = text,
                   .value = "TYPE",
                   .help =
                       "type of what is not quantized; the source's by itself",
                   .choices = "float16 bfloat16 float32"},
                  {.name = "--type",
                   .kind = text,
                   .value = "TYPE",
                   .help = "to gguf: type of the matrices",
                   .choices = "F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1"},
                  {.name = "--shard-size",
                   .kind = integer,
                   .value = "MB",
                   .help = "largest file of tensors",
                   .fallback = "5000"},
                  {.name = "--force",
                   .help = "replace DST, at the end, in one step"},
                  {.name = "--no-verify",
                   .help = "do not compare the logits of source and result"},
                  record_option()},
      .run = run_convert};
  for (auto& option :
       quantization_options("quantize to B bits; 0: keep what is there")) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
