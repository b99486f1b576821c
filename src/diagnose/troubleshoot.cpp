#include "assay/diagnose/troubleshoot.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <new>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/against.h"
#include "assay/check/doctor.h"
#include "assay/core/finding_json.h"
#include "assay/diagnose/repairs.h"
#include "assay/diagnose/trial.h"
#include "assay/fit/fit.h"
#include "assay/formats/model_kind.h"
#include "assay/inspect/inspect.h"
#include "assay/measure/bench.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

using Findings = std::vector<Finding>;
using Look = std::function<Findings(CheckStep&)>;

constexpr int kShortContext = 4096;
constexpr double kMegabyte = 1e6;
constexpr double kBenchable = 100 * kMegabyte;  // smaller ones show overhead
constexpr double kFarBelow = 0.25;  // of what the memory's bandwidth allows

std::string size_text(double bytes) {
  return fmt::format("{:.2f} GB", bytes / 1e9);
}

std::string quoted(const fs::path& path) {
  auto text = path.string();
  bool plain = text.find_first_of(" '\"$`\\&|;<>()*?[]#~!") == text.npos;
  if (plain) {
    return text;
  }
  std::string out = "'";
  for (char c : text) {
    out += c == '\'' ? "'\\''" : std::string(1, c);
  }
  return out + "'";
}

/** One run; each stage leaves what later ones need. */
class Inquiry {
 public:
  Inquiry(Symptom symptom,
          const fs::path& path,
          const TroubleshootOptions& options)
      : options_(options) {
    diagnosis_.symptom = symptom;
    diagnosis_.path = path;
  }

  Diagnosis run() {
    switch (diagnosis_.symptom) {
      case Symptom::wont_load:
        wont_load();
        break;
      case Symptom::oom:
        out_of_memory();
        break;
      case Symptom::slow:
        slow();
        break;
      case Symptom::wrong_output:
        wrong_output();
        break;
    }
    return finish();
  }

 private:
  void wont_load() {
    headers();
    against();
    memory("it fits the machine's memory");
    whole("every tensor's values can be read, and a short text runs");
  }

  void out_of_memory() {
    memory("weights, cache and activations fit, for a context of 4096 or less");
    whole_context();
    headers();
    machine();
  }

  void slow() {
    headers();
    memory("it does not have to be paged from the disk");
    machine();
    benchmark();
  }

  void wrong_output() {
    headers();
    against();
    whole("all values are finite and filled, and a short text is no surprise");
    trial();
    beside_good();
  }

  bool explained() const {
    return !options_.all &&
           std::ranges::any_of(diagnosis_.suspects, [](const Suspect& one) {
             return one.weight == Weight::explains;
           });
  }

  /** Runs a stage unless an earlier one explains all; `clean` is what an
   * outcome without suspects rules out. */
  void stage(const char* name, const std::string& clean, const Look& look) {
    if (explained()) {
      skip(name, "not needed: explained by what came before");
      return;
    }
    CheckStep step{name, CheckStep::Outcome::passed, "", 0, 0};
    auto start = std::chrono::steady_clock::now();
    Findings findings;
    try {
      findings = look(step);
    } catch (const Error& error) {
      if (cannot_run(error.finding().id)) {
        step.outcome = CheckStep::Outcome::skipped;
        step.detail = to_line(error.finding());
        incomplete_ = true;
      } else {
        findings.push_back(error.finding());
      }
    } catch (const std::bad_alloc&) {
      findings.push_back(make_finding(
          "memory.exhausted", name, "memory for the stage", "none left"));
    } catch (const std::exception& error) {
      findings.push_back(make_finding(
          "internal.failure", name, "a stage that ends", error.what()));
    }
    std::chrono::duration<double> spent =
        std::chrono::steady_clock::now() - start;
    step.seconds = spent.count();
    step.findings = add(findings, name);
    if (step.findings > 0) {
      step.outcome = CheckStep::Outcome::findings;
    } else if (step.outcome == CheckStep::Outcome::passed && !clean.empty()) {
      diagnosis_.ruled_out.push_back(clean);
    }
    diagnosis_.stages.push_back(std::move(step));
  }

  // Not what is wrong, but why this stage cannot look: headers have told it.
  static bool cannot_run(std::string_view id) {
    return id == "arch.unsupported" || id == "config.missing" ||
           id == "tokenizer.missing";
  }

  /** A stage that runs the model, or asks its module tree. */
  void stage_of_tree(const char* name,
                     const std::string& clean,
                     const Look& look) {
    if (kind_of(diagnosis_.path) != ModelKind::model) {
      skip(name, "pipelines, components and adapters have no module tree");
      incomplete_ = true;
      return;
    }
    stage(name, clean, look);
  }

