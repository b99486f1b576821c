#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/checkup.h"
#include "assay/check/document_fields.h"
#include "assay/check/embedding_rules.h"
#include "assay/check/language_rules.h"
#include "assay/check/pipeline.h"
#include "assay/check/rules.h"
#include "assay/formats/component_weights.h"
#include "assay/formats/quote.h"

// Folders as sentence-transformers writes them: modules.json lists modules
// that run one after another, each with a folder of its own. The width of the
// vectors is followed from the encoder to the end.
namespace assay {
namespace {

namespace fs = std::filesystem;
using rules::Findings;

constexpr uint64_t kMaxJson = 16u << 20;
constexpr size_t kMaxModules = 256;

using Module = rules::EmbeddingModule;

Json read_json(const fs::path& path) {
  return rules::document_at(path, kMaxJson);
}

std::string text_field(const Json& object, std::string_view name) {
  auto value = object.is_object() ? object.value(name, Json()) : Json();
  return value.is_string() ? value.get<std::string>() : "";
}

std::optional<int64_t> size(const Json& object,
                            std::initializer_list<std::string_view> names) {
  for (auto name : names) {
    auto value = object.is_object() ? object.value(name, Json()) : Json();
    if (value.is_number_integer() && value.get<int64_t>() > 0) {
      return value.get<int64_t>();
    }
  }
  return std::nullopt;
}

// A path out of modules.json must stay inside the folder.
bool is_inside(const std::string& path) {
  auto relative = fs::path(path);
  return !relative.is_absolute() && is_printable_utf8(path) &&
         path.find_first_of("\\:") == std::string::npos &&
         std::ranges::none_of(relative,
                              [](const auto& part) { return part == ".."; });
}

std::vector<Module> read_modules(const fs::path& folder) {
  auto where = (folder / "modules.json").string();
  auto list = read_json(folder / "modules.json");
  if (!list.is_array() || list.empty() || list.size() > kMaxModules) {
    fail("embedding.malformed",
         where,
         "a list of modules",
         list.is_array() ? fmt::format("{} entries", list.size())
                         : list.type_name());
  }
  std::vector<Module> modules;
  for (const auto& entry : list) {
    auto type = text_field(entry, "type");
    bool has_path =
        entry.is_object() && entry.value("path", Json()).is_string();
    if (type.empty() || !has_path) {
      fail("embedding.malformed",
           where,
           "modules with a text 'type' and a text 'path'",
           quote(entry.dump(-1, ' ', true)));
    }
    auto path = text_field(entry, "path");
    if (!is_inside(path)) {
      fail("embedding.unsafe-path",
           where,
           "a path inside the folder",
           quote(path));
    }
    auto dot = type.rfind('.');
    modules.push_back({dot == std::string::npos ? type : type.substr(dot + 1),
                       type.starts_with("sentence_transformers."),
                       path,
                       path.empty() ? folder : folder / path});
  }
  return modules;
}

/** The vectors' width while they go through the modules. */
class Walk {
 public:
  Walk(const fs::path& folder, const std::vector<Module>& modules)
      : folder_(folder), modules_(modules) {}

  Findings look() {
    for (const auto& module : modules_) {
      if (!module.own) {
        findings_.push_back(make_finding("embedding.foreign-code",
                                         (folder_ / "modules.json").string(),
                                         "a module of sentence-transformers",
                                         quote(module.kind)));
        width_.reset();
      } else if (module.kind == "Transformer") {
        transformer(module);
      } else if (module.kind == "Pooling") {
        pooling(module);
      } else if (module.kind == "Dense") {
        dense(module);
      } else if (module.kind == "LayerNorm") {
        hold(module, size(config_of(module), {"dimension"}), "dimension");
      } else if (module.kind != "Normalize" && module.kind != "Dropout") {
        width_.reset();
      }
    }
    return std::move(findings_);
  }
  const std::optional<int64_t>& width() const { return width_; }

 private:
  std::string where(const Module& module, std::string_view field) const {
    return fmt::format(
        "{}: {}", (module.folder / "config.json").string(), field);
  }

