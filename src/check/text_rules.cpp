// The documents about text against each other: config.json,
// generation_config.json, tokenizer_config.json, special_tokens_map.json,
// added_tokens.json, vocab.json, tokenizer.json.

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/document_fields.h"
#include "assay/check/language_rules.h"
#include "assay/check/vocabulary.h"
#include "assay/core/file.h"
#include "assay/formats/json_fields.h"
#include "assay/text/chat_template.h"

namespace assay::rules {
using namespace fields;
namespace {

constexpr uint64_t kMaxDocument = 64u << 20;

std::set<int64_t> ids(const Json& document, std::string_view name) {
  std::set<int64_t> found;
  const auto* value = member(document, name);
  if (value == nullptr) {
    const auto* inner = member(document, "text_config");
    value = inner != nullptr ? member(*inner, name) : nullptr;
  }
  if (value != nullptr && value->is_number_integer()) {
    found.insert(value->get<int64_t>());
  } else if (value != nullptr && value->is_array()) {
    for (const auto& item : *value) {
      if (item.is_number_integer()) {
        found.insert(item.get<int64_t>());
      }
    }
  }
  std::erase_if(found, [](int64_t id) { return id < 0; });
  return found;
}

Json read_beside(const ModelFiles& model, const char* name) {
  return document_at(model.path / name, kMaxDocument);
}

class Documents {
 public:
  Documents(const ModelFiles& model, const Json& config)
      : model_(model), config_(config) {}

  Findings look() {
    names_of_tokens();
    ends();
    other_roles();
    unnamed();
    for (const auto& [document, file] :
         {std::pair(&config_, "config.json"),
          std::pair(&model_.generation_config, "generation_config.json")}) {
      id_values(*document, file);
    }
    return shorten(std::move(findings_));
  }

  Findings look_at_names() {
    names_of_tokens();
    return shorten(std::move(findings_));
  }

 private:
  void names_of_tokens() {
    if (!model_.tokenizer_json.empty()) {
      auto text = read_text(model_.tokenizer_json, uint64_t{256} << 20);
      auto document = parse_json(text, model_.tokenizer_json.string());
      if (member(document, "model") == nullptr) {
        fail("tokenizer.malformed",
             model_.tokenizer_json.string(),
             "an object 'model' with the vocabulary",
             "none");
      }
      vocabulary_ = vocabulary_of(document);
      collisions();
      beside();
      post_processor(document);
    }
    own_tokens();
  }

  void add(const char* id,
           const char* file,
           std::string_view field,
           std::string expected,
           std::string actual,
           std::optional<Severity> severity = std::nullopt) {
    findings_.push_back(make_finding(
        id,
        fmt::format("{}: {}", (model_.path / file).string(), field),
        std::move(expected),
        std::move(actual)));
    if (severity) {
      findings_.back().severity = *severity;
    }
  }

  void collisions() {
    std::map<int64_t, std::string_view> holders;
    for (const auto* part : {&vocabulary_.pieces, &vocabulary_.added}) {
      for (const auto& [text, id] : *part) {
        auto [holder, fresh] = holders.emplace(id, text);
        if (!fresh && holder->second != text) {
          add("tokenizer.id-collision",
              "tokenizer.json",
              fmt::format("id {}", id),
              "one token an id",
              fmt::format("'{}' and '{}'", holder->second, text));
        }
      }
    }
    for (const auto& [text, id] : vocabulary_.added) {
      auto piece = vocabulary_.pieces.find(text);
      if (piece != vocabulary_.pieces.end() && piece->second != id) {
        add("tokenizer.id-collision",
            "tokenizer.json",
            "added_tokens",
            fmt::format("'{}' with id {}, as the vocabulary has it",
                        text,
                        piece->second),
            fmt::format("{}", id));
      }
    }
  }

  void differ(const char* file, std::string_view text, int64_t id) {
    auto here = vocabulary_.id_of(text);
    if (here && *here != id) {
      add("tokenizer.disagrees",
          file,
          fmt::format("'{}'", text),
          fmt::format("id {}, as tokenizer.json has it", *here),
          fmt::format("{}", id));
    } else if (!here && vocabulary_.known) {
      add("tokenizer.disagrees",
          file,
          fmt::format("'{}'", text),
          "a token that tokenizer.json has",
          fmt::format("id {}", id),
          Severity::warning);
    }
  }

