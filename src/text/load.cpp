#include <algorithm>
#include <iterator>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/text/gguf_vocabulary.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxId = (1 << 24) - 1;

/** The text of a token as the configs write it: a string, or an object with
 * "content"; empty for anything else. */
std::string token_text(const Json& value) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  if (value.is_object()) {
    auto content = value.find("content");
    if (content != value.end() && content->is_string()) {
      return content->get<std::string>();
    }
  }
  return "";
}

const Json* field(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

int32_t token_id(const Json& value, std::string_view where) {
  if (!value.is_number_integer() || value.get<int64_t>() < 0 ||
      value.get<int64_t>() > kMaxId) {
    fail("config.invalid-value",
         std::string(where),
         "a token id or a list of them",
         value.dump());
  }
  return value.get<int32_t>();
}

/** Ids of `name` in a config: an integer, a list, or nothing. A multimodal
 * model keeps them in its text_config. */
std::vector<int32_t> token_ids(const Json& config,
                               std::string_view name,
                               std::string_view file) {
  auto where = fmt::format("{} {}", file, name);
  const auto* value = field(config, name);
  if (value == nullptr) {
    const auto* text_config = field(config, "text_config");
    value = text_config != nullptr ? field(*text_config, name) : nullptr;
  }
  std::vector<int32_t> ids;
  if (value == nullptr) {
    return ids;
  }
  if (!value->is_array()) {
    // -1 stands for "none" in some published configs.
    if (*value != -1) {
      ids.push_back(token_id(*value, where));
    }
    return ids;
  }
  for (const auto& item : *value) {
    ids.push_back(token_id(item, where));
  }
  return ids;
}

void add_once(std::vector<int32_t>& ids, int32_t id) {
  if (std::ranges::find(ids, id) == ids.end()) {
    ids.push_back(id);
  }
}

/** One special token by its text, else by the id in config.json. */
void settle(std::optional<int32_t>& id,
            std::string& text,
            const Json& named,
            const Json& config,
            std::string_view name,
            const Tokenizer& tokenizer) {
  if (const auto* value = field(named, name)) {
    text = token_text(*value);
    id = tokenizer.token_to_id(text);
    return;
  }
  auto ids = token_ids(config, fmt::format("{}_id", name), "config.json");
  if (!ids.empty()) {
    id = ids.front();
    text = tokenizer.id_to_token(ids.front()).value_or("");
  }
}

bool is_one_of_four(std::string_view name) {
  return name == "bos_token" || name == "eos_token" || name == "pad_token" ||
         name == "unk_token";
}

/** cls_token, image_token...: fields named so, and the objects in which
 * transformers 4 and 5 keep the rest. */
void add_others(SpecialTokens& special, const Json& named) {
  if (!named.is_object()) {
    return;
  }
  auto add = [&](const std::string& name, const Json& value) {
    auto text = token_text(value);
    if (!text.empty()) {
      special.others.emplace_back(name, text);
    }
  };
  for (const auto& [name, value] : named.items()) {
    if (name.ends_with("_token") && !is_one_of_four(name)) {
      add(name, value);
    }
  }
  for (auto* group :
       {"extra_special_tokens", "model_specific_special_tokens"}) {
    const auto* tokens = field(named, group);
    if (tokens != nullptr && tokens->is_object()) {
      for (const auto& [name, value] : tokens->items()) {
        add(name, value);
      }
    }
  }
}

SpecialTokens from_configs(const ModelFiles& model,
                           const Json& named,
                           const Tokenizer& tokenizer) {
  SpecialTokens special;
  std::optional<int32_t> eos;
  auto one = [&](auto& id, auto& text, std::string_view name) {
    settle(id, text, named, model.config, name, tokenizer);
  };
  one(special.bos, special.bos_text, "bos_token");
  one(special.pad, special.pad_text, "pad_token");
  one(special.unk, special.unk_text, "unk_token");
  one(eos, special.eos_text, "eos_token");
  special.eos = token_ids(
      model.generation_config, "eos_token_id", "generation_config.json");
  if (special.eos.empty()) {
    special.eos = token_ids(model.config, "eos_token_id", "config.json");
  }
  if (eos) {
    add_once(special.eos, *eos);
  }
  add_others(special, named);
  return special;
}

/** tokenizer_config.json, or special_tokens_map.json of older folders where
 * it names no special token. */
Json named_tokens(const ModelFiles& model) {
  const auto& config = model.tokenizer_config;
  if (field(config, "eos_token") || field(config, "bos_token") ||
      model.tokenizer_json.empty()) {
    return config;
  }
  auto path = model.tokenizer_json.parent_path() / "special_tokens_map.json";
  std::error_code error;
  if (!fs::is_regular_file(path, error)) {
    return config;
  }
  auto map = parse_json(read_text(path, 16u << 20), path.string());
  return map.is_object() ? map : config;
}

/** Ends of a turn as control tokens are named, where the file has no id for
 * it: only those that the chat template writes. */
void add_known_ends(SpecialTokens& special,
                    const std::string& chat_template,
                    const GgufVocabulary& vocabulary) {
  constexpr std::string_view kEnds[] = {"<|eot_id|>",
                                        "<|im_end|>",
                                        "<end_of_turn>",
                                        "<|end_of_turn|>",
                                        "<|eom_id|>",
                                        "<|end|>"};
  constexpr size_t kOfMessage = std::size(kEnds) - 1;
  std::optional<int32_t> ids[std::size(kEnds)];
  bool harmony = false;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto& token = vocabulary.tokens[i];
    harmony = harmony || token.text == "<|return|>";
    const auto* end = std::ranges::find(kEnds, token.text);
    if (token.type == TokenType::control && end != std::end(kEnds)) {
      ids[end - kEnds] = static_cast<int32_t>(i);
    }
  }
  for (size_t i = 0; i < std::size(kEnds); ++i) {
    // In the format with <|return|>, <|end|> ends a message, not a turn.
    if (ids[i] && chat_template.find(kEnds[i]) != chat_template.npos &&
        !(harmony && i == kOfMessage)) {
      add_once(special.eos, *ids[i]);
    }
  }
}

}  // namespace

