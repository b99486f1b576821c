#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/check/declared_shapes.h"
#include "assay/check/document_fields.h"
#include "assay/check/language_rules.h"
#include "assay/check/published.h"
#include "assay/check/rules.h"
#include "assay/check/vision_rules.h"
#include "assay/check/vocabulary.h"
#include "assay/inspect/vision_language.h"

namespace assay {
namespace {

using rules::Findings;

void append(Findings& all, Findings more) {
  std::ranges::move(more, std::back_inserter(all));
}

/** A language model from its headers to its logits, or a vision-language model
 * with one inside; what one step found is there for the next. */
class LanguageModel {
 public:
  explicit LanguageModel(Checkup& checkup) : checkup_(checkup) {}

  void look() {
    look_at_files();
    if (model_ && rules::is_mistral_folder(*model_)) {
      look_at_mistral();
      look_at_values();
    } else if (model_) {
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
      if (is_vision_language(*model_)) {
        parts_.emplace(open_vision_language(*model_));
        text_.emplace(language_part(*model_, *parts_));
      }
      auto foreign = rules::mlx_types(*model_);
      step.detail = fmt::format("{} tensors in {} file{}, valid; MLX {}",
                                model_->tensors.size(),
                                model_->files.size(),
                                model_->files.size() == 1 ? "" : "s",
                                foreign.empty() ? "can load them"
                                                : "cannot load them as they "
                                                  "are");
      append(findings, std::move(foreign));
      return findings;
    });
  }

  // Mistral's own format: names of its own, and a tokenizer that is not read.
  void look_at_mistral() {
    checkup_.name_architecture("mistral");
    checkup_.step("config", [&](CheckStep& step) {
      auto findings = rules::mistral_folder(*model_);
      step.detail = "params.json, Mistral's own format";
      if (!findings) {
        checkup_.leave_undecided();
        step.outcome = CheckStep::Outcome::skipped;
        step.detail = "the architecture is not known";
      }
      return findings.value_or(Findings());
    });
    checkup_.skip("tokenizer", "tekken.json and tokenizer.model are not read");
    if (!checkup_.options().headers_only) {
      checkup_.leave_undecided();  // it does not run
    }
  }

  /** The language model's own files, or those inside a larger model. */
  const ModelFiles& language() const { return text_ ? *text_ : *model_; }

  void look_at_tree() {
    facts_ = inspect(language());
    if (lone_weights()) {
      checkup_.skip("config", "a file of weights by itself has none");
      return;
    }
    auto where = model_->path.string();
    checkup_.step("config", [&](CheckStep& step) -> Findings {
      Findings findings;
      if (parts_) {
        findings = look_at_parts(step);
      }
      append(findings, in_text_config(build_tree(step)));
      if (tree_) {
        append(findings, in_text_config(look_at_config(where)));
      }
      rules::add_fields(
          findings, rules::folder_fields(model_->path, "config.invalid-value"));
      return findings;
    });
    auto foreign = rules::foreign_quantization(
        language(), model_->config, tree_ ? &*tree_ : nullptr);
    if (!tree_ && !foreign && !parts_) {
      return;
    }
    loadable_ = checkup_.step("tensors", [&](CheckStep& step) {
      Findings findings;
      if (foreign && (!foreign->loadable || !tree_)) {
        step.detail = foreign->description;
        findings = foreign->findings;
      } else if (tree_) {
        findings = look_at_tensors(step, where);
        if (foreign) {
          append(findings, foreign->findings);
        }
      }
      if (parts_ && !foreign) {
        append(findings, rules::vision_shapes(*parts_, *text_, bool(tree_)));
      }
      return findings;
    }) || !has_errors(checkup_.findings());
    if (!tree_) {
      return;
    }
    loadable_ = checkup_.step("dry forward", [&](CheckStep&) {
      return rules::dry_forward(*tree_);
    }) && loadable_;
  }

  // What is wrong with the config of a language model that has no tree, or
  // none with these fields.
  Findings build_tree(CheckStep& step) {
    const auto* known = arch::architecture_of(language());
    std::string name(known == nullptr ? "" : known->model_type);
    try {
      tree_.emplace(arch::build_tree(language()));
    } catch (const Error& error) {
      auto finding = error.finding();
      if (finding.id == "arch.unsupported") {
        if (parts_ && !rules::declared_part(parts_->text.type).empty()) {
          return {};  // its shapes are known all the same
        }
        checkup_.leave_undecided();
        finding.severity = Severity::note;
        step.outcome = CheckStep::Outcome::skipped;
        step.detail = "the architecture is not known";
      }
      return {finding};
    }
    if (!parts_) {
      checkup_.name_architecture(name);
    }
    step.detail = fmt::format("{}, {} parameters", name, facts_.parameters);
    return {};
  }

