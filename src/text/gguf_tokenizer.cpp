// A tokenizer.json out of GGUF metadata. What is small is built as JSON, the
// vocabulary and the merges are written as text.

#include <algorithm>
#include <functional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"
#include "assay/text/gguf_vocabulary.h"
#include "assay/text/json_text.h"
#include "assay/text/pre_tokenizers.h"
#include "assay/text/tokenizer.h"

namespace assay {
namespace {

constexpr const char* kSpace = "\xE2\x96\x81";  // U+2581

/** The parts of a tokenizer.json; `model` is JSON text. */
struct Parts {
  Json normalizer, pre_tokenizer, decoder;
  std::string model;
};

Json sequence(const char* name, Json items) {
  return Json{{"type", "Sequence"}, {name, std::move(items)}};
}

Json replace(const char* pattern, const char* content) {
  return Json{{"type", "Replace"},
              {"pattern", {{"String", pattern}}},
              {"content", content}};
}

Json byte_level(bool use_regex) {
  return Json{{"type", "ByteLevel"},
              {"add_prefix_space", false},
              {"trim_offsets", true},
              {"use_regex", use_regex}};
}

Json metaspace(bool prefix) {
  return Json{{"type", "Metaspace"},
              {"replacement", kSpace},
              {"prepend_scheme", prefix ? "always" : "never"},
              {"split", true}};
}

void append_token(std::string& out,
                  const GgufVocabulary& vocabulary,
                  std::string_view text) {
  if (!json_text::append_string(out, text)) {
    fail("tokenizer.malformed",
         fmt::format("{} tokenizer.ggml.tokens", vocabulary.where),
         "tokens in UTF-8",
         quote(text));
  }
}

using Spelling = std::function<std::string(const GgufVocabulary::Token&)>;

/** {"token": id...} of all tokens that are no padding. */
std::string vocab_object(const GgufVocabulary& vocabulary,
                         const Spelling& spell = {}) {
  constexpr size_t kUsual = 20;  // bytes of a token and its id
  std::string out = "{";
  out.reserve(vocabulary.tokens.size() * kUsual);
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto& token = vocabulary.tokens[i];
    if (token.padding) {
      continue;
    }
    if (out.size() > 1) {
      out += ',';
    }
    if (spell) {
      append_token(out, vocabulary, spell(token));
    } else {
      append_token(out, vocabulary, token.text);
    }
    out += ':';
    out += fmt::format_int(i).c_str();
  }
  return out + '}';
}

std::string merges_array(const GgufVocabulary& vocabulary,
                         const std::vector<Merge>& merges) {
  constexpr size_t kUsual = 20;  // bytes of both and what stands around them
  std::string out = "[";
  out.reserve(merges.size() * kUsual);
  for (const auto& [left, right] : merges) {
    if (out.size() > 1) {
      out += ',';
    }
    out += '[';
    append_token(out, vocabulary, left);
    out += ',';
    append_token(out, vocabulary, right);
    out += ']';
  }
  return out + ']';
}

struct BpeOptions {
  std::optional<std::string> unk;
  bool byte_fallback = false;
  bool ignore_merges = false;
};

std::string bpe_model(const GgufVocabulary& vocabulary,
                      const std::vector<Merge>& merges,
                      const BpeOptions& options) {
  std::string unk = "null";
  if (options.unk) {
    unk.clear();
    append_token(unk, vocabulary, *options.unk);
  }
  return fmt::format(
      R"({{"type":"BPE","dropout":null,"unk_token":{},)"
      R"("continuing_subword_prefix":null,"end_of_word_suffix":null,)"
      R"("fuse_unk":{},"byte_fallback":{},"ignore_merges":{},)"
      R"("vocab":{},"merges":{}}})",
      unk,
      options.byte_fallback,
      options.byte_fallback,
      options.ignore_merges,
      vocab_object(vocabulary),
      merges_array(vocabulary, merges));
}

Json pre_tokenizers_of(const PreTokenizer& pre) {
  if (!pre.json.empty()) {
    return Json::parse(pre.json);
  }
  Json items = Json::array();
  for (auto split : pre.splits) {
    items.push_back({{"type", "Split"},
                     {"pattern", {{"Regex", split}}},
                     {"behavior", "Isolated"},
                     {"invert", false}});
  }
  if (pre.digits) {
    items.push_back({{"type", "Digits"}, {"individual_digits", true}});
  }
  items.push_back(byte_level(pre.gpt2_split));
  return items;
}

Parts byte_level_bpe(const GgufVocabulary& vocabulary,
                     const GgufMetadata& metadata) {
  auto name = vocabulary.pre.empty() ? "default" : vocabulary.pre;
  const auto& pre = *find_pre_tokenizer(name);
  Parts parts;
  if (pre.nfc) {
    parts.normalizer = Json{{"type", "NFC"}};
  }
  auto items = pre_tokenizers_of(pre);
  parts.pre_tokenizer =
      items.size() == 1 ? items[0] : sequence("pretokenizers", items);
  parts.decoder = byte_level(true);
  BpeOptions options;
  options.ignore_merges = pre.ignore_merges;
  parts.model =
      bpe_model(vocabulary, gguf_merges(metadata, vocabulary), options);
  return parts;
}

Parts sentencepiece_bpe(const GgufVocabulary& vocabulary,
                        const GgufMetadata& metadata) {
  Parts parts;
  auto spaces = replace(" ", kSpace);
  Json decoders = {
      replace(kSpace, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (vocabulary.add_space_prefix) {
    parts.normalizer = sequence(
        "normalizers", {{{"type", "Prepend"}, {"prepend", kSpace}}, spaces});
    decoders.push_back(
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  } else {
    parts.normalizer = spaces;
    parts.pre_tokenizer = {{"type", "Split"},
                           {"pattern", {{"String", " "}}},
                           {"behavior", "MergedWithPrevious"},
                           {"invert", false}};
  }
  parts.decoder = sequence("decoders", decoders);
  auto merges = gguf_merges(metadata, vocabulary);
  if (merges.empty()) {
    merges = merges_from_scores(vocabulary);
  }
  BpeOptions options;
  options.byte_fallback = true;
  if (auto unk = vocabulary.unk.value_or(vocabulary.model == "llama" ? 0 : -1);
      unk >= 0) {
    options.unk = vocabulary.text(unk);
  }
  parts.model = bpe_model(vocabulary, merges, options);
  return parts;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      auto byte = i + j < bytes.size() ? static_cast<uint8_t>(bytes[i + j]) : 0;
      group = group << 8 | static_cast<uint32_t>(byte);
    }
    for (size_t j = 0; j < 4; ++j) {
      bool there = i + j <= bytes.size();
      out += there ? kDigits[(group >> (18 - 6 * j)) & 63] : '=';
    }
  }
  return out;
}

Json precompiled(const GgufVocabulary& vocabulary,
                 const GgufMetadata& metadata) {
  constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";
  auto values = metadata.integers(kKey);
  if (!values || values->empty()) {
    return nullptr;
  }
  std::string bytes;
  bytes.reserve(values->size());
  for (auto value : *values) {
    if (value < -128 || value > 255) {
      fail("tokenizer.malformed",
           fmt::format("{} {}", vocabulary.where, kKey),
           "bytes",
           fmt::format("{}", value));
    }
    bytes += static_cast<char>(value);
  }
  return Json{{"type", "Precompiled"}, {"precompiled_charsmap", base64(bytes)}};
}

std::string unigram_model(const GgufVocabulary& vocabulary) {
  bool byte_fallback = std::ranges::any_of(
      vocabulary.tokens,
      [](const auto& token) { return token.type == TokenType::byte; });
  std::string pieces = "[";
  // T5's blanks, which converters store as padding: <extra_id_99> comes first.
  int blank = 100;
  for (const auto& token : vocabulary.tokens) {
    if (token.padding && blank == 0) {
      break;
    }
    auto text =
        token.padding ? fmt::format("<extra_id_{}>", --blank) : token.text;
    pieces += pieces.size() > 1 ? ",[" : "[";
    append_token(pieces, vocabulary, text);
    pieces += fmt::format(",{}]", token.padding ? 0.0 : token.score);
  }
  return fmt::format(
      R"({{"type":"Unigram","unk_id":{},"vocab":{}],"byte_fallback":{}}})",
      vocabulary.unk ? fmt::format("{}", *vocabulary.unk) : "null",
      pieces,
      byte_fallback);
}

Parts unigram(const GgufVocabulary& vocabulary, const GgufMetadata& metadata) {
  if (!vocabulary.has_scores) {
    fail("tokenizer.malformed",
         fmt::format("{} tokenizer.ggml.scores", vocabulary.where),
         "a score of every token",
         "none");
  }
  Parts parts;
  parts.normalizer = precompiled(vocabulary, metadata);
  auto spaces = metaspace(vocabulary.add_space_prefix);
  parts.decoder = spaces;
  parts.pre_tokenizer = spaces;
  if (metadata.boolean("tokenizer.ggml.remove_extra_whitespaces")
          .value_or(false)) {
    parts.pre_tokenizer =
        sequence("pretokenizers", {{{"type", "WhitespaceSplit"}}, spaces});
  }
  parts.model = unigram_model(vocabulary);
  return parts;
}

// Converters mark the starts of words instead of their continuations.
std::string word_piece(const GgufVocabulary::Token& token) {
  const auto& text = token.text;
  if (text.starts_with('[') && text.ends_with(']')) {
    return text;
  }
  return text.starts_with(kSpace) ? text.substr(3) : "##" + text;
}

Parts wordpiece(const GgufVocabulary& vocabulary,
                const GgufMetadata& metadata) {
  auto flag = [&](const char* name) {
    return metadata.boolean(fmt::format("tokenizer.ggml.normalizer.{}", name));
  };
  Json strip_accents;
  if (auto told = flag("strip_accents")) {
    strip_accents = *told;
  }
  Parts parts;
  parts.normalizer = {{"type", "BertNormalizer"},
                      {"clean_text", true},
                      {"handle_chinese_chars", true},
                      {"strip_accents", strip_accents},
                      {"lowercase", flag("lowercase").value_or(true)}};
  parts.pre_tokenizer = {{"type", "BertPreTokenizer"}};
  parts.decoder = {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}};
  std::string unk;
  append_token(unk,
               vocabulary,
               vocabulary.unk ? vocabulary.text(*vocabulary.unk) : "[UNK]");
  parts.model = fmt::format(
      R"({{"type":"WordPiece","unk_token":{},)"
      R"("continuing_subword_prefix":"##","max_input_chars_per_word":100,)"
      R"("vocab":{}}})",
      unk,
      vocab_object(vocabulary, word_piece));
  return parts;
}

Parts parts_of(const GgufVocabulary& vocabulary, const GgufMetadata& metadata) {
  if (vocabulary.model == "gpt2") {
    return byte_level_bpe(vocabulary, metadata);
  }
  if (vocabulary.model == "t5") {
    return unigram(vocabulary, metadata);
  }
  if (vocabulary.model == "bert") {
    return wordpiece(vocabulary, metadata);
  }
  return sentencepiece_bpe(vocabulary, metadata);
}

// Phi-3's control tokens swallow the white space after them; the format has no
// field for it.
bool strips_right(const GgufVocabulary& vocabulary, std::string_view text) {
  return vocabulary.architecture == "phi3" && vocabulary.model == "llama" &&
         text != "<unk>" && text != "<s>" && text != "<|endoftext|>";
}

Json added_token(size_t id, std::string_view text, bool special, bool rstrip) {
  return Json{{"id", id},
              {"content", text},
              {"single_word", false},
              {"lstrip", false},
              {"rstrip", rstrip},
              {"normalized", false},
              {"special", special}};
}

Json added_tokens(const GgufVocabulary& vocabulary) {
  Json added = Json::array();
  int blank = 100;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto& token = vocabulary.tokens[i];
    bool special = token.type == TokenType::control ||
                   (token.type == TokenType::unknown &&
                    vocabulary.unk == static_cast<int32_t>(i));
    if (special || token.type == TokenType::user_defined) {
      bool rstrip = special && strips_right(vocabulary, token.text);
      added.push_back(added_token(i, token.text, special, rstrip));
    } else if (token.padding && vocabulary.model == "t5" && blank > 0) {
      added.push_back(
          added_token(i, fmt::format("<extra_id_{}>", --blank), true, false));
    }
  }
  return added;
}

