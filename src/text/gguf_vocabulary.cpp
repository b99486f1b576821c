#include "assay/text/gguf_vocabulary.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/formats/quote.h"
#include "assay/text/pre_tokenizers.h"

namespace assay {
namespace {

constexpr size_t kMaxTokens = 1 << 24;

/** Cutting a piece everywhere costs the square of its length; the longest
 * published one has 96 bytes. */
constexpr size_t kMaxCutBytes = 512;

[[noreturn]] void malformed(const GgufVocabulary& vocabulary,
                            std::string_view key,
                            std::string expected,
                            std::string actual) {
  fail("tokenizer.malformed",
       fmt::format("{} {}", vocabulary.where, key),
       std::move(expected),
       std::move(actual));
}

void check_length(const GgufVocabulary& vocabulary,
                  std::string_view key,
                  size_t length) {
  if (length != vocabulary.tokens.size()) {
    malformed(
        vocabulary,
        key,
        fmt::format("{} values, as many as tokens", vocabulary.tokens.size()),
        fmt::format("{} values", length));
  }
}

/** "[PAD151936]": what converters fill the embedding up with. */
bool is_padding(std::string_view text) {
  return text.starts_with("[PAD") && text.ends_with(']') && text.size() > 5 &&
         std::ranges::all_of(text.substr(4, text.size() - 5),
                             [](char c) { return c >= '0' && c <= '9'; });
}

void read_tokens(GgufVocabulary& vocabulary, const GgufMetadata& metadata) {
  const auto* texts = metadata.texts("tokenizer.ggml.tokens");
  if (texts == nullptr || texts->empty()) {
    fail("tokenizer.missing",
         fmt::format("{} tokenizer.ggml.tokens", vocabulary.where),
         "a vocabulary",
         "none");
  }
  if (texts->size() > kMaxTokens) {
    malformed(vocabulary,
              "tokenizer.ggml.tokens",
              fmt::format("at most {} tokens", kMaxTokens),
              fmt::format("{} tokens", texts->size()));
  }
  vocabulary.tokens.reserve(texts->size());
  for (const auto& text : *texts) {
    vocabulary.tokens.push_back({.text = text});
  }
  if (auto scores = metadata.numbers("tokenizer.ggml.scores")) {
    check_length(vocabulary, "tokenizer.ggml.scores", scores->size());
    vocabulary.has_scores = true;
    for (size_t i = 0; i < scores->size(); ++i) {
      vocabulary.tokens[i].score = (*scores)[i];
    }
  }
  if (auto types = metadata.integers("tokenizer.ggml.token_type")) {
    check_length(vocabulary, "tokenizer.ggml.token_type", types->size());
    for (size_t i = 0; i < types->size(); ++i) {
      auto type = (*types)[i];
      if (type < 0 || type > static_cast<int64_t>(TokenType::byte)) {
        malformed(vocabulary,
                  fmt::format("tokenizer.ggml.token_type[{}]", i),
                  "0 to 6",
                  fmt::format("{}", type));
      }
      auto& token = vocabulary.tokens[i];
      token.type = static_cast<TokenType>(type);
      token.padding = token.type == TokenType::unused && is_padding(token.text);
    }
  }
}

// SentencePiece pieces are written with U+2581 for a space; converters store
// those that the user defined with the plain space.
void respell_spaces(GgufVocabulary& vocabulary) {
  for (auto& token : vocabulary.tokens) {
    bool only_spaces = !token.text.empty() &&
                       token.text.find_first_not_of(' ') == std::string::npos;
    if (only_spaces && token.type != TokenType::control) {
      std::string text;
      for (size_t i = 0; i < token.text.size(); ++i) {
        text += "\xE2\x96\x81";
      }
      token.text = text;
    }
  }
}

void check_tokens(const GgufVocabulary& vocabulary) {
  std::unordered_map<std::string_view, size_t> seen;
  seen.reserve(vocabulary.tokens.size());
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    const auto& token = vocabulary.tokens[i];
    auto [first, fresh] = seen.emplace(token.text, i);
    if (!fresh) {
      malformed(vocabulary,
                fmt::format("tokenizer.ggml.tokens[{}]", i),
                "a token that no other id has",
                fmt::format("{}, as id {}", quote(token.text), first->second));
    }
    if (std::isnan(token.score)) {
      malformed(vocabulary,
                fmt::format("tokenizer.ggml.scores[{}]", i),
                "a number",
                "NaN");
    }
  }
}

std::optional<int32_t> read_id(const GgufVocabulary& vocabulary,
                               const GgufMetadata& metadata,
                               std::string_view name) {
  auto key = fmt::format("tokenizer.ggml.{}_token_id", name);
  auto id = metadata.integer(key);
  // Writers without such a token store -1, signed or not.
  if (!id || *id == -1 || *id == std::numeric_limits<uint32_t>::max()) {
    return std::nullopt;
  }
  if (*id < 0 || static_cast<size_t>(*id) >= vocabulary.tokens.size()) {
    malformed(vocabulary,
              key,
              fmt::format("an id below {}", vocabulary.tokens.size()),
              fmt::format("{}", *id));
  }
  return static_cast<int32_t>(*id);
}

// Defaults of llama.cpp for files that leave a flag out.
void read_flags(GgufVocabulary& vocabulary, const GgufMetadata& metadata) {
  const auto& model = vocabulary.model;
  const auto* pre = find_pre_tokenizer(vocabulary.pre);
  bool bos = model == "llama" || model == "bert" ||
             (model == "gpt2" && pre != nullptr && pre->add_bos);
  bool eos = model == "t5";
  auto flag = [&](std::string_view key,
                  bool fallback,
                  const std::optional<int32_t>& id) {
    auto told = metadata.boolean(key);
    if (told.value_or(false) && !id) {
      malformed(vocabulary, key, "the id of the token to add", "none");
    }
    return told.value_or(fallback) && id;
  };
  vocabulary.add_bos =
      flag("tokenizer.ggml.add_bos_token", bos, vocabulary.bos);
  vocabulary.add_eos =
      flag("tokenizer.ggml.add_eos_token", eos, vocabulary.eos);
  // Gemma 4's own tokenizer adds none: its chat template writes it.
  vocabulary.add_bos = vocabulary.add_bos && model != "gemma4";
  vocabulary.add_space_prefix =
      metadata.boolean("tokenizer.ggml.add_space_prefix")
          .value_or(model == "llama" || model == "t5");
}

void check_model(const GgufVocabulary& vocabulary) {
  constexpr std::string_view kModels[] = {
      "gpt2", "llama", "gemma4", "t5", "bert"};
  if (std::ranges::find(kModels, vocabulary.model) == std::end(kModels)) {
    fail("tokenizer.unsupported",
         fmt::format("{} tokenizer.ggml.model", vocabulary.where),
         "gpt2, llama, gemma4, t5 or bert",
         quote(vocabulary.model));
  }
  if (vocabulary.model == "gpt2" && !vocabulary.pre.empty() &&
      find_pre_tokenizer(vocabulary.pre) == nullptr) {
    fail("tokenizer.unsupported",
         fmt::format("{} tokenizer.ggml.pre", vocabulary.where),
         "a way to split text that Assay knows",
         quote(vocabulary.pre));
  }
}

}  // namespace