  // The config of a vision-language model, but for its language model.
  Findings look_at_parts(CheckStep& step) {
    checkup_.name_architecture(parts_->whole.type);
    Findings findings;
    if (parts_->family == nullptr ||
        rules::declared_part(parts_->vision.type).empty()) {
      checkup_.leave_undecided();
      auto finding = make_finding(
          "arch.unsupported",
          parts_->family == nullptr ? parts_->whole.where + "model_type"
                                    : parts_->vision.where + "model_type",
          "a kind of vision-language model whose tensors are known",
          fmt::format("'{}'",
                      parts_->family == nullptr ? parts_->whole.type
                                                : parts_->vision.type));
      finding.severity = Severity::note;
      step.outcome = CheckStep::Outcome::skipped;
      findings.push_back(std::move(finding));
      append(findings, misnamed_family());
    }
    constexpr auto kRefused = rules::OwnValues::refused;
    append(findings, rules::vision_fields(*parts_));
    append(findings, rules::published_values(parts_->whole, kRefused));
    append(findings,
           rules::published_values(
               parts_->whole, parts_->whole.type + " " + parts_->vision.type));
    append(findings, rules::published_values(parts_->vision, kRefused));
    append(findings, rules::published_values(parts_->text, kRefused));
    append(findings, rules::stored_types(*model_, model_->config));
    return findings;
  }

  // No model_type, or a class of a family that is known beside another one.
  Findings misnamed_family() const {
    auto classes = model_->config.value("architectures", Json());
    bool one =
        classes.is_array() && classes.size() == 1 && classes[0].is_string();
    auto name = one ? classes[0].get<std::string>() : "";
    const auto* family = find_vision_family_by_class(name);
    auto where = parts_->whole.where + "model_type";
    if (!model_->config.contains("model_type")) {
      return {make_finding("config.missing-field",
                           where,
                           std::string(family == nullptr ? "the kind of model"
                                                         : family->model_type),
                           "none")};
    }
    if (parts_->family != nullptr || family == nullptr) {
      return {};
    }
    return {make_finding("config.class-mismatch",
                         where,
                         fmt::format("{}, as {} is", family->model_type, name),
                         fmt::format("'{}'", parts_->whole.type))};
  }

  Findings look_at_tensors(CheckStep& step, const std::string& where) {
    declared_.emplace(hold_against_tree(*tree_, language()));
    auto findings = rules::tensors(*declared_);
    append(findings, rules::quantization(*tree_, *declared_, where));
    append(findings, rules::mlx_quantization(*tree_, *declared_, where));
    if (!parts_ && model_->container == Container::safetensors) {
      std::vector<const TensorInfo*> tensors;
      for (const auto& tensor : model_->tensors) {
        tensors.push_back(&tensor);
      }
      append(findings, rules::stored_flags(own_config(), tensors));
    }
    if (checkup_.options().headers_only) {  // else the values' step does
      append(findings, rules::tied_heads(*model_, *declared_));
    }
    step.detail = fmt::format("{} of {} as declared",
                              declared_->matches.size(),
                              tree_->parameters.size());
    return findings;
  }

  ConfigPart own_config() const {
    return rules::language_config(
        tree_->config, (model_->path / "config.json").string() + ": ");
  }

  // A field of the language model inside lies in text_config.
  Findings in_text_config(Findings findings) const {
    if (!parts_ || parts_->text.where.ends_with(".json: ")) {
      return findings;
    }
    for (auto& finding : findings) {
      constexpr std::string_view kFile = "config.json: ";
      auto at = finding.where.find(kFile);
      if (at != std::string::npos) {
        finding.where.insert(at + kFile.size(), "text_config.");
      }
    }
    return findings;
  }

  Findings look_at_config(const std::string& where) {
    auto findings = rules::rope(facts_, where);
    append(findings, rules::config_fields(language(), tree_->config, facts_));
    if (!parts_) {
      append(findings, rules::stored_types(*model_, tree_->config));
      append(findings,
             rules::published_values(own_config(), rules::OwnValues::allowed));
    }
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
      auto findings = rules::tokenizer(language(), facts_);
      if (facts_.tokenizer.present && !checkup_.options().headers_only) {
        tokenizer_.emplace(load_tokenizer(*model_));
      }
      append(findings, rules::text_documents(*model_, model_->config));
      append(findings, rules::sampling(*model_));
      if (model_->gguf && facts_.tokenizer.present) {
        append(findings,
               rules::gguf_vocabulary(*model_->gguf,
                                      model_->files.front().string()));
      }
      if (parts_ && facts_.tokenizer.present) {
        append(findings, rules::vision_tokens(*model_, *parts_));
      }
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
    if (parts_) {
      checkup_.step("processor", [&](CheckStep& step) {
        step.detail = parts_->image_processor.type;
        return rules::vision_processors(*parts_);
      });
    }
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
    if (parts_) {
      checkup_.skip("inference", "vision towers have no module tree");
      checkup_.leave_undecided();
    } else if (!tree_) {
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
  std::optional<VisionLanguage> parts_;
  std::optional<ModelFiles> text_;
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