  Json config_of(const Module& module) {
    auto config = read_json(module.folder / "config.json");
    if (!config.is_object()) {
      findings_.push_back(
          make_finding("embedding.module-missing",
                       (module.folder / "config.json").string(),
                       "the settings of " + quote(module.kind),
                       config.is_null() ? "no such file" : config.type_name()));
    }
    return config;
  }

  void hold(const Module& module,
            std::optional<int64_t> says,
            std::string_view field) {
    if (says && width_ && *says != *width_) {
      findings_.push_back(
          make_finding("embedding.width-mismatch",
                       where(module, field),
                       fmt::format("{}, the width that reaches it", *width_),
                       fmt::format("{}", *says)));
    }
  }

  void transformer(const Module& module) {
    auto config = config_of(module);
    width_ = size(config, {"hidden_size", "d_model", "dim", "n_embd"});
    if (!width_ && config.is_object()) {
      width_ = size(config.value("text_config", Json()), {"hidden_size"});
    }
    positions(module, config);
  }

  // Learned positions: beyond them there is nothing to look up. RoBERTa's
  // begin after the padding's.
  void positions(const Module& module, const Json& config) {
    struct Learned {
      std::string_view type;
      int64_t unused;
    };
    constexpr std::array kLearned = {Learned{"bert", 0},
                                     Learned{"distilbert", 0},
                                     Learned{"electra", 0},
                                     Learned{"albert", 0},
                                     Learned{"roberta", 2},
                                     Learned{"xlm-roberta", 2},
                                     Learned{"camembert", 2},
                                     Learned{"mpnet", 2}};
    auto type = text_field(config, "model_type");
    const auto* learned = std::ranges::find(kLearned, type, &Learned::type);
    auto limit = size(config, {"max_position_embeddings"});
    auto path = module.folder / "sentence_bert_config.json";
    auto longest = size(read_json(path), {"max_seq_length"});
    if (learned != kLearned.end() && limit && longest &&
        *longest > *limit - learned->unused) {
      findings_.push_back(
          make_finding("embedding.too-long",
                       path.string() + ": max_seq_length",
                       fmt::format("at most {}, the encoder's positions",
                                   *limit - learned->unused),
                       fmt::format("{}", *longest)));
    }
  }

  void pooling(const Module& module) {
    auto config = config_of(module);
    if (!config.is_object()) {
      width_.reset();
      return;
    }
    auto field = config.contains("embedding_dimension")
                     ? "embedding_dimension"
                     : "word_embedding_dimension";
    auto says = size(config, {field});
    if (!says) {
      findings_.push_back(make_finding(
          "embedding.invalid-value",
          where(module, field),
          "the width of the encoder",
          config.contains(field) ? quote(config[field].dump()) : "none"));
    }
    hold(module, says, field);
    width_ = says ? std::optional(*says * modes(module, config)) : std::nullopt;
  }

  // How many vectors are laid one after another.
  int64_t modes(const Module& module, const Json& config) {
    constexpr std::array<std::string_view, 6> kModes = {"cls",
                                                        "max",
                                                        "mean",
                                                        "mean_sqrt_len_tokens",
                                                        "weightedmean",
                                                        "lasttoken"};
    auto mode = config.value("pooling_mode", Json());
    if (mode.is_null()) {
      int64_t count = 0;
      for (const auto& [name, value] : config.items()) {
        count += name.starts_with("pooling_mode_") && value == true ? 1 : 0;
      }
      return std::max<int64_t>(count, 1);  // none: the mean
    }
    auto list = mode.is_array() ? mode : Json::array({mode});
    for (const auto& one : list) {
      bool known =
          one.is_string() &&
          std::ranges::find(kModes, one.get<std::string>()) != kModes.end();
      if (!known) {
        findings_.push_back(make_finding(
            "embedding.invalid-value",
            where(module, "pooling_mode"),
            "cls, max, mean, mean_sqrt_len_tokens, weightedmean or lasttoken",
            quote(one.dump(-1, ' ', true))));
      }
    }
    return std::max<int64_t>(static_cast<int64_t>(list.size()), 1);
  }