  void beside() {
    if (const auto* decoder =
            member(model_.tokenizer_config, "added_tokens_decoder");
        decoder != nullptr && decoder->is_object()) {
      for (const auto& [id, token] : decoder->items()) {
        int64_t number = 0;
        const char* end = id.data() + id.size();
        bool whole = std::from_chars(id.data(), end, number).ptr == end;
        if (auto text = content(&token); whole && !text.empty()) {
          differ("tokenizer_config.json", text, number);
        }
      }
    }
    for (const auto* file : {"added_tokens.json", "vocab.json"}) {
      auto tokens = read_beside(model_, file);
      if (tokens.is_object()) {
        for (const auto& [text, id] : tokens.items()) {
          if (id.is_number_integer()) {
            differ(file, text, id.get<int64_t>());
          }
        }
      }
    }
    auto map = read_beside(model_, "special_tokens_map.json");
    for (const auto* role :
         {"bos_token", "eos_token", "pad_token", "unk_token"}) {
      auto here = content(member(model_.tokenizer_config, role));
      auto there = content(member(map, role));
      if (!here.empty() && !there.empty() && here != there) {
        add("special-token.disagrees",
            "special_tokens_map.json",
            role,
            fmt::format("'{}', as tokenizer_config.json has it", here),
            fmt::format("'{}'", there));
      }
      if (!here.empty() && vocabulary_.known && !vocabulary_.id_of(here)) {
        bool fallback = std::string_view(role) == "unk_token" ||
                        std::string_view(role) == "pad_token";
        add("special-token.unknown",
            "tokenizer_config.json",
            role,
            "a token of tokenizer.json",
            fmt::format("'{}'", here),
            fallback ? std::optional(Severity::warning) : std::nullopt);
      }
    }
  }

  // What is written around every text, by token and id.
  void post_processor(const Json& tokenizer) {
    const auto* processor = member(tokenizer, "post_processor");
    const auto* tokens =
        processor == nullptr ? nullptr : member(*processor, "special_tokens");
    if (tokens == nullptr || !tokens->is_object() || !vocabulary_.known) {
      return;
    }
    for (const auto& [text, token] : tokens->items()) {
      const auto* list = member(token, "ids");
      auto known = vocabulary_.id_of(text);
      bool one = list != nullptr && list->is_array() && list->size() == 1 &&
                 list->front().is_number_integer();
      if (one && known && list->front() != *known) {
        add("tokenizer.disagrees",
            "tokenizer.json",
            fmt::format("post_processor: '{}'", text),
            fmt::format("id {}, as the vocabulary has it", *known),
            list->front().dump());
      }
    }
  }

  // Ids are below the vocabulary's size; what is no id, document_fields names.
  void id_values(const Json& document, const char* file) {
    const auto* rows = member(config_, "vocab_size");
    for (const auto* field : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
      const auto* value = member(document, field);
      if (value == nullptr) {
        continue;
      }
      for (const auto& id :
           value->is_array() ? *value : Json::array({*value})) {
        if (id.is_number_integer() && rows != nullptr &&
            rows->is_number_integer() &&
            id.get<int64_t>() >= rows->get<int64_t>()) {
          add("special-token.out-of-range",
              file,
              field,
              fmt::format("an id below {}", rows->get<int64_t>()),
              id.dump(),
              std::string_view(field) == "pad_token_id"
                  ? std::optional(Severity::warning)
                  : std::nullopt);
        }
      }
    }
  }

  std::optional<int64_t> named(const char* role) const {
    auto text = content(member(model_.tokenizer_config, role));
    return text.empty() ? std::nullopt : vocabulary_.id_of(text);
  }

  void ends() {
    auto config = ids(config_, "eos_token_id");
    auto generation = ids(model_.generation_config, "eos_token_id");
    bool meet = std::ranges::any_of(
        config, [&](int64_t id) { return generation.contains(id); });
    if (!config.empty() && !generation.empty() && !meet) {
      add("special-token.disagrees",
          "config.json",
          "eos_token_id",
          fmt::format("one of {}, as generation_config.json has it",
                      fmt::join(generation, ", ")),
          fmt::format("{}", fmt::join(config, ", ")));
    }
    auto own = named("eos_token");
    const auto& effective = generation.empty() ? config : generation;
    if (own && !effective.empty() && !effective.contains(*own)) {
      add("special-token.disagrees",
          generation.empty() ? "config.json" : "generation_config.json",
          "eos_token_id",
          fmt::format("{} among them, the tokenizer's eos_token '{}'",
                      *own,
                      content(member(model_.tokenizer_config, "eos_token"))),
          fmt::format("{}", fmt::join(effective, ", ")));
    }
  }