Tokenizer load_tokenizer(const ModelFiles& model) {
  if (!model.tokenizer_json.empty()) {
    MappedFile file(model.tokenizer_json);
    return Tokenizer::from_json(file.text(), model.tokenizer_json.string());
  }
  auto where = model.path.string();
  if (model.gguf) {
    return Tokenizer::from_json(tokenizer_json_from_gguf(*model.gguf, where),
                                where);
  }
  fail("tokenizer.missing",
       where,
       "tokenizer.json, or a GGUF with a vocabulary",
       "neither");
}

SpecialTokens gguf_special_tokens(const ModelFiles& model) {
  const auto& metadata = *model.gguf;
  auto where = model.path.string();
  const auto vocabulary = read_gguf_names(metadata, where);
  SpecialTokens special;
  auto one = [&](auto& id, auto& text, const std::optional<int32_t>& stored) {
    if (stored) {
      id = stored;
      text = vocabulary.text(*stored);
    }
  };
  auto other = [&](const char* name, const std::optional<int32_t>& stored) {
    if (stored) {
      special.others.emplace_back(name, vocabulary.text(*stored));
    }
  };
  std::optional<int32_t> eos;
  if (vocabulary.model == "bert") {
    other("cls_token", vocabulary.bos);
  } else {
    one(special.bos, special.bos_text, vocabulary.bos);
  }
  one(special.pad, special.pad_text, vocabulary.pad);
  one(special.unk, special.unk_text, vocabulary.unk);
  one(eos, special.eos_text, vocabulary.eos);
  other("sep_token", vocabulary.sep);
  other("mask_token", vocabulary.mask);
  if (eos) {
    special.eos.push_back(*eos);
  }
  bool told = false;
  for (auto* name : {"eot", "eom"}) {
    auto key = fmt::format("tokenizer.ggml.{}_token_id", name);
    if (auto id = metadata.integer(key)) {
      add_once(special.eos,
               token_id(Json(*id), fmt::format("{} {}", where, key)));
      told = true;
    }
  }
  if (!told) {
    add_known_ends(special, model.chat_template, vocabulary);
  }
  return special;
}

SpecialTokens special_tokens(const ModelFiles& model,
                             const Tokenizer& tokenizer) {
  if (model.gguf && model.tokenizer_json.empty()) {
    return gguf_special_tokens(model);
  }
  return from_configs(model, named_tokens(model), tokenizer);
}

}  // namespace assay