/** Adds BOS and EOS; of BERT, [CLS] and [SEP]. */
Json post_processor(const GgufVocabulary& vocabulary) {
  Json special_tokens = Json::object();
  Json single = Json::array(), pair = Json::array();
  auto add = [&](Json& items, int32_t id, int type) {
    const auto& text = vocabulary.text(id);
    special_tokens[text] = {{"id", text}, {"ids", {id}}, {"tokens", {text}}};
    items.push_back({{"SpecialToken", {{"id", text}, {"type_id", type}}}});
  };
  auto last = vocabulary.eos;
  bool add_last = vocabulary.add_eos;
  if (vocabulary.model == "bert") {
    last = vocabulary.sep ? vocabulary.sep : vocabulary.eos;
    add_last = last.has_value();
  }
  auto whole = [&](Json& items, const char* name, int type) {
    if (vocabulary.add_bos && (type == 0 || vocabulary.model != "bert")) {
      add(items, *vocabulary.bos, type);
    }
    items.push_back({{"Sequence", {{"id", name}, {"type_id", type}}}});
    if (add_last) {
      add(items, *last, type);
    }
  };
  whole(single, "A", 0);
  whole(pair, "A", 0);
  whole(pair, "B", 1);
  return Json{{"type", "TemplateProcessing"},
              {"single", single},
              {"pair", pair},
              {"special_tokens", special_tokens}};
}