  void skip(const char* name, std::string why) {
    diagnosis_.stages.push_back(
        {name, CheckStep::Outcome::skipped, std::move(why), 0, 0});
  }

  /** How many of them are suspects that were not known yet. */
  size_t add(const Findings& findings, const char* stage) {
    size_t fresh = 0;
    for (const auto& finding : findings) {
      auto weight = weight_of(diagnosis_.symptom, finding);
      bool known =
          std::ranges::any_of(diagnosis_.suspects, [&](const Suspect& one) {
            return one.finding.id == finding.id &&
                   one.finding.where == finding.where;
          });
      if (weight == Weight::none || known) {
        continue;
      }
      fresh += weight > Weight::may_add ? 1 : 0;
      diagnosis_.suspects.push_back(
          {finding, weight, stage, next_for(finding)});
    }
    return fresh;
  }

  std::string next_for(const Finding& finding) const {
    auto model = quoted(diagnosis_.path);
    if (finding.id == "fit.does-not-fit" || finding.id == "memory.float32" ||
        finding.id == "memory.unpacked" || finding.id == "speed.memory-bound") {
      return advice_.empty()
                 ? fmt::format("assay quantize {} OUT --bits 4", model)
                 : advice_;
    }
    if (finding.id == "memory.context" || finding.id == "fit.not-now") {
      return fmt::format("assay fit {} --context {}",
                         model,
                         largest_ > 0 ? largest_ : kShortContext);
    }
    std::error_code error;
    if (find_repair(finding.id) != nullptr &&
        fs::is_directory(diagnosis_.path, error)) {
      return fmt::format("assay check {} --fix --dry-run", model);
    }
    return fmt::format("assay explain {}", finding.id);
  }

  CheckReport look(bool headers_only) const {
    CheckOptions options;
    options.headers_only = headers_only;
    options.progress = options_.progress;
    options.base = options_.base;
    return check(diagnosis_.path, options);
  }

  static std::string told(const CheckReport& report) {
    std::string text;
    for (const auto& step : report.steps) {
      if (step.outcome != CheckStep::Outcome::skipped) {
        text += (text.empty() ? "" : ", ") + step.name;
      }
    }
    return text;
  }

  void headers() {
    stage("headers",
          "files, config, shapes, tokenizer and template agree",
          [&](CheckStep& step) {
            auto report = look(true);
            step.detail = told(report);
            incomplete_ = incomplete_ || report.verdict == Verdict::undecided;
            auto findings = report.findings;
            std::ranges::move(of_tree(), std::back_inserter(findings));
            return findings;
          });
  }

  void whole(const std::string& clean) {
    stage("values and inference", clean, [&](CheckStep& step) {
      auto report = look(false);
      step.detail = told(report);
      incomplete_ = incomplete_ || report.verdict == Verdict::undecided;
      return report.findings;
    });
  }

  void against() {
    if (options_.against.empty()) {
      return;
    }
    stage("against",
          fmt::format("configs, tokenizer, template and shapes are those of {}",
                      options_.against.string()),
          [&](CheckStep& step) {
            auto good = open_profile(options_.against);
            step.detail = good.source;
            return compare_with(profile_of(diagnosis_.path), good);
          });
  }

  // What the stored types mean for memory and speed.
  Findings of_tree() const {
    if (diagnosis_.symptom != Symptom::oom &&
        diagnosis_.symptom != Symptom::slow) {
      return {};
    }
    Findings findings;
    auto kind = kind_of(diagnosis_.path);
    if (kind != ModelKind::model) {
      return findings;
    }
    auto model = open_model(diagnosis_.path);
    uint64_t all = 0;
    uint64_t wide = 0;
    uint64_t bfloat = 0;
    for (const auto& tensor : model.tensors) {
      all += tensor.bytes;
      wide += tensor.dtype == DType::f32 || tensor.dtype == DType::f64
                  ? tensor.bytes
                  : 0;
      bfloat += tensor.dtype == DType::bf16 ? tensor.bytes : 0;
    }
    auto where = diagnosis_.path.string();
    if (2 * wide > all) {
      findings.push_back(
          make_finding("memory.float32",
                       where,
                       "weights of 16 bits or fewer",
                       fmt::format("{} of {} in 32 bits or more",
                                   size_text(static_cast<double>(wide)),
                                   size_text(static_cast<double>(all)))));
    }
    if (2 * bfloat > all && !doctor_uses_gpu()) {
      findings.push_back(make_finding("dtype.bf16-on-cpu",
                                      where,
                                      "a GPU, or float32 arithmetic",
                                      "BF16 on a CPU"));
    }
    return findings;
  }

  static bool doctor_uses_gpu() { return memory_limit().device != "CPU"; }

