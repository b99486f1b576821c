#include <algorithm>
#include <array>
#include <cctype>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/document_fields.h"
#include "assay/check/embedding_rules.h"
#include "assay/formats/json_fields.h"
#include "assay/formats/quote.h"

// What sentence-transformers 6.2 stops at when it loads a folder, or at the
// first text.
namespace assay::rules {
using namespace fields;
namespace {

using Findings = std::vector<Finding>;
namespace fs = std::filesystem;

constexpr uint64_t kMaxSettingsJson = 16u << 20;

class SettingsLook {
 public:
  explicit SettingsLook(Findings& findings, const fs::path& file)
      : findings_(findings),
        file_(file.string()),
        config_(document_at(file, kMaxSettingsJson)) {}

  void whole_model() {
    if (!config_.is_object()) {
      return;
    }
    one_of("similarity_fn_name",
           {"cosine", "dot", "dot_score", "euclidean", "manhattan", "maxsim"});
    one_of("model_type",
           {"SentenceTransformer",
            "SparseEncoder",
            "CrossEncoder",
            "MultiVectorEncoder"});
    prompts();
    versions();
  }

  void encoder(const Json& model) {
    if (!config_.is_object()) {
      return;
    }
    one_of("transformer_task",
           {"feature-extraction",
            "sequence-classification",
            "text-generation",
            "any-to-any",
            "fill-mask",
            "retrieval"});
    const auto* modalities = member(config_, "modality_config");
    if (modalities == nullptr || !modalities->is_object()) {
      return;
    }
    if (modalities->empty()) {
      add("modality_config", "an entry for text, image...", "none");
    }
    if (member(config_, "module_output_name") == nullptr) {
      add("module_output_name",
          "a name, which modality_config needs beside it",
          "none");
    }
    bool foreign = member(model, "auto_map") != nullptr;
    for (const auto& [name, entry] : modalities->items()) {
      modality("modality_config." + name,
               entry,
               foreign ? "" : text(model, "model_type"),
               foreign);
    }
  }

 private:
  void add(const std::string& field, std::string expected, std::string actual) {
    findings_.push_back(make_finding("embedding.invalid-value",
                                     fmt::format("{}: {}", file_, field),
                                     std::move(expected),
                                     std::move(actual)));
  }

  void one_of(const char* field, const std::vector<std::string_view>& known) {
    const auto* value = member(config_, field);
    if (value == nullptr || !value->is_string()) {
      return;  // its kind is another rule's
    }
    auto name = value->get<std::string>();
    if (std::ranges::find(known, name) == known.end()) {
      add(field, fmt::format("{}", fmt::join(known, ", ")), quote(name));
    }
  }

  void prompts() {
    auto all = config_.value("prompts", Json());
    for (const auto& [name, prompt] : all.items()) {
      if (all.is_object() && !prompt.is_string() && !prompt.is_null()) {
        add("prompts." + name, "a text", shown(prompt));
      }
    }
    auto chosen = text(config_, "default_prompt_name");
    if (!chosen.empty() && !(all.is_object() && all.contains(chosen))) {
      add("default_prompt_name", "a name of 'prompts'", quote(chosen));
    }
  }

  // The library compares its own version with this one.
  void versions() {
    const auto* all = member(config_, "__version__");
    if (all == nullptr) {
      return;
    }
    const auto* own = member(*all, "sentence_transformers");
    auto version = own != nullptr && own->is_string() ? own->get<std::string>()
                                                      : std::string();
    bool sound = !version.empty() &&
                 std::isdigit(static_cast<unsigned char>(version.front())) != 0;
    if (!all->is_object() || (own != nullptr && !sound)) {
      add("__version__",
          "an object with versions as \"6.2.0\"",
          shown(own == nullptr ? *all : *own));
    }
  }

  // `type` is that of the encoder; `foreign` that it is code of its own.
  void modality(const std::string& field,
                const Json& entry,
                const std::string& type,
                bool foreign) {
    bool whole = entry.is_object() && entry.contains("method") &&
                 entry.contains("method_output_name");
    if (!whole) {
      add(field,
          "an object with 'method' and 'method_output_name'",
          shown(entry));
      return;
    }
    const auto& method = entry["method"];
    auto name = method.is_string() ? method.get<std::string>() : "";
    bool usual = name == "forward" ||
                 (name.starts_with("get_") && name.ends_with("_features"));
    if (name.empty() || !(usual || foreign)) {
      add(field + ".method", "forward, or get_..._features", shown(method));
    }
    output(field + ".method_output_name", entry["method_output_name"], type);
  }

