#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/check/language_rules.h"
#include "assay/check/rules.h"

namespace assay {
namespace {

using rules::Findings;

/** A language model from its headers to its logits; what one step found is
 * there for the next. */
class LanguageModel {
 public:
  explicit LanguageModel(Checkup& checkup) : checkup_(checkup) {}

  void look() {
    look_at_files();
    if (model_) {
      look_at_tree();
      look_at_text();
      look_at_values();
    }
  }

 private:
  bool lone_weights() const {
    return model_->container != Container::gguf &&
           std::filesystem::is_regular_file(model_->path);
  }

  void look_at_files() {
    checkup_.step("files", [&](CheckStep& step) {
      model_.emplace(open_model(checkup_.path()));
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
      checkup_.skip("config", "a file of weights by itself has none");
      return;
    }
    auto where = model_->path.string();
    checkup_.step("config", [&](CheckStep& step) -> Findings {
      const auto* known = arch::architecture_of(*model_);
      try {
        tree_.emplace(arch::build_tree(*model_));
      } catch (const Error& error) {
        if (error.finding().id != "arch.unsupported") {
          throw;
        }
        checkup_.leave_undecided();
        auto finding = error.finding();
        finding.severity = Severity::note;
        step.outcome = CheckStep::Outcome::skipped;
        step.detail = "the architecture is not known";
        return {finding};
      }
      std::string name(known == nullptr ? "" : known->model_type);
      checkup_.name_architecture(name);
      step.detail = fmt::format("{}, {} parameters", name, facts_.parameters);
      return look_at_config(where);
    });
    auto foreign = rules::foreign_quantization(
        *model_, model_->config, tree_ ? &*tree_ : nullptr);
    if (!tree_ && !foreign) {
      return;
    }
    loadable_ = checkup_.step("tensors", [&](CheckStep& step) {
      if (foreign && (!foreign->loadable || !tree_)) {
        step.detail = foreign->description;
        return foreign->findings;
      }
      declared_.emplace(hold_against_tree(*tree_, *model_));
      auto findings = rules::tensors(*declared_);
      std::ranges::move(rules::quantization(*tree_, *declared_, where),
                        std::back_inserter(findings));
      std::ranges::move(rules::mlx_quantization(*tree_, *declared_, where),
                        std::back_inserter(findings));
      if (foreign) {
        std::ranges::move(foreign->findings, std::back_inserter(findings));
      }
      step.detail = fmt::format("{} of {} as declared",
                                declared_->matches.size(),
                                tree_->parameters.size());
      return findings;
    }) || !has_errors(checkup_.findings());
    if (!tree_) {
      return;
    }
    loadable_ = checkup_.step("dry forward", [&](CheckStep&) {
      return rules::dry_forward(*tree_);
    }) && loadable_;
  }

  Findings look_at_config(const std::string& where) {
    auto findings = rules::rope(facts_, where);
    auto add = [&](Findings more) {
      std::ranges::move(more, std::back_inserter(findings));
    };
    add(rules::config_fields(*model_, tree_->config, facts_));
    add(rules::stored_types(*model_, tree_->config));
    return findings;
  }

  void look_at_text() {
    if (lone_weights()) {
      checkup_.skip("tokenizer", "a file of weights by itself has none");
      return;
    }
    checkup_.step("tokenizer", [&](CheckStep& step) {
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
      if (facts_.tokenizer.present && !checkup_.options().headers_only) {
        tokenizer_.emplace(load_tokenizer(*model_));
      }
      std::ranges::move(rules::text_documents(*model_, model_->config),
                        std::back_inserter(findings));
      std::ranges::move(rules::sampling(*model_), std::back_inserter(findings));
      return findings;
    });
    checkup_.step("template", [&](CheckStep& step) {
      auto findings = rules::chat_template(*model_, facts_.tokenizer);
      if (tokenizer_ && !has_errors(findings)) {
        std::ranges::move(rules::turn_end(*model_, *tokenizer_),
                          std::back_inserter(findings));
        std::ranges::move(
            rules::spoken_tokens(*model_, *tokenizer_, facts_.tokenizer),
            std::back_inserter(findings));
      }
      step.detail = model_->chat_template.empty() ? "none" : "renders";
      return findings;
    });
  }

  void look_at_values() {
    if (checkup_.options().headers_only) {
      return;
    }
    bool sound = checkup_.step("values", [&](CheckStep&) {
      return rules::values(*model_,
                           declared_ ? &*declared_ : nullptr,
                           checkup_.options().progress);
    });
    if (!tree_) {
      checkup_.skip("inference", "there is no module tree");
    } else if (!loadable_ || !sound) {
      checkup_.skip("inference", "not run for the findings above");
    } else {
      checkup_.step("inference", [&](CheckStep& step) {
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

  Checkup& checkup_;
  std::optional<ModelFiles> model_;
  ModelReport facts_;
  std::optional<arch::Tree> tree_;
  std::optional<Declared> declared_;
  std::optional<Tokenizer> tokenizer_;
  bool loadable_ = false;
};

}  // namespace

void check_language_model(Checkup& checkup) {
  LanguageModel(checkup).look();
}

}  // namespace assay