  FitReport fit_at(int context) const {
    FitOptions options;
    options.context = context;
    return fit(diagnosis_.path, options);
  }

  void memory(const std::string& clean) {
    stage_of_tree("memory", clean, [&](CheckStep& step) {
      auto report = fit_at(options_.context);
      fit_ = report;
      largest_ = report.largest_context;
      step.detail =
          fmt::format("weights {}, cache {}, one step {}, together {} of {}",
                      size_text(static_cast<double>(report.need.weights)),
                      size_text(static_cast<double>(report.need.kv_cache)),
                      size_text(static_cast<double>(report.need.activations)),
                      size_text(static_cast<double>(report.need.total())),
                      size_text(static_cast<double>(report.limit.total)));
      if (!report.advice.empty() && report.advice.front().bits > 0) {
        advice_ = fmt::format("assay quantize {} OUT --bits {}",
                              quoted(diagnosis_.path),
                              report.advice.front().bits);
      } else if (!report.advice.empty()) {
        advice_ = fmt::format("assay fit {} --context {}",
                              quoted(diagnosis_.path),
                              report.advice.front().context);
      }
      auto findings = report.findings;
      if (report.fits && !report.fits_now) {
        findings.push_back(make_finding(
            "fit.not-now",
            diagnosis_.path.string(),
            fmt::format("{} free",
                        size_text(static_cast<double>(report.need.total()))),
            size_text(static_cast<double>(report.limit.free))));
      }
      unpacked(report, findings);
      return findings;
    });
  }

  // Blocks that MLX has no form for become float32 when they are loaded.
  void unpacked(const FitReport& report, Findings& findings) const {
    auto model = open_model(diagnosis_.path);
    double stored = 0;
    for (const auto& tensor : model.tensors) {
      stored += static_cast<double>(tensor.bytes);
    }
    auto loaded = static_cast<double>(report.need.weights);
    constexpr double kMuchMore = 1.5;
    if (stored > 0 && loaded > kMuchMore * stored) {
      findings.push_back(make_finding("memory.unpacked",
                                      diagnosis_.path.string(),
                                      size_text(stored) + ", as stored",
                                      size_text(loaded) + " when loaded"));
    }
  }

  void whole_context() {
    stage_of_tree(
        "whole context",
        "it fits with as many positions as the model has",
        [&](CheckStep& step) -> Findings {
          if (options_.context > 0 || !fit_) {
            step.detail = "of the context that was asked for";
            return {};
          }
          auto facts = inspect(open_model(diagnosis_.path));
          auto own = facts.sizes.context.value_or(0);
          if (own <= fit_->context || own > 1 << 30) {
            step.detail = fmt::format("{} positions", fit_->context);
            return {};
          }
          auto report = fit_at(static_cast<int>(own));
          step.detail =
              fmt::format("{} positions: {} of {}",
                          own,
                          size_text(static_cast<double>(report.need.total())),
                          size_text(static_cast<double>(report.limit.total)));
          if (report.fits) {
            return {};
          }
          largest_ = report.largest_context;
          return {make_finding(
              "memory.context",
              diagnosis_.path.string(),
              fmt::format("at most {} positions", report.largest_context),
              fmt::format(
                  "{}, which need {} for the cache",
                  own,
                  size_text(static_cast<double>(report.need.kv_cache))))};
        });
  }

  void machine() {
    stage("machine",
          "BLAS, threads, GPU and free memory are as they should be",
          [&](CheckStep& step) {
            doctor_.emplace(doctor());
            step.detail = fmt::format("{}, {} threads, {:.0f}% of memory used",
                                      doctor_->default_device,
                                      doctor_->threads,
                                      100 * doctor_->memory_used);
            return doctor_->findings;
          });
  }

  std::optional<double> bandwidth() const {
    if (!doctor_ || doctor_->uses_gpu) {
      return std::nullopt;  // it was measured on the CPU
    }
    auto found = std::ranges::find(
        doctor_->measurements, "memory bandwidth", &Measurement::what);
    return found == doctor_->measurements.end()
               ? std::nullopt
               : std::optional(found->value * 1e9);
  }

  void benchmark() {
    stage_of_tree("short run", "", [&](CheckStep& step) -> Findings {
      BenchOptions options{.prompt_lengths = {64},
                           .decode_tokens = 16,
                           .runs = 2,
                           .warmup = 1,
                           .loads = 1};
      auto report = bench(diagnosis_.path, options, options_.progress);
      std::optional<double> rate;
      for (const auto& one : report.measurements) {
        bool shown =
            one.what.starts_with("prefill") || one.what.starts_with("decode");
        if (shown) {
          step.detail += fmt::format("{}{} {:.1f} {}",
                                     step.detail.empty() ? "" : ", ",
                                     one.what,
                                     one.value,
                                     one.unit);
        }
        if (one.what.starts_with("decode")) {
          rate = one.value;
        }
      }
      return judge_rate(rate);
    });
  }