std::string dump(const Json& json, const GgufVocabulary& vocabulary) {
  try {
    return json.dump();
  } catch (const nlohmann::json::exception& error) {
    fail(
        "tokenizer.malformed", vocabulary.where, "text in UTF-8", error.what());
  }
}

}  // namespace

std::string tokenizer_json_from_gguf(const GgufMetadata& metadata,
                                     std::string_view where) {
  auto vocabulary = read_gguf_vocabulary(metadata, where);
  auto parts = parts_of(vocabulary, metadata);
  auto text = [&](const Json& json) { return dump(json, vocabulary); };
  return fmt::format(R"({{"version":"1.0","truncation":null,"padding":null,)"
                     R"("added_tokens":{},"normalizer":{},"pre_tokenizer":{},)"
                     R"("post_processor":{},"decoder":{},"model":{}}})"
                     "\n",
                     text(added_tokens(vocabulary)),
                     text(parts.normalizer),
                     text(parts.pre_tokenizer),
                     text(post_processor(vocabulary)),
                     text(parts.decoder),
                     parts.model);
}

std::string tokenizer_config_from_gguf(const GgufMetadata& metadata,
                                       std::string_view where) {
  auto vocabulary = read_gguf_names(metadata, where);
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
  auto name = [&](const char* key, const std::optional<int32_t>& id) {
    if (id) {
      config[key] = vocabulary.text(*id);
    }
  };
  bool bert = vocabulary.model == "bert";
  name(bert ? "cls_token" : "bos_token", vocabulary.bos);
  name("eos_token", vocabulary.eos);
  name("unk_token", vocabulary.unk);
  name("pad_token", vocabulary.pad);
  name("sep_token", vocabulary.sep);
  name("mask_token", vocabulary.mask);
  config["add_bos_token"] = vocabulary.add_bos;
  config["add_eos_token"] = vocabulary.add_eos;
  config["clean_up_tokenization_spaces"] = false;
  auto length = metadata.integer(
      fmt::format("{}.context_length", vocabulary.architecture));
  if (length) {
    config["model_max_length"] = *length;
  }
  if (auto chat = metadata.text("tokenizer.chat_template")) {
    config["chat_template"] = *chat;
  }
  try {
    return to_text(config);
  } catch (const nlohmann::json::exception& error) {
    fail(
        "tokenizer.malformed", vocabulary.where, "text in UTF-8", error.what());
  }
}

std::vector<Finding> gguf_tokenizer_findings(const GgufMetadata& metadata,
                                             std::string_view where) {
  std::vector<Finding> findings;
  auto pre = metadata.text("tokenizer.ggml.pre").value_or("");
  if (metadata.text("tokenizer.ggml.model") == "gpt2" &&
      (pre.empty() || pre == "default")) {
    findings.push_back(make_finding("tokenizer.pre-assumed",
                                    fmt::format("{} tokenizer.ggml.pre", where),
                                    "the name of a way to split text",
                                    pre.empty() ? "none" : quote(pre)));
  }
  return findings;
}

}  // namespace assay
