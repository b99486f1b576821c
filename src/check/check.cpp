#include "assay/check/check.h"

#include <algorithm>
#include <chrono>
#include <new>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/pipeline.h"
#include "assay/check/rules.h"
#include "assay/core/finding_json.h"
#include "assay/formats/quote.h"

namespace assay {
namespace {

using rules::Findings;

/** One run of check: the report that grows, and what later steps need. */
class Run {
 public:
  Run(const std::filesystem::path& path, const CheckOptions& options)
      : options_(options) {
    report_.path = path;
  }

  CheckReport finish() {
    if (rules::is_pipeline(report_.path)) {
      look_at_pipeline();
      decide();
      return std::move(report_);
    }
    look_at_files();
    if (model_) {
      look_at_tree();
      look_at_text();
      look_at_values();
    }
    decide();
    return std::move(report_);
  }

 private:
  /** Runs `look(step)`, which returns findings and may set the detail. What is
   * thrown becomes a finding too. */
  template <class Look>
  bool step(const char* name, Look&& look) {
    CheckStep step{name, CheckStep::Outcome::passed, "", 0, 0};
    auto start = std::chrono::steady_clock::now();
    Findings findings;
    bool threw = true;
    try {
      findings = look(step);
      threw = false;
    } catch (const Error& error) {
      findings.push_back(error.finding());
    } catch (const std::bad_alloc&) {
      throw;
    } catch (const std::exception& error) {
      findings.push_back(make_finding(
          "internal.failure", name, "a check that ends", error.what()));
    }
    std::chrono::duration<double> spent =
        std::chrono::steady_clock::now() - start;
    step.seconds = spent.count();
    bool wrong = std::ranges::any_of(findings, [](const Finding& finding) {
      return finding.severity != Severity::note;
    });
    if (wrong && step.outcome == CheckStep::Outcome::passed) {
      step.outcome = CheckStep::Outcome::findings;
    }
    step.findings = findings.size();
    std::ranges::move(findings, std::back_inserter(report_.findings));
    report_.steps.push_back(std::move(step));
    return !threw && !wrong;
  }

  void skip(const char* name, std::string why) {
    report_.steps.push_back(
        {name, CheckStep::Outcome::skipped, std::move(why), 0, 0});
  }

  bool lone_weights() const {
    return model_->container == Container::safetensors &&
           std::filesystem::is_regular_file(model_->path);
  }

  // By headers alone: the components have no module trees yet, so what is not
  // found wrong is not called sound.
  void look_at_pipeline() {
    std::optional<rules::Pipeline> pipeline;
    step("components", [&](CheckStep& step) {
      pipeline.emplace(rules::open_pipeline(report_.path));
      report_.architecture = pipeline->class_name;
      step.detail = fmt::format("{}, {} components",
                                quote(pipeline->class_name),
                                pipeline->components.size());
      auto findings = pipeline->findings;
      std::ranges::move(rules::component_classes(*pipeline),
                        std::back_inserter(findings));
      return findings;
    });
    if (!pipeline) {
      return;
    }
    step("shapes",
         [&](CheckStep&) { return rules::component_shapes(*pipeline); });
    step("agreement",
         [&](CheckStep&) { return rules::component_agreement(*pipeline); });
    step("latents",
         [&](CheckStep&) { return rules::latent_scaling(*pipeline); });
    step("schedule",
         [&](CheckStep&) { return rules::noise_schedule(*pipeline); });
    if (!options_.headers_only) {
      skip("inference", "pipelines have no module tree");
      undecided_ = true;
    }
  }

  void look_at_files() {
    step("files", [&](CheckStep& step) {
      model_.emplace(open_model(report_.path));
      auto findings = model_->findings;
      std::ranges::move(rules::mlx_types(*model_),
                        std::back_inserter(findings));
      step.detail = fmt::format("{} tensors in {} file{}",
                                model_->tensors.size(),
                                model_->files.size(),
                                model_->files.size() == 1 ? "" : "s");
      return findings;
    });
  }

  void look_at_tree() {
    facts_ = inspect(*model_);
    if (lone_weights()) {
      skip("config", "a file of weights by itself has none");
      return;
    }
    auto where = model_->path.string();
    step("config", [&](CheckStep& step) -> Findings {
      const auto* known = arch::architecture_of(*model_);
      try {
        tree_.emplace(arch::build_tree(*model_));
      } catch (const Error& error) {
        if (error.finding().id != "arch.unsupported") {
          throw;
        }
        undecided_ = true;
        auto finding = error.finding();
        finding.severity = Severity::note;
        step.outcome = CheckStep::Outcome::skipped;
        step.detail = "the architecture is not known";
        return {finding};
      }
      report_.architecture = known == nullptr ? "" : known->model_type;
      step.detail = fmt::format(
          "{}, {} parameters", report_.architecture, facts_.parameters);
      return rules::rope(facts_, where);
    });
    if (!tree_) {
      return;
    }
    loadable_ =
        step("tensors",
             [&](CheckStep& step) {
               declared_.emplace(hold_against_tree(*tree_, *model_));
               auto findings = rules::tensors(*declared_);
               std::ranges::move(rules::quantization(*tree_, *declared_, where),
                                 std::back_inserter(findings));
               step.detail = fmt::format("{} of {} as declared",
                                         declared_->matches.size(),
                                         tree_->parameters.size());
               return findings;
             }) ||
        !has_errors(report_.findings);
    loadable_ = step("dry forward",
                     [&](CheckStep&) { return rules::dry_forward(*tree_); }) &&
                loadable_;
  }