  void other_roles() {
    for (const auto* role : {"bos", "pad"}) {
      auto field = fmt::format("{}_token_id", role);
      auto own = named(fmt::format("{}_token", role).c_str());
      for (const auto& [document, file] :
           {std::pair(&config_, "config.json"),
            std::pair(&model_.generation_config, "generation_config.json")}) {
        auto told = ids(*document, field);
        if (own && !told.empty() && !told.contains(*own)) {
          add("special-token.disagrees",
              file,
              field,
              fmt::format("{}, the tokenizer's", *own),
              fmt::format("{}", fmt::join(told, ", ")),
              std::string_view(role) == "pad" ? std::optional(Severity::note)
                                              : std::nullopt);
        }
      }
    }
    auto pad = content(member(model_.tokenizer_config, "pad_token"));
    if (!pad.empty() &&
        pad == content(member(model_.tokenizer_config, "unk_token"))) {
      add("special-token.pad-unk",
          "tokenizer_config.json",
          "pad_token",
          "a token of its own, or that of the end",
          fmt::format("'{}', which is unk_token too", pad));
    }
  }

  // Tokens of a model's own ("image_token", and those without a role):
  // transformers adds what the vocabulary lacks, with an id past the embedding.
  void own_tokens() {
    const auto& settings = model_.tokenizer_config;
    if (!vocabulary_.known || !settings.is_object()) {
      return;
    }
    auto hold = [&](const std::string& field, const Json& token) {
      auto text = content(&token);
      if (!text.empty() && !vocabulary_.id_of(text)) {
        add("special-token.unknown",
            "tokenizer_config.json",
            field,
            "a token of tokenizer.json",
            fmt::format("'{}'", text));
      }
    };
    constexpr auto kUsual = std::to_array<std::string_view>(
        {"bos_token", "eos_token", "pad_token", "unk_token"});
    for (const auto& [name, value] : settings.items()) {
      bool own = name.ends_with("_token") && !name.starts_with("add_") &&
                 std::ranges::find(kUsual, name) == kUsual.end();
      if (own) {
        hold(name, value);
      }
      if (name == "extra_special_tokens" && value.is_structured()) {
        for (const auto& token : value) {
          hold(name, token);
        }
      }
    }
  }

  // The tokenizer's own files name a token of that role: classes of one model
  // (LlamaTokenizer, GPT2Tokenizer...) name theirs themselves, unless another
  // one stands where it is not read. transformers 5.23 reads
  // special_tokens_map.json only where there is no "added_tokens_decoder".
  bool names(const std::string& role) const {
    const auto& settings = model_.tokenizer_config;
    if (!content(member(settings, role)).empty()) {
      return true;
    }
    auto map = read_beside(model_, "special_tokens_map.json");
    if (!content(member(map, role)).empty()) {
      return member(settings, "added_tokens_decoder") == nullptr;
    }
    auto kind = fields::text(settings, "tokenizer_class");
    return !kind.empty() && kind != "PreTrainedTokenizerFast" &&
           kind != "TokenizersBackend";
  }

  // transformers then knows no such token, whatever the configs say: templates
  // write nothing, or fail, and batches are not filled.
  void unnamed() {
    if (!model_.tokenizer_config.is_object() || model_.tokenizer_json.empty()) {
      return;
    }
    for (const auto* role : {"bos_token", "eos_token", "pad_token"}) {
      auto field = fmt::format("{}_id", role);
      // Qwen's configs have a beginning that its tokenizers do not write.
      bool ends = std::string_view(role) == "eos_token" &&
                  (!ids(config_, field).empty() ||
                   !ids(model_.generation_config, field).empty());
      bool written = model_.chat_template.find(role) != std::string::npos;
      if ((ends || written) && !names(role)) {
        add("special-token.unnamed",
            "tokenizer_config.json",
            role,
            written ? "a token, which the chat template writes"
                    : "a token, whose id the model's config has",
            "none");
      }
    }
  }

