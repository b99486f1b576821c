#include "assay/check/vocabulary.h"

#include <nlohmann/json.hpp>

#include "assay/formats/json_fields.h"
#include "assay/text/tokenizer.h"

namespace assay::rules {
using namespace fields;

std::optional<int64_t> Vocabulary::id_of(std::string_view text) const {
  for (const auto* part : {&added, &pieces}) {
    if (auto entry = part->find(text); entry != part->end()) {
      return entry->second;
    }
  }
  return std::nullopt;
}

Vocabulary vocabulary_of(const Json& tokenizer) {
  Vocabulary vocabulary;
  if (const auto* list = member(tokenizer, "added_tokens");
      list != nullptr && list->is_array()) {
    for (const auto& token : *list) {
      const auto* id = member(token, "id");
      if (id != nullptr && id->is_number_integer()) {
        vocabulary.added[content(&token)] = id->get<int64_t>();
      }
    }
  }
  const auto* model = member(tokenizer, "model");
  const auto* vocab = model != nullptr ? member(*model, "vocab") : nullptr;
  if (vocab != nullptr && vocab->is_object()) {
    for (const auto& [piece, id] : vocab->items()) {
      if (id.is_number_integer()) {
        vocabulary.pieces[piece] = id.get<int64_t>();
      }
    }
  } else if (vocab != nullptr && vocab->is_array()) {
    int64_t id = 0;
    for (const auto& pair : *vocab) {
      if (pair.is_array() && !pair.empty() && pair[0].is_string()) {
        vocabulary.pieces[pair[0].get<std::string>()] = id;
      }
      ++id;
    }
  }
  vocabulary.known = !vocabulary.pieces.empty();
  return vocabulary;
}

// Without merges this program takes single characters; llama.cpp refuses the
// file ("cannot find tokenizer merges in model file").
std::vector<Finding> gguf_vocabulary(const GgufMetadata& metadata,
                                     const std::string& where) {
  auto findings = gguf_tokenizer_findings(metadata, where);
  bool merges = metadata.texts("tokenizer.ggml.merges") != nullptr;
  if (metadata.text("tokenizer.ggml.model") == "gpt2" && !merges) {
    findings.push_back(make_finding("tokenizer.malformed",
                                    where + ": tokenizer.ggml.merges",
                                    "the merges of a vocabulary of pairs",
                                    "none"));
  }
  return findings;
}

std::string content(const Json* value) {
  if (value != nullptr && value->is_object()) {
    value = member(*value, "content");
  }
  return value != nullptr && value->is_string() ? value->get<std::string>()
                                                : "";
}

}  // namespace assay::rules