  // Each token reads every weight once, at least.
  Findings judge_rate(std::optional<double> rate) const {
    auto bytes_a_second = bandwidth();
    if (!rate || !bytes_a_second || !fit_) {
      return {};
    }
    auto bytes = static_cast<double>(fit_->need.weights);
    auto facts = inspect(open_model(diagnosis_.path));
    if (facts.parameters > 0) {
      bytes *= static_cast<double>(facts.active_parameters) /
               static_cast<double>(facts.parameters);
    }
    if (bytes < kBenchable) {
      return {};
    }
    auto most = *bytes_a_second / bytes;
    bool far = *rate < kFarBelow * most;
    return {make_finding(
        far ? "speed.below-bandwidth" : "speed.memory-bound",
        diagnosis_.path.string(),
        fmt::format("up to {:.1f} tokens/s: {} a token at {:.1f} GB/s",
                    most,
                    size_text(bytes),
                    *bytes_a_second / 1e9),
        fmt::format("{:.1f} tokens/s", *rate))};
  }

  void trial() {
    stage_of_tree("a short answer",
                  "a greedy answer neither repeats itself nor is chance",
                  [&](CheckStep& step) {
                    auto result = run_trial(diagnosis_.path);
                    step.detail = result.detail;
                    return result.findings;
                  });
  }

  void beside_good() {
    std::error_code error;
    bool is_model = !options_.against.empty() &&
                    options_.against.extension() != ".json" &&
                    fs::exists(options_.against, error);
    if (!is_model) {
      return;
    }
    stage("beside the good model",
          "weights and logits are those of the good model",
          [&](CheckStep& step) {
            auto result = compare_trial(
                diagnosis_.path, options_.against, options_.progress);
            step.detail = result.detail;
            return result.findings;
          });
  }

  Diagnosis finish() {
    auto& suspects = diagnosis_.suspects;
    std::ranges::stable_sort(suspects, [](const Suspect& a, const Suspect& b) {
      return a.weight != b.weight ? a.weight > b.weight
                                  : a.finding.severity > b.finding.severity;
    });
    bool any = std::ranges::any_of(suspects, [](const Suspect& one) {
      return one.weight > Weight::may_add;
    });
    diagnosis_.verdict = any           ? Verdict::findings
                         : incomplete_ ? Verdict::undecided
                                       : Verdict::sound;
    diagnosis_.next = any ? suspects.front().next : next_when_clean();
    return std::move(diagnosis_);
  }

  std::string next_when_clean() const {
    auto model = quoted(diagnosis_.path);
    switch (diagnosis_.symptom) {
      case Symptom::wont_load:
        return fmt::format("assay generate {} -p hello", model);
      case Symptom::oom:
        return fmt::format("assay fit {} --measure", model);
      case Symptom::slow:
        return fmt::format("assay measure bench {}", model);
      case Symptom::wrong_output:
        break;
    }
    return options_.against.empty()
               ? fmt::format(
                     "assay troubleshoot wrong-output {} --against GOOD", model)
               : fmt::format(
                     "assay compare {} {}", model, quoted(options_.against));
  }

  const TroubleshootOptions& options_;
  Diagnosis diagnosis_;
  std::optional<FitReport> fit_;
  std::optional<DoctorReport> doctor_;
  std::string advice_;
  int largest_ = 0;
  bool incomplete_ = false;  ///< a stage could not look
};

}  // namespace

Diagnosis troubleshoot(Symptom symptom,
                       const fs::path& model,
                       const TroubleshootOptions& options) {
  return Inquiry(symptom, model, options).run();
}

Json to_json(const Diagnosis& diagnosis) {
  auto stages = Json::array();
  for (const auto& stage : diagnosis.stages) {
    stages.push_back({{"name", stage.name},
                      {"outcome", name(stage.outcome)},
                      {"detail", stage.detail},
                      {"seconds", stage.seconds}});
  }
  auto suspects = Json::array();
  for (const auto& one : diagnosis.suspects) {
    suspects.push_back({{"weight", name(one.weight)},
                        {"stage", one.stage},
                        {"finding", to_json(one.finding)},
                        {"next", one.next}});
  }
  return {{"symptom", name(diagnosis.symptom)},
          {"path", diagnosis.path.string()},
          {"verdict", name(diagnosis.verdict)},
          {"suspects", std::move(suspects)},
          {"ruled_out", diagnosis.ruled_out},
          {"stages", std::move(stages)},
          {"next", diagnosis.next}};
}

}  // namespace assay