  void look_at_text() {
    if (lone_weights()) {
      skip("tokenizer", "a file of weights by itself has none");
      return;
    }
    step("tokenizer", [&](CheckStep& step) {
      Findings malformed;
      for (const auto& finding : facts_.unusual) {
        if (finding.id.starts_with("tokenizer.")) {
          malformed.push_back(finding);
        }
      }
      if (!malformed.empty()) {
        return malformed;
      }
      if (facts_.tokenizer.present) {
        step.detail = fmt::format(
            "{}, {} ids", facts_.tokenizer.type, facts_.tokenizer.vocabulary);
      }
      auto findings = rules::tokenizer(*model_, facts_);
      if (facts_.tokenizer.present && !options_.headers_only) {
        tokenizer_.emplace(load_tokenizer(*model_));
      }
      return findings;
    });
    step("template", [&](CheckStep& step) {
      auto findings = rules::chat_template(*model_, facts_.tokenizer);
      if (tokenizer_ && findings.empty()) {
        findings = rules::turn_end(*model_, *tokenizer_);
      }
      step.detail = model_->chat_template.empty() ? "none" : "renders";
      return findings;
    });
  }

  void look_at_values() {
    if (options_.headers_only) {
      return;
    }
    bool sound = step("values", [&](CheckStep&) {
      return rules::values(
          *model_, declared_ ? &*declared_ : nullptr, options_.progress);
    });
    if (!tree_) {
      skip("inference", "there is no module tree");
    } else if (!loadable_ || !sound) {
      skip("inference", "not run for the findings above");
    } else {
      step("inference", [&](CheckStep& step) {
        auto result = rules::inference(
            *model_, facts_, tokenizer_ ? &*tokenizer_ : nullptr);
        step.detail =
            tokenizer_ ? fmt::format("{} tokens, {:.2f} nats a token",
                                     result.tokens,
                                     result.mean_nll)
                       : fmt::format("{} tokens, no tokenizer", result.tokens);
        return result.findings;
      });
    }
  }

  void decide() {
    bool wrong =
        std::ranges::any_of(report_.findings, [](const Finding& finding) {
          return finding.severity != Severity::note;
        });
    report_.verdict = wrong        ? Verdict::findings
                      : undecided_ ? Verdict::undecided
                                   : Verdict::sound;
  }

  const CheckOptions& options_;
  CheckReport report_;
  std::optional<ModelFiles> model_;
  ModelReport facts_;
  std::optional<arch::Tree> tree_;
  std::optional<Declared> declared_;
  std::optional<Tokenizer> tokenizer_;
  bool loadable_ = false;
  bool undecided_ = false;
};

}  // namespace

std::string_view name(Verdict verdict) {
  switch (verdict) {
    case Verdict::sound:
      return "sound";
    case Verdict::findings:
      return "findings";
    case Verdict::undecided:
      return "undecided";
  }
  return "";
}

std::string_view name(CheckStep::Outcome outcome) {
  switch (outcome) {
    case CheckStep::Outcome::passed:
      return "passed";
    case CheckStep::Outcome::findings:
      return "findings";
    case CheckStep::Outcome::skipped:
      return "skipped";
  }
  return "";
}

int exit_code(Verdict verdict) {
  switch (verdict) {
    case Verdict::sound:
      return 0;
    case Verdict::findings:
      return 1;
    case Verdict::undecided:
      return 3;
  }
  return 3;
}

CheckReport check(const std::filesystem::path& path,
                  const CheckOptions& options) {
  return Run(path, options).finish();
}

Json to_json(const CheckReport& report) {
  auto steps = Json::array();
  for (const auto& step : report.steps) {
    steps.push_back({{"name", step.name},
                     {"outcome", name(step.outcome)},
                     {"detail", step.detail},
                     {"seconds", step.seconds}});
  }
  return {{"path", report.path.string()},
          {"architecture", report.architecture},
          {"verdict", name(report.verdict)},
          {"steps", std::move(steps)},
          {"findings", to_json(report.findings)}};
}

}  // namespace assay