  const ModelFiles& model_;
  const Json& config_;
  Vocabulary vocabulary_;
  Findings findings_;
};

// Markers that only ever are tokens; others ("<|user|>", "[INST]") are plain
// text in published models.
constexpr std::array<std::string_view, 10> kMarkers = {"<|im_start|>",
                                                       "<|im_end|>",
                                                       "<|eot_id|>",
                                                       "<|start_header_id|>",
                                                       "<|end_header_id|>",
                                                       "<start_of_turn>",
                                                       "<end_of_turn>",
                                                       "<|begin_of_text|>",
                                                       "<|message|>",
                                                       "<|channel|>"};

}  // namespace

Findings text_documents(const ModelFiles& model, const Json& config) {
  return model.container != Container::gguf ? Documents(model, config).look()
                                            : Findings{};
}

Findings token_names(const ModelFiles& model) {
  return Documents(model, model.config).look_at_names();
}

Findings spoken_tokens(const ModelFiles& model,
                       const Tokenizer& tokenizer,
                       const TokenizerSummary&) {
  Findings findings;
  auto special = special_tokens(model, tokenizer);
  auto bos_twice = [&](const std::vector<int32_t>& encoded,
                       const std::string& where) {
    if (special.bos && encoded.size() > 1 && encoded[0] == *special.bos &&
        encoded[1] == *special.bos) {
      findings.push_back(make_finding("template.bos-twice",
                                      where,
                                      fmt::format("id {} once", *special.bos),
                                      "twice"));
    }
  };
  bos_twice(tokenizer.encode("a"), model.path.string() + ": post_processor");
  if (model.chat_template.empty()) {
    return findings;
  }
  auto where = model.path.string() + ": chat template";
  auto question =
      Json::array({Json{{"role", "user"}, {"content", "question"}}});
  auto text = render_chat(model.chat_template, question, special);
  bos_twice(tokenizer.encode(text, false), where);
  for (auto marker : kMarkers) {
    if (text.find(marker) != std::string::npos &&
        !tokenizer.token_to_id(marker)) {
      findings.push_back(make_finding("template.unknown-marker",
                                      where,
                                      "markers that the tokenizer knows",
                                      fmt::format("'{}'", marker)));
    }
  }
  return findings;
}

Findings sampling(const ModelFiles& model) {
  Findings findings;
  const auto& config = model.generation_config;
  auto file = (model.path / "generation_config.json").string();
  if (!config.is_null() && !config.is_object()) {
    return {make_finding("generation.invalid-value",
                         file,
                         "an object of settings",
                         config.type_name())};
  }
  auto hold = [&](const char* field, auto&& holds, const char* expected) {
    const auto* value = member(config, field);
    if (value == nullptr) {
      return;
    }
    if (!value->is_number() || !holds(value->get<double>())) {
      findings.push_back(make_finding("generation.invalid-value",
                                      fmt::format("{}: {}", file, field),
                                      expected,
                                      value->dump().substr(0, 80)));
    }
  };
  if (truth(config, "do_sample")) {
    hold(
        "temperature",
        [](double x) { return x > 0; },
        "above 0, since do_sample is true");
  } else {
    hold("temperature", [](double x) { return x >= 0; }, "0 or more");
  }
  hold("top_p", [](double x) { return x > 0 && x <= 1; }, "above 0, at most 1");
  hold("min_p", [](double x) { return x >= 0 && x <= 1; }, "0 to 1");
  hold("top_k", [](double x) { return x >= 0; }, "0 or more");
  hold("repetition_penalty", [](double x) { return x > 0; }, "above 0");
  hold("max_new_tokens", [](double x) { return x >= 1; }, "1 or more");
  hold("max_length", [](double x) { return x >= 1; }, "1 or more");
  // transformers 5.23, generation/configuration_utils.py.
  constexpr auto kCaches =
      std::to_array<std::string_view>({"dynamic",
                                       "offloaded",
                                       "quantized",
                                       "static",
                                       "offloaded_static",
                                       "sliding_window",
                                       "hybrid",
                                       "hybrid_chunked",
                                       "offloaded_hybrid",
                                       "offloaded_hybrid_chunked",
                                       "paged"});
  auto cache = fields::text(config, "cache_implementation");
  if (!cache.empty() && std::ranges::find(kCaches, cache) == kCaches.end()) {
    findings.push_back(
        make_finding("generation.invalid-value",
                     file + ": cache_implementation",
                     fmt::format("one of {}", fmt::join(kCaches, ", ")),
                     fmt::format("'{}'", cache)));
  }
  return findings;
}

}  // namespace assay::rules