std::unordered_map<std::string_view, int32_t> GgufVocabulary::ids() const {
  std::unordered_map<std::string_view, int32_t> ids;
  ids.reserve(tokens.size());
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (!tokens[i].padding) {
      ids.emplace(tokens[i].text, static_cast<int32_t>(i));
    }
  }
  return ids;
}

const std::string& GgufVocabulary::text(int32_t id) const {
  return tokens.at(static_cast<size_t>(id)).text;
}

GgufVocabulary read_gguf_names(const GgufMetadata& metadata,
                               std::string_view where) {
  GgufVocabulary vocabulary;
  vocabulary.where = std::string(where);
  auto text = [&](std::string_view key) {
    return std::string(metadata.text(key).value_or(""));
  };
  vocabulary.model = text("tokenizer.ggml.model");
  vocabulary.pre = text("tokenizer.ggml.pre");
  vocabulary.architecture = text("general.architecture");
  if (vocabulary.model.empty() || vocabulary.model == "none" ||
      vocabulary.model == "no_vocab") {
    fail("tokenizer.missing",
         fmt::format("{} tokenizer.ggml.model", where),
         "a vocabulary",
         vocabulary.model.empty() ? "none" : quote(vocabulary.model));
  }
  check_model(vocabulary);
  read_tokens(vocabulary, metadata);
  if (vocabulary.is_sentencepiece_bpe()) {
    respell_spaces(vocabulary);
  }
  auto id = [&](std::string_view name) {
    return read_id(vocabulary, metadata, name);
  };
  vocabulary.bos = id("bos");
  vocabulary.eos = id("eos");
  vocabulary.unk = id("unknown");
  vocabulary.pad = id("padding");
  vocabulary.mask = id("mask");
  vocabulary.sep = id("seperator");  // so spelled in the format
  if (vocabulary.model == "bert" && !vocabulary.bos) {
    vocabulary.bos = id("cls");
  }
  read_flags(vocabulary, metadata);
  return vocabulary;
}

