#include "assay/measure/compare.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/sample_options.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

// Lists are long (factors, layer types); the first of them will do.
std::string shown(const Json& value) {
  constexpr size_t kMost = 60;
  auto text = value.is_null() ? std::string("-") : value.dump();
  return text.size() > kMost ? text.substr(0, kMost) + "..." : text;
}

void print_fields(std::string_view head,
                  const std::vector<FieldDifference>& fields,
                  Output& output) {
  if (fields.empty()) {
    return;
  }
  std::vector<std::vector<std::string>> rows = {{std::string(head), "A", "B"}};
  for (const auto& field : fields) {
    rows.push_back({field.field, shown(field.a), shown(field.b)});
  }
  output.print("\n" + table(rows));
}

void print_tokenizer(const TokenizerComparison& tokenizer, Output& output) {
  if (tokenizer.equal()) {
    output.row("tokenizers", "equal");
    return;
  }
  output.row("tokenizers",
             fmt::format("{} and {} ids, {} stand for other tokens; the probe "
                         "text is encoded {}; templates are {}",
                         tokenizer.size_a,
                         tokenizer.size_b,
                         tokenizer.different_tokens,
                         tokenizer.same_encoding ? "alike" : "differently",
                         tokenizer.same_template ? "equal" : "different"));
  for (const auto& example : tokenizer.examples) {
    output.print(fmt::format("  {}\n", example));
  }
  print_fields("special token", tokenizer.special, output);
}

void print_weights(const CompareReport& report, Output& output) {
  if (report.weights.empty()) {
    return;
  }
  output.row("weights",
             fmt::format("{} of {} equal bit by bit",
                         report.equal_weights,
                         report.weights.size()));
  std::vector<const WeightDifference*> different;
  for (const auto& weight : report.weights) {
    if (!weight.equal()) {
      different.push_back(&weight);
    }
  }
  std::ranges::stable_sort(
      different, std::greater<>{}, &WeightDifference::rms_relative);
  constexpr size_t kMost = 10;
  std::vector<std::vector<std::string>> rows = {
      {"furthest apart", "A", "B", "RMS error", "largest", "cosine"}};
  for (size_t i = 0; i < std::min(kMost, different.size()); ++i) {
    const auto& weight = *different[i];
    rows.push_back({weight.name,
                    weight.stored_a,
                    weight.stored_b,
                    fmt::format("{:.2e}", weight.rms_relative),
                    fmt::format("{:.2e}", weight.max_abs),
                    fmt::format("{:.6f}", weight.cosine)});
  }
  if (!different.empty()) {
    output.print("\n" + table(rows, {3, 4, 5}));
  }
}

void print_compare(const CompareReport& report, Output& output) {
  output.row("A",
             fmt::format("{} {}", report.a.string(), report.architecture_a));
  output.row("B",
             fmt::format("{} {}", report.b.string(), report.architecture_b));
  print_fields("config", report.config, output);
  if (report.tokenizer) {
    print_tokenizer(*report.tokenizer, output);
  }
  for (const auto& shape : report.shapes) {
    output.row("shape",
               fmt::format("{}: {} / {}",
                           shape.name,
                           shape.a ? to_string(*shape.a) : "absent",
                           shape.b ? to_string(*shape.b) : "absent"));
  }
  print_weights(report, output);
  if (report.logits) {
    const auto& logits = report.logits->divergence;
    output.row("logits",
               fmt::format("KL {:.3e} nats a token (at most {:.3e}), top-1 "
                           "agreement {:.2f}%, largest difference {:.3e}, "
                           "{} tokens",
                           logits.kl_mean,
                           logits.kl_max,
                           100 * logits.top1_agreement,
                           logits.max_abs,
                           report.logits->tokens));
  }
  output.print_findings(report.findings);
  output.print(report.equal() ? "equal\n" : "different\n");
}

int run_compare(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  CompareOptions options;
  options.weights = !arguments.flag("--no-weights");
  options.logits = !arguments.flag("--no-logits");
  options.sample = sample_options(arguments);
  auto report = compare(
      arguments.path("A"), arguments.path("B"), options, output.progress());
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    print_compare(report, output);
  }
  return recording.keep(
      output,
      report.equal() ? kSound : kFindings,
      [&](const RecordTarget& target) { return record(target, report); });
}

}  // namespace

Command compare_command() {
  Command command = {
      .name = "compare",
      .summary = "in what two models differ",
      .description =
          "Configs (in either spelling), tokenizers, shapes, every weight, and "
          "the logits of a text, of two models of any format. Either may be a "
          "file of `logits`. Exit 0 if they are equal, 1 if not.",
      .operands = {{"A", "the reference"}, {"B", "what is held against it"}},
      .options = {{.name = "--no-weights", .help = "leave the weights out"},
                  {.name = "--no-logits", .help = "leave the logits out"},
                  record_option()},
      .run = run_compare};
  for (auto& option : sample_option_table("256")) {
    command.options.push_back(option);
  }
  return command;
}

}  // namespace assay::cli
