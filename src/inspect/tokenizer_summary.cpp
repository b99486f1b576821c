#include <algorithm>
#include <cstring>
#include <map>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <simdjson.h>

#include "assay/core/file.h"
#include "assay/inspect/inspect.h"

namespace assay {
namespace {

namespace ondemand = simdjson::ondemand;

constexpr uint64_t kMaxTokenizer = 256u << 20;

/** What the two sources have in common: texts and ids of special tokens. */
struct Vocabulary {
  std::map<std::string, int64_t, std::less<>> id_of;  ///< added tokens
  std::map<int64_t, std::string> text_of;
};

const Json* tokenizer_field(const Json& object, std::string_view name) {
  if (!object.is_object()) {
    return nullptr;
  }
  auto entry = object.find(name);
  return entry == object.end() || entry->is_null() ? nullptr : &*entry;
}

void read_added(ondemand::array tokens,
                TokenizerSummary& summary,
                Vocabulary& vocabulary) {
  for (ondemand::object token : tokens) {
    int64_t id = -1;
    std::string text;
    for (auto member : token) {
      std::string_view key = member.unescaped_key();
      if (key == "id") {
        id = member.value().get_int64();
      } else if (key == "content") {
        text = std::string(std::string_view(member.value().get_string()));
      }
    }
    summary.added += 1;
    summary.vocabulary =
        std::max(summary.vocabulary, static_cast<uint64_t>(id + 1));
    vocabulary.id_of[text] = id;
    vocabulary.text_of[id] = text;
  }
}

// The pieces of the model's own vocabulary: an object of ids, or (Unigram) a
// list whose places are the ids.
void read_pieces(ondemand::value pieces,
                 TokenizerSummary& summary,
                 uint64_t& count) {
  int64_t largest = -1;
  if (pieces.type() == ondemand::json_type::array) {
    for (auto piece : pieces.get_array()) {
      piece.value();
      ++count;
    }
    largest = static_cast<int64_t>(count) - 1;
  } else {
    for (auto piece : pieces.get_object()) {
      largest = std::max(largest, int64_t{piece.value().get_int64()});
      ++count;
    }
  }
  summary.vocabulary =
      std::max(summary.vocabulary, static_cast<uint64_t>(largest + 1));
}

void read_tokenizer_json(const std::filesystem::path& path,
                         TokenizerSummary& summary,
                         Vocabulary& vocabulary) {
  auto file = MappedFile(path);
  if (file.size() > kMaxTokenizer) {
    fail("file.too-large",
         path.string(),
         fmt::format("at most {} bytes", kMaxTokenizer),
         fmt::format("{}", file.size()));
  }
  auto text = simdjson::padded_string(file.text());
  ondemand::parser parser;
  ondemand::document document = parser.iterate(text);
  uint64_t count = 0;
  for (auto member : document.get_object()) {
    std::string_view key = member.unescaped_key();
    if (key == "added_tokens") {
      read_added(member.value().get_array(), summary, vocabulary);
    } else if (key == "model") {
      for (auto part : member.value().get_object()) {
        std::string_view name = part.unescaped_key();
        if (name == "type") {
          summary.type =
              std::string(std::string_view(part.value().get_string()));
        } else if (name == "vocab") {
          read_pieces(part.value(), summary, count);
        }
      }
    }
  }
  // Added tokens may repeat pieces, but ids are counted once.
  summary.entries = std::min(count + summary.added, summary.vocabulary);
  summary.present = true;
}

std::string token_text(const Json& value) {
  if (value.is_string()) {
    return value.get<std::string>();
  }
  const auto* content = tokenizer_field(value, "content");
  return content != nullptr && content->is_string()
             ? content->get<std::string>()
             : "";
}

std::vector<int64_t> ids_in(const Json& config, std::string_view name) {
  std::vector<int64_t> ids;
  const auto* value = tokenizer_field(config, name);
  if (value == nullptr) {
    const auto* inner = tokenizer_field(config, "text_config");
    value = inner != nullptr ? tokenizer_field(*inner, name) : nullptr;
  }
  if (value != nullptr && value->is_number_integer()) {
    ids.push_back(value->get<int64_t>());
  } else if (value != nullptr && value->is_array()) {
    for (const auto& item : *value) {
      if (item.is_number_integer()) {
        ids.push_back(item.get<int64_t>());
      }
    }
  }
  return ids;
}

// From the configs of a folder. A text names the token; the ids of
// generation_config.json, which rule a generation, are added where they differ.
void add_specials(const ModelFiles& model,
                  const Json& config,
                  const Vocabulary& vocabulary,
                  TokenizerSummary& summary) {
  for (std::string name : {"bos", "eos", "pad", "unk"}) {
    std::vector<TokenizerSummary::Special> found;
    if (const auto* value =
            tokenizer_field(model.tokenizer_config, name + "_token")) {
      auto text = token_text(*value);
      auto id = vocabulary.id_of.find(text);
      if (!text.empty()) {
        found.push_back({name,
                         text,
                         id == vocabulary.id_of.end()
                             ? std::nullopt
                             : std::optional(id->second)});
      }
    }
    auto ids = ids_in(model.generation_config, name + "_token_id");
    if (ids.empty()) {
      ids = ids_in(config, name + "_token_id");
    }
    for (auto id : ids) {
      auto same = [id](const auto& special) { return special.id == id; };
      if (id < 0 || std::ranges::any_of(found, same)) {
        continue;
      }
      auto text = vocabulary.text_of.find(id);
      bool lone_text =
          found.size() == 1 && !found[0].id && text == vocabulary.text_of.end();
      if (lone_text) {  // the same token: its text is no added one
        found[0].id = id;
      } else {
        found.push_back(
            {name, text == vocabulary.text_of.end() ? "" : text->second, id});
      }
    }
    std::ranges::move(found, std::back_inserter(summary.special));
  }
}

// GGUF's names of tokenizers, in the words of the `tokenizers` crate.
std::string type_of_gguf(std::string_view model) {
  constexpr std::pair<std::string_view, std::string_view> kTypes[] = {
      {"gpt2", "BPE"},
      {"llama", "BPE"},
      {"gemma4", "BPE"},
      {"t5", "Unigram"},
      {"bert", "WordPiece"}};
  for (const auto& [gguf, type] : kTypes) {
    if (gguf == model) {
      return std::string(type);
    }
  }
  return "";
}

void read_gguf(const GgufMetadata& metadata, TokenizerSummary& summary) {
  auto model = metadata.text("tokenizer.ggml.model");
  const auto* tokens = metadata.texts("tokenizer.ggml.tokens");
  if (!model || tokens == nullptr) {
    return;
  }
  summary.present = true;
  summary.type = type_of_gguf(*model);
  summary.kind = std::string(*model);
  if (auto pre = metadata.text("tokenizer.ggml.pre")) {
    summary.kind += fmt::format(" ({})", *pre);
  }
  summary.entries = summary.vocabulary = tokens->size();
  // Types of tokens: 3 control, 4 user-defined.
  if (auto types = metadata.integers("tokenizer.ggml.token_type")) {
    summary.added = static_cast<uint64_t>(std::ranges::count_if(
        *types, [](int64_t type) { return type == 3 || type == 4; }));
  }
  constexpr std::pair<const char*, const char*> kSpecials[] = {
      {"bos", "tokenizer.ggml.bos_token_id"},
      {"eos", "tokenizer.ggml.eos_token_id"},
      {"eos", "tokenizer.ggml.eot_token_id"},
      {"pad", "tokenizer.ggml.padding_token_id"},
      {"unk", "tokenizer.ggml.unknown_token_id"}};
  for (const auto& [name, key] : kSpecials) {
    if (auto id = metadata.integer(key)) {
      bool known = *id >= 0 && static_cast<uint64_t>(*id) < tokens->size();
      summary.special.push_back(
          {name, known ? (*tokens)[static_cast<size_t>(*id)] : "", id});
    }
  }
}

}  // namespace

TokenizerSummary summarize_tokenizer(const ModelFiles& model,
                                     const Json& config,
                                     std::vector<Finding>& findings) {
  TokenizerSummary summary;
  summary.chat_template = !model.chat_template.empty();
  summary.chat_template_bytes = model.chat_template.size();
  try {
    if (!model.tokenizer_json.empty()) {
      Vocabulary vocabulary;
      read_tokenizer_json(model.tokenizer_json, summary, vocabulary);
      if (const auto* kind =
              tokenizer_field(model.tokenizer_config, "tokenizer_class")) {
        summary.kind = kind->is_string() ? kind->get<std::string>() : "";
      }
      add_specials(model, config, vocabulary, summary);
    } else if (model.gguf) {
      read_gguf(*model.gguf, summary);
    }
  } catch (const simdjson::simdjson_error& error) {
    findings.push_back(make_finding("tokenizer.malformed",
                                    model.tokenizer_json.string(),
                                    "a tokenizer.json",
                                    error.what()));
  } catch (const Error& error) {
    findings.push_back(error.finding());
  }
  return summary;
}

}  // namespace assay
