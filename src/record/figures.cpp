// What was measured, as runs of the ledger.

#include "assay/record/figures.h"

#include <algorithm>

#include <fmt/format.h>

#include "assay/convert/rows.h"
#include "assay/project/blocks.h"
#include "assay/project/fingerprint.h"
#include "assay/project/hash.h"
#include "assay/project/learnings.h"
#include "assay/project/trends.h"

namespace assay {
namespace fs = std::filesystem;
using project::Better;
using project::Facts;
using project::ResultValue;
using project::Run;

namespace {

constexpr double kSame = 0;  ///< the spread of what has no noise

ResultValue exact(std::string what,
                  double value,
                  std::string unit,
                  Better better) {
  return {.what = std::move(what),
          .value = value,
          .unit = std::move(unit),
          .spread = kSame,
          .runs = 1,
          .better = better,
          .settings = {}};
}

ResultValue once(std::string what,
                 double value,
                 std::string unit,
                 Better better) {
  auto result = exact(std::move(what), value, std::move(unit), better);
  result.spread.reset();
  return result;
}

ResultValue bytes(std::string what, uint64_t value, Better better) {
  return exact(std::move(what), static_cast<double>(value), "bytes", better);
}

Better better_of(std::string_view unit) {
  return unit == "tokens/s"               ? Better::more
         : unit == "s" || unit == "bytes" ? Better::less
                                          : Better::neither;
}

// Which text or ids a figure was measured on.
Facts sample_facts(const TokenSample& sample) {
  Facts facts = {{"on", sample.source},
                 {"tokens", fmt::format("{}", sample.ids.size())}};
  if (sample.source == "text" || sample.source == "ids") {
    std::string ids;
    for (auto id : sample.ids) {
      ids += fmt::format("{},", id);
    }
    facts.emplace_back("sample", project::sha256(ids).substr(0, 12));
  }
  return facts;
}

// A model that another figure is held against.
void add_source(const RecordTarget& target,
                const fs::path& path,
                std::string_view role,
                Run& run) {
  auto source = project::identify(target.store, path);
  run.settings.emplace_back(role, source.path);
  run.conditions.emplace_back(fmt::format("{} hash", role), source.hash);
}

Run run_of(const RecordTarget& target,
           std::string kind,
           const fs::path& model) {
  Run run;
  run.kind = std::move(kind);
  run.model = project::identify(target.store, model);
  run.conditions = record_conditions();
  return run;
}

void add_divergence(Run& run, const Divergence& divergence) {
  auto add =
      [&run](const char* what, double value, const char* unit, Better better) {
        run.values.push_back(exact(what, value, unit, better));
      };
  add("KL", divergence.kl_mean, "nats/token", Better::less);
  add("top-1 agreement", 100 * divergence.top1_agreement, "%", Better::more);
  add("largest KL", divergence.kl_max, "nats", Better::less);
  add("largest logit difference", divergence.max_abs, "", Better::less);
}

std::string text_of(const std::optional<Quantization>& quantization) {
  return quantization ? conversion::describe(*quantization) : "none";
}

std::string_view name_of(ConvertTarget target) {
  switch (target) {
    case ConvertTarget::mlx:
      return "mlx";
    case ConvertTarget::gguf:
      return "gguf";
    case ConvertTarget::hf:
      break;
  }
  return "hf";
}

void add_conversion(Run& run, const ConvertReport& report) {
  run.settings.emplace_back("to", name_of(report.to));
  run.settings.emplace_back("quantization", text_of(report.quantization));
  auto share = report.tensors == 0 ? 0.0
                                   : 100 * static_cast<double>(report.exact) /
                                         static_cast<double>(report.tensors);
  run.values.push_back(bytes("size", report.bytes, Better::less));
  run.values.push_back(exact(
      "bits per weight", report.bits_per_weight, "bits", Better::neither));
  run.values.push_back(exact("exact tensors", share, "%", Better::more));
  run.values.push_back(once("time", report.seconds, "s", Better::less));
  run.values.push_back(once("peak memory",
                            static_cast<double>(report.peak_bytes),
                            "bytes",
                            Better::less));
}

void add_estimate(Run& run, const FitReport& report) {
  run.settings = {{"context", fmt::format("{}", report.context)},
                  {"batch", fmt::format("{}", report.batch)},
                  {"weights", report.weights_as},
                  {"cache", report.cache_as}};
  run.conditions.emplace_back(
      "limit",
      fmt::format("{} bytes, {}", report.limit.total, report.limit.what));
  run.conditions.emplace_back("fits", report.fits ? "yes" : "no");
  // What the program itself takes is measured, and varies.
  run.values = {once("memory",
                     static_cast<double>(report.need.total()),
                     "bytes",
                     Better::less),
                bytes("weights", report.need.weights, Better::less),
                bytes("KV cache", report.need.kv_cache, Better::less),
                bytes("activations", report.need.activations, Better::less),
                exact("largest context",
                      report.largest_context,
                      "positions",
                      Better::more)};
}

std::string loss_text(double percent) {
  return fmt::format("{:+.2f}%", percent);
}

std::string cache_text(const nn::CacheOptions& cache) {
  auto text =
      cache.bits == 0 ? std::string("as computed")
      : cache.bits == 16
          ? std::string("float16")
          : fmt::format("{} bits, groups of {}", cache.bits, cache.group_size);
  return cache.max_size == 0
             ? text
             : fmt::format("{}, {} positions", text, cache.max_size);
}

// What was asked for. How many tokens came of it is a condition: where they
// are drawn, it differs from run to run.
Facts generation_settings(const GenerationSetup& setup,
                          const GenerationStats& stats) {
  const auto& options = setup.options;
  Facts facts = {
      {"prompt", fmt::format("{} tokens", stats.prompt_tokens)},
      {"at most", fmt::format("{} tokens", options.max_tokens)},
      {"prefill step", fmt::format("{}", options.prefill_chunk)},
      {"KV cache", cache_text(setup.cache)},
      {"temperature", fmt::format("{:g}", options.sampling.temperature)}};
  if (stats.reused_tokens > 0) {
    facts.emplace_back("of it cached",
                       fmt::format("{} tokens", stats.reused_tokens));
  }
  if (!setup.draft.empty()) {
    facts.emplace_back("guesses", fmt::format("{}", options.num_draft_tokens));
  }
  return facts;
}

project::Decision decision_of(const QuantizeReport& report,
                              const std::string& name,
                              const RecordTarget& target,
                              const std::string& run) {
  auto chosen =
      std::ranges::find(report.tries, true, [](const QuantizeTry& tried) {
        return tried.chosen;
      });
  auto what =
      chosen == report.tries.end() ? std::string("the mix") : chosen->what;
  auto size = [](uint64_t value) {
    return project::figure(static_cast<double>(value), "bytes");
  };
  project::Decision decision;
  decision.title = fmt::format("Quantize {} to a loss of at most {:g}%",
                               name,
                               report.max_loss_percent.value_or(0));
  decision.rationale = fmt::format(
      "Of {} settings measured, {} is the smallest whose perplexity on {} "
      "tokens of {} stays within {:g}%: {}, {:.2f} bits a weight, instead "
      "of {}, {:.2f}.",
      report.tries.size(),
      what,
      report.tokens,
      report.text_source,
      report.max_loss_percent.value_or(0),
      size(report.written.bytes),
      report.written.bits_per_weight,
      size(report.source_bytes),
      report.source_bits_per_weight);
  decision.trade_off = fmt::format(
      "Perplexity {:.4f} instead of {:.4f} ({}), KL {:.3e} nats a token, "
      "top-1 agreement {:.1f}%.",
      report.result_perplexity.perplexity,
      report.source_perplexity.perplexity,
      loss_text(report.result_loss_percent),
      report.result_divergence.kl_mean,
      100 * report.result_divergence.top1_agreement);
  decision.validation =
      fmt::format("Measured on the folder that was written, by `{}` (run {}).",
                  target.command,
                  run);
  return decision;
}

void add(RecordReport& report, RecordReport more) {
  report.written.insert(
      report.written.end(), more.written.begin(), more.written.end());
  report.findings.insert(
      report.findings.end(), more.findings.begin(), more.findings.end());
}

RecordReport record_choice(const RecordTarget& target,
                           const QuantizeReport& report,
                           const project::ModelIdentity& model,
                           const std::string& run) {
  try {
    auto decision = decision_of(report, model.name, target, run);
    auto view = project::record_decision(
        target.store,
        project::block_id("quantize", model.path + " " + decision.title),
        decision);
    return {{fmt::format("{}:{}: {}", view.file, view.line, decision.title)},
            {}};
  } catch (const Error& error) {
    return {{}, {error.finding()}};
  }
}

}  // namespace

RecordReport record(const RecordTarget& target,
                    const BenchReport& report,
                    const BenchOptions& options) {
  auto run = run_of(target, "bench", report.path);
  run.settings = {{"prefill step", fmt::format("{}", options.prefill_chunk)}};
  for (const auto& measured : report.measurements) {
    ResultValue value = once(
        measured.what, measured.value, measured.unit, better_of(measured.unit));
    bool memory = measured.unit == "bytes";
    value.runs = memory                 ? 1
                 : measured.unit == "s" ? options.loads
                                        : options.runs;
    if (value.runs > 1) {
      value.spread = measured.spread;
    }
    for (const auto& [key, text] : measured.conditions) {
      // What is as usual is not said: runs of before lack it.
      if (key == "prompt" || (key == "KV cache" && options.kv_bits != 0)) {
        value.settings.emplace_back(key, text);
      }
    }
    run.values.push_back(std::move(value));
  }
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target,
                    const fs::path& model,
                    const TokenSample& sample,
                    const Perplexity& result) {
  auto run = run_of(target, "perplexity", model);
  run.settings = sample_facts(sample);
  run.settings.emplace_back("window", fmt::format("{}", result.window));
  run.settings.emplace_back("stride", fmt::format("{}", result.stride));
  if (result.prefill_step_size != PerplexityOptions().prefill_step_size) {
    run.settings.emplace_back("prefill step size",
                              fmt::format("{}", result.prefill_step_size));
  }
  run.values = {exact("perplexity", result.perplexity, "", Better::less),
                exact("mean NLL", result.mean_nll, "nats/token", Better::less),
                exact("standard error of NLL",
                      result.standard_error,
                      "nats/token",
                      Better::neither),
                once("speed",
                     static_cast<double>(result.tokens) / result.seconds,
                     "tokens/s",
                     Better::more)};
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target,
                    const fs::path& reference,
                    const fs::path& candidate,
                    const TokenSample& sample,
                    int window,
                    const Divergence& result) {
  auto run = run_of(target, "kl", candidate);
  run.settings = sample_facts(sample);
  run.settings.emplace_back("window", fmt::format("{}", window));
  add_source(target, reference, "reference", run);
  add_divergence(run, result);
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target,
                    const GenerationSetup& setup,
                    const Generation& generation) {
  auto run = run_of(target, "generate", setup.model);
  run.settings = generation_settings(setup, generation.stats);
  if (!setup.draft.empty()) {
    add_source(target, setup.draft, "draft", run);
  }
  run.conditions.emplace_back("generated",
                              fmt::format("{} tokens, ended by {}",
                                          generation.stats.generated_tokens,
                                          name(generation.finish)));
  if (setup.options.sampling.temperature > 0) {
    run.conditions.emplace_back("seed", fmt::format("{}", generation.seed));
  }
  for (const auto& measured : measurements(generation.stats)) {
    // A rate of nothing is none.
    if (measured.unit != "tokens/s" || measured.value > 0) {
      run.values.push_back(once(measured.what,
                                measured.value,
                                measured.unit,
                                better_of(measured.unit)));
    }
  }
  if (const auto& stats = generation.stats; stats.drafted_tokens > 0) {
    run.values.push_back(
        once("accepted guesses",
             100.0 * stats.accepted_tokens / stats.drafted_tokens,
             "%",
             Better::more));
  }
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target, const ConvertReport& report) {
  auto run = run_of(target, "convert", report.destination);
  add_source(target, report.source, "source", run);
  add_conversion(run, report);
  if (report.drift) {
    run.values.push_back(
        exact("drift", report.drift->kl, "nats/token", Better::less));
  }
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target, const QuantizeReport& report) {
  auto run = run_of(target, "quantize", report.destination);
  add_source(target, report.source, "source", run);
  run.settings.emplace_back("on", report.text_source);
  run.settings.emplace_back("tokens", fmt::format("{}", report.tokens));
  if (report.max_loss_percent) {
    run.settings.emplace_back("max loss",
                              fmt::format("{:g}%", *report.max_loss_percent));
  }
  run.values = {
      exact(
          "perplexity", report.result_perplexity.perplexity, "", Better::less),
      exact("perplexity of the source",
            report.source_perplexity.perplexity,
            "",
            Better::neither),
      exact("loss", report.result_loss_percent, "%", Better::less)};
  add_divergence(run, report.result_divergence);
  add_conversion(run, report.written);
  auto model = run.model;
  auto recorded = record_run(target, std::move(run));
  if (report.max_loss_percent) {
    auto id = recorded.written.front();
    add(recorded,
        record_choice(target, report, model, id.substr(id.rfind(' ') + 1)));
  }
  return recorded;
}

RecordReport record(const RecordTarget& target, const CompareReport& report) {
  auto run = run_of(target, "compare", report.b);
  add_source(target, report.a, "reference", run);
  auto count = [&run](const char* what, size_t value) {
    run.values.push_back(
        exact(what, static_cast<double>(value), "", Better::less));
  };
  count("different config fields", report.config.size());
  count("different shapes", report.shapes.size());
  if (report.tokenizer) {
    count("different tokens",
          static_cast<size_t>(report.tokenizer->different_tokens));
  }
  if (!report.weights.empty()) {
    count("different weights", report.weights.size() - report.equal_weights);
  }
  if (report.logits) {
    run.settings.emplace_back("tokens",
                              fmt::format("{}", report.logits->tokens));
    add_divergence(run, report.logits->divergence);
  }
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target, const FitReport& report) {
  auto run = run_of(target, "fit", report.path);
  add_estimate(run, report);
  return record_run(target, std::move(run));
}

RecordReport record(const RecordTarget& target,
                    const FitMeasurement& measurement) {
  auto run = run_of(target, "fit", measurement.estimate.path);
  add_estimate(run, measurement.estimate);
  run.values.push_back(once("measured memory",
                            static_cast<double>(measurement.measured),
                            "bytes",
                            Better::less));
  run.values.push_back(once(
      "error of the estimate", 100 * measurement.error, "%", Better::neither));
  return record_run(target, std::move(run));
}

}  // namespace assay