GgufVocabulary read_gguf_vocabulary(const GgufMetadata& metadata,
                                    std::string_view where) {
  auto vocabulary = read_gguf_names(metadata, where);
  check_tokens(vocabulary);
  return vocabulary;
}

std::vector<Merge> gguf_merges(const GgufMetadata& metadata,
                               const GgufVocabulary& vocabulary) {
  constexpr std::string_view kKey = "tokenizer.ggml.merges";
  std::vector<Merge> merges;
  const auto* lines = metadata.texts(kKey);
  if (lines == nullptr) {
    return merges;
  }
  merges.reserve(lines->size());
  for (size_t i = 0; i < lines->size(); ++i) {
    const auto& line = (*lines)[i];
    auto space = line.find(' ', 1);
    if (space == std::string::npos || space + 1 == line.size()) {
      malformed(vocabulary,
                fmt::format("{}[{}]", kKey, i),
                "two tokens with a space between",
                quote(line));
    }
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

namespace {

struct Cut {
  double score = 0;
  int32_t whole = 0, left = 0, right = 0;
  uint16_t left_length = 0, right_length = 0;  ///< in characters
};

bool starts_character(char byte) {
  return (static_cast<uint8_t>(byte) & 0xC0) != 0x80;
}

void add_cuts(std::vector<Cut>& cuts,
              const GgufVocabulary& vocabulary,
              int32_t whole,
              const std::unordered_map<std::string_view, int32_t>& ids) {
  const auto& token = vocabulary.tokens[static_cast<size_t>(whole)];
  std::string_view text = token.text;
  if (text.size() > kMaxCutBytes) {
    malformed(vocabulary,
              fmt::format("tokenizer.ggml.tokens[{}]", whole),
              fmt::format("a piece of at most {} bytes", kMaxCutBytes),
              fmt::format("{} bytes", text.size()));
  }
  auto length = std::ranges::count_if(text, starts_character);
  uint16_t before = 1;
  for (size_t i = 1; i < text.size(); ++i) {
    if (!starts_character(text[i])) {
      continue;
    }
    auto left = ids.find(text.substr(0, i));
    auto right = ids.find(text.substr(i));
    if (left != ids.end() && right != ids.end()) {
      cuts.push_back({token.score,
                      whole,
                      left->second,
                      right->second,
                      before,
                      static_cast<uint16_t>(length - before)});
    }
    ++before;
  }
  // Pieces of the user rank by id alone.
  if (token.type == TokenType::user_defined) {
    for (auto cut = cuts.rbegin(); cut != cuts.rend() && cut->whole == whole;
         ++cut) {
      cut->score = std::numeric_limits<double>::infinity();
    }
  }
}

bool comes_before(const Cut& a, const Cut& b) {
  if (a.score != b.score) {
    return a.score > b.score;
  }
  bool of_the_user = a.score == std::numeric_limits<double>::infinity();
  if (of_the_user && a.whole != b.whole) {
    return a.whole < b.whole;
  }
  auto lengths = [](const Cut& cut) {
    return std::pair(cut.left_length, cut.right_length);
  };
  if (lengths(a) != lengths(b)) {
    return lengths(a) > lengths(b);
  }
  return std::tuple(a.whole, a.left, a.right) <
         std::tuple(b.whole, b.left, b.right);
}

}  // namespace

std::vector<Merge> merges_from_scores(const GgufVocabulary& vocabulary) {
  if (!vocabulary.has_scores) {
    malformed(vocabulary,
              "tokenizer.ggml.scores",
              "scores, or tokenizer.ggml.merges",
              "neither");
  }
  auto ids = vocabulary.ids();
  std::vector<Cut> cuts;
  for (size_t i = 0; i < vocabulary.tokens.size(); ++i) {
    auto type = vocabulary.tokens[i].type;
    if (type == TokenType::normal || type == TokenType::user_defined) {
      add_cuts(cuts, vocabulary, static_cast<int32_t>(i), ids);
    }
  }
  std::ranges::sort(cuts, comes_before);
  std::vector<Merge> merges;
  merges.reserve(cuts.size());
  for (const auto& cut : cuts) {
    merges.emplace_back(vocabulary.text(cut.left), vocabulary.text(cut.right));
  }
  return merges;
}

}  // namespace assay