  void dense(const Module& module) {
    auto config = config_of(module);
    auto in = size(config, {"in_features"});
    auto out = size(config, {"out_features"});
    auto input = text_field(config, "module_input_name");
    if (input.empty() || input == "sentence_embedding") {
      hold(module, in, "in_features");
    }
    auto weights = component_files(module.folder);
    for (const auto& tensor : component_tensors(weights, findings_)) {
      if (tensor.name == "linear.weight" && tensor.shape.size() == 2) {
        shown(module, in, tensor.shape[1], "in_features");
        shown(module, out, tensor.shape[0], "out_features");
      }
    }
    if (weights.files.empty() && config.is_object()) {
      findings_.push_back(
          make_finding("embedding.module-missing",
                       (module.folder / "model.safetensors").string(),
                       "weights in safetensors or PyTorch's",
                       "no such file"));
    }
    width_ = out;
  }

  void shown(const Module& module,
             std::optional<int64_t> says,
             int64_t shows,
             std::string_view field) {
    if (says && *says != shows) {
      findings_.push_back(
          make_finding("embedding.width-mismatch",
                       where(module, field),
                       fmt::format("{}, as linear.weight shows", shows),
                       fmt::format("{}", *says)));
    }
  }

  const fs::path& folder_;
  const std::vector<Module>& modules_;
  std::optional<int64_t> width_;
  Findings findings_;
};

// The model's own and its modules', each once.
std::set<fs::path> module_folders(const fs::path& folder,
                                  const std::vector<Module>& modules) {
  std::set<fs::path> folders = {folder};
  for (const auto& module : modules) {
    folders.insert(module.folder);
  }
  return folders;
}

void look_at_encoder(Checkup& checkup, const fs::path& folder) {
  std::optional<ModelFiles> model;
  checkup.step("files", [&](CheckStep& step) {
    model.emplace(open_model(folder));
    step.detail = fmt::format("{} tensors", model->tensors.size());
    auto findings = model->findings;
    std::ranges::move(rules::mlx_types(*model), std::back_inserter(findings));
    std::ranges::move(rules::stored_types(*model, model->config),
                      std::back_inserter(findings));
    return findings;
  });
  if (!model) {
    return;
  }
  checkup.step("shapes", [&](CheckStep&) {
    rules::Component encoder;
    encoder.folder = folder;
    encoder.config_path = folder / "config.json";
    encoder.config = model->config;
    encoder.class_name = inspect(*model).class_name;
    for (const auto& tensor : model->tensors) {
      encoder.tensors.emplace(tensor.name, tensor.shape);
    }
    return rules::component_configs({encoder});
  });
  auto facts = inspect(*model);
  if (facts.tokenizer.present) {
    checkup.step("tokenizer", [&](CheckStep& step) {
      step.detail = fmt::format(
          "{}, {} ids", facts.tokenizer.type, facts.tokenizer.vocabulary);
      auto findings = rules::tokenizer(*model, facts);
      std::ranges::move(rules::token_names(*model),
                        std::back_inserter(findings));
      return findings;
    });
  }
  if (!checkup.options().headers_only) {
    checkup.step("values", [&](CheckStep&) {
      return rules::values(*model, nullptr, checkup.options().progress);
    });
    checkup.skip("inference", "embeddings are not computed here");
    checkup.leave_undecided();
  }
}

}  // namespace

void check_embedding(Checkup& checkup) {
  std::vector<Module> modules;
  checkup.name_architecture("sentence-transformers");
  checkup.step("modules", [&](CheckStep& step) {
    modules = read_modules(checkup.path());
    Walk walk(checkup.path(), modules);
    auto findings = walk.look();
    std::ranges::move(rules::embedding_features(modules),
                      std::back_inserter(findings));
    step.detail = fmt::format("{} modules", modules.size());
    if (walk.width()) {
      step.detail += fmt::format(", vectors of {}", *walk.width());
    }
    return findings;
  });
  checkup.step("settings", [&](CheckStep&) {
    auto findings = rules::embedding_settings(checkup.path(), modules);
    for (const auto& folder : module_folders(checkup.path(), modules)) {
      rules::add_fields(
          findings, rules::folder_fields(folder, "embedding.invalid-value"));
    }
    return findings;
  });
  auto encoder = std::ranges::find(modules, "Transformer", &Module::kind);
  if (encoder != modules.end() && encoder->own) {
    look_at_encoder(checkup, encoder->folder);
  } else if (!modules.empty()) {
    checkup.skip("files", "no encoder of transformers");
  }
}

}  // namespace assay