  // A name, or a path of names and numbers; null takes the output whole. Plain
  // encoders of texts have these outputs and no other.
  void output(const std::string& field,
              const Json& value,
              const std::string& type) {
    constexpr auto kEncoders = std::to_array<std::string_view>({"albert",
                                                                "bert",
                                                                "camembert",
                                                                "distilbert",
                                                                "electra",
                                                                "modernbert",
                                                                "mpnet",
                                                                "roberta",
                                                                "xlm-roberta"});
    constexpr auto kOutputs = std::to_array<std::string_view>({
        "last_hidden_state",
        "hidden_states",
        "pooler_output",
        "attentions",
    });
    if (value.is_null()) {
      return;
    }
    auto first = value.is_array() && !value.empty() ? value.front() : value;
    auto name = first.is_string() ? first.get<std::string>() : "";
    bool plain = std::ranges::find(kEncoders, type) != kEncoders.end();
    bool known = std::ranges::find(kOutputs, name) != kOutputs.end();
    if (name.empty() || (plain && !known)) {
      add(field,
          plain ? fmt::format("{}", fmt::join(kOutputs, ", "))
                : "the name of an output",
          shown(value));
    }
  }

  Findings& findings_;
  std::string file_;
  Json config_;
};

// BERT and what is built like it can be a decoder: each token then sees those
// before it only, and an embedding of the whole text is not what comes out.
void direction(Findings& findings, const fs::path& file, const Json& config) {
  constexpr auto kBoth = std::to_array<std::string_view>(
      {"bert", "camembert", "electra", "roberta", "xlm-roberta"});
  auto type = text(config, "model_type");
  if (std::ranges::find(kBoth, type) == kBoth.end()) {
    return;
  }
  if (truth(config, "is_decoder")) {
    findings.push_back(make_finding("embedding.causal-encoder",
                                    file.string() + ": is_decoder",
                                    "false, for an encoder",
                                    "true"));
  } else if (truth(config, "add_cross_attention")) {
    findings.push_back(make_finding("embedding.invalid-value",
                                    file.string() + ": add_cross_attention",
                                    "false, without is_decoder",
                                    "true"));
  }
}

// transformers builds by model_type, whatever the class is called; the
// activation is that of every published encoder of these.
void kind_of_encoder(Findings& findings,
                     const fs::path& file,
                     const Json& config) {
  struct Encoder {
    std::string_view type, family;
  };
  constexpr auto kPlain =
      std::to_array<Encoder>({{"bert", "Bert"},
                              {"camembert", "Camembert"},
                              {"electra", "Electra"},
                              {"mpnet", "MPNet"},
                              {"roberta", "Roberta"},
                              {"xlm-roberta", "XLMRoberta"}});
  auto type = text(config, "model_type");
  const auto* classes = member(config, "architectures");
  auto name = classes != nullptr && classes->is_array() && !classes->empty() &&
                      classes->front().is_string()
                  ? classes->front().get<std::string>()
                  : "";
  auto add = [&](const char* id, const char* field, std::string expected) {
    const auto* value = member(config, field);
    findings.push_back(make_finding(id,
                                    fmt::format("{}: {}", file.string(), field),
                                    std::move(expected),
                                    value == nullptr ? "none" : shown(*value)));
  };
  if (config.is_object() && type.empty()) {
    add("config.missing-field", "model_type", "the encoder's kind, as bert");
  }
  for (const auto& one : kPlain) {
    bool own = name.starts_with(one.family);
    if (own && !type.empty() && type != one.type &&
        !config.contains("auto_map")) {
      add("config.class-mismatch",
          "model_type",
          fmt::format("{}, as {} is", one.type, name));
    }
    if (own && type == one.type && text(config, "hidden_act") != "gelu" &&
        member(config, "hidden_act") != nullptr) {
      add("config.unpublished-value", "hidden_act", "gelu");
    }
  }
}

}  // namespace

std::vector<Finding> embedding_settings(
    const fs::path& folder, const std::vector<EmbeddingModule>& modules) {
  Findings findings;
  SettingsLook(findings, folder / "config_sentence_transformers.json")
      .whole_model();
  for (const auto& module : modules) {
    if (module.kind != "Transformer" || !module.own) {
      continue;
    }
    auto file = module.folder / "config.json";
    auto model = document_at(file, kMaxSettingsJson);
    direction(findings, file, model);
    kind_of_encoder(findings, file, model);
    SettingsLook(findings, module.folder / "sentence_bert_config.json")
        .encoder(model);
  }
  return findings;
}

}  // namespace assay::rules
