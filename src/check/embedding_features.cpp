#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/document_fields.h"
#include "assay/check/embedding_rules.h"
#include "assay/formats/json_fields.h"
#include "assay/formats/quote.h"

// The names under which modules of sentence-transformers 6.2 hand values on,
// by their own code: a module whose input is not there stops, or (Normalize)
// leaves the vectors as they are without a word.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

constexpr uint64_t kMaxModuleJson = 16u << 20;
constexpr std::string_view kTokens = "token_embeddings";
constexpr std::string_view kSentence = "sentence_embedding";

struct ModuleFeatures {
  std::string_view kind;
  std::string_view reads;  ///< "" where it reads texts
  std::string_view makes;
  bool named = false;  ///< module_input_name and module_output_name say others
};

constexpr auto kModuleFeatures = std::to_array<ModuleFeatures>({
    {"MLMTransformer", "", kTokens},
    {"WordEmbeddings", "", kTokens},
    {"BoW", "", kSentence},
    {"StaticEmbedding", "", kSentence},
    {"SparseStaticEmbedding", "", kSentence},
    {"CNN", kTokens, kTokens},
    {"LSTM", kTokens, kTokens},
    {"WordWeights", kTokens, kTokens},
    {"TokenPooling", kTokens, kTokens},
    {"Pooling", kTokens, kSentence},
    {"SpladePooling", kTokens, kSentence},
    {"Normalize", kSentence, kSentence, true},
    {"Dense", kSentence, kSentence, true},
    {"LayerNorm", kSentence, kSentence},
    {"Dropout", kSentence, kSentence},
    {"SparseAutoEncoder", kSentence, kSentence},
});

/** What a program takes from the last module. */
bool is_result(std::string_view feature) {
  constexpr auto kResults = std::to_array<std::string_view>(
      {kSentence, kTokens, "scores", "causal_logits", "logits"});
  return std::ranges::find(kResults, feature) != kResults.end();
}

class FeaturesWalk {
 public:
  Findings look(const std::vector<EmbeddingModule>& modules) {
    for (const auto& module : modules) {
      if (!step(module)) {
        return std::move(findings_);
      }
    }
    for (const auto& [feature, where] : unread_) {
      if (!is_result(feature)) {
        findings_.push_back(make_finding(
            "embedding.feature-unread",
            where,
            fmt::format("{}, or what a later module reads", kSentence),
            quote(feature)));
      }
    }
    return std::move(findings_);
  }

 private:
  /** False where a module's features are not known. */
  bool step(const EmbeddingModule& module) {
    if (!module.own) {
      return false;
    }
    if (module.kind == "Transformer") {
      encoder(module);
      return true;
    }
    const auto* known =
        std::ranges::find(kModuleFeatures, module.kind, &ModuleFeatures::kind);
    if (known == kModuleFeatures.end()) {
      return false;
    }
    auto file = module.folder / "config.json";
    auto config = known->named ? document_at(file, kMaxModuleJson) : Json();
    auto input = fields::text(config, "module_input_name");
    auto output = fields::text(config, "module_output_name");
    if (input.empty()) {
      input = known->reads;
    }
    if (output.empty()) {
      output = known->named ? input : known->makes;
    }
    auto where = [&](const char* field) {
      return known->named ? fmt::format("{}: {}", file.string(), field)
                          : module.folder.string();
    };
    if (!input.empty()) {
      read(input, where("module_input_name"), module.kind);
    }
    make(output, where("module_output_name"));
    return true;
  }

  // Where nothing is stated the name is chosen by what the model can do.
  void encoder(const EmbeddingModule& module) {
    auto file = module.folder / "sentence_bert_config.json";
    auto output =
        fields::text(document_at(file, kMaxModuleJson), "module_output_name");
    if (!output.empty()) {
      make(output, file.string() + ": module_output_name");
      return;
    }
    for (auto feature : {kTokens, kSentence}) {
      made_.insert(std::string(feature));
    }
  }

  void read(const std::string& feature,
            const std::string& where,
            const std::string& kind) {
    unread_.erase(feature);
    if (!made_.contains(feature)) {
      findings_.push_back(make_finding(
          "embedding.feature-absent",
          where,
          fmt::format("one of {}, which modules before it make",
                      fmt::join(made_, ", ")),
          fmt::format("{}, which {} reads", quote(feature), kind)));
    }
  }

  void make(const std::string& feature, const std::string& where) {
    made_.insert(feature);
    unread_[feature] = where;
  }

  std::set<std::string> made_;
  std::map<std::string, std::string> unread_;  ///< feature, who makes it
  Findings findings_;
};

}  // namespace

std::vector<Finding> embedding_features(
    const std::vector<EmbeddingModule>& modules) {
  return FeaturesWalk().look(modules);
}

}  // namespace assay::rules
