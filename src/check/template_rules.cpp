#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/rules.h"
#include "assay/core/file.h"
#include "assay/text/chat_template.h"

namespace assay::rules {
namespace {

constexpr std::string_view kQuestion = "ASSAY-QUESTION";
constexpr std::string_view kAnswer = "ASSAY-ANSWER";

Json message(std::string_view role, std::string_view content) {
  return {{"role", role}, {"content", content}};
}

SpecialTokens specials_of(const TokenizerSummary& summary) {
  SpecialTokens special;
  for (const auto& token : summary.special) {
    auto set = [&](const char* name, std::string& text) {
      if (token.name == name && text.empty()) {
        text = token.text;
      }
    };
    set("bos", special.bos_text);
    set("eos", special.eos_text);
    set("pad", special.pad_text);
    set("unk", special.unk_text);
  }
  return special;
}

std::string where_of(const ModelFiles& model) {
  return model.path.string() + ": chat template";
}

Finding not_shown(const ModelFiles& model, std::string_view content) {
  return make_finding("template.failed",
                      where_of(model),
                      "a text that holds the messages' content",
                      fmt::format("a text without '{}'", content));
}

Finding misplaced(const ModelFiles& model, const MisplacedTemplate& other) {
  return make_finding(
      "template.misplaced",
      where_of(model),
      "chat_template.jinja, or chat_template of tokenizer_config.json",
      other.where);
}

bool is_there(const ModelFiles& model, const char* name) {
  std::error_code error;
  return std::filesystem::exists(model.path / name, error);
}

std::string text_in(const Json& document) {
  auto value =
      document.is_object() ? document.value("chat_template", Json()) : Json();
  return value.is_string() ? value.get<std::string>() : "";
}

// A list of named templates of which none is the default, but there is one.
std::string only_named(const Json& document) {
  auto value =
      document.is_object() ? document.value("chat_template", Json()) : Json();
  bool one = value.is_array() && value.size() == 1 && value[0].is_object();
  auto text = one ? value[0].value("template", Json()) : Json();
  return text.is_string() ? text.get<std::string>() : "";
}

}  // namespace

namespace {

// Whether a prompt ends where an answer begins. Where add_generation_prompt
// changes something, what it adds is the template's own business.
Findings open_turn(const ModelFiles& model, const SpecialTokens& special) {
  auto question = Json::array({message("user", kQuestion)});
  ChatOptions closed;
  closed.add_generation_prompt = false;
  auto prompt = render_chat(model.chat_template, question, special);
  if (prompt != render_chat(model.chat_template, question, special, closed)) {
    return {};
  }
  question.push_back(message("assistant", kAnswer));
  auto whole = render_chat(model.chat_template, question, special, closed);
  auto answer = whole.rfind(kAnswer);
  if (answer == std::string::npos || answer < prompt.size() ||
      !whole.starts_with(prompt)) {
    return {};
  }
  auto head =
      std::string_view(whole).substr(prompt.size(), answer - prompt.size());
  bool has_words = std::ranges::any_of(
      head, [](unsigned char c) { return std::isalpha(c) != 0; });
  if (!has_words) {
    return {};
  }
  return {make_finding("template.no-prompt",
                       where_of(model),
                       fmt::format("add_generation_prompt to write '{}'", head),
                       "nothing")};
}

}  // namespace

std::optional<MisplacedTemplate> misplaced_template(const ModelFiles& model) {
  std::error_code error;
  if (!std::filesystem::is_directory(model.path, error) ||
      model.container != Container::safetensors) {
    return std::nullopt;
  }
  if (!model.chat_template.empty()) {
    // chat_template.json is a processor's: a tokenizer alone reads it not.
    bool elsewhere = is_there(model, "chat_template.jinja") ||
                     !text_in(model.tokenizer_config).empty() ||
                     is_there(model, "processor_config.json") ||
                     is_there(model, "preprocessor_config.json") ||
                     model.tokenizer_config.contains("chat_template");
    return !elsewhere && is_there(model, "chat_template.json")
               ? std::optional(MisplacedTemplate{"chat_template.json, which "
                                                 "processors read and "
                                                 "tokenizers do not",
                                                 model.chat_template})
               : std::nullopt;
  }
  if (auto text = only_named(model.tokenizer_config); !text.empty()) {
    return MisplacedTemplate{
        "tokenizer_config.json, under a name that is not 'default'", text};
  }
  for (const auto& [document, file] :
       {std::pair(&model.config, "config.json"),
        std::pair(&model.generation_config, "generation_config.json")}) {
    if (auto text = text_in(*document); !text.empty()) {
      return MisplacedTemplate{file, text};
    }
  }
  constexpr uint64_t kMaxTemplate = 16u << 20;
  constexpr auto kMap = "special_tokens_map.json";
  if (is_there(model, kMap)) {
    auto text =
        text_in(parse_json(read_text(model.path / kMap, kMaxTemplate), kMap));
    if (!text.empty()) {
      return MisplacedTemplate{kMap, text};
    }
  }
  for (const auto* file : {"template.jinja",
                           "chat_template.jinja2",
                           "chat_template.j2",
                           "chat_template.txt",
                           "chat-template.jinja",
                           "tokenizer.jinja"}) {
    if (is_there(model, file)) {
      return MisplacedTemplate{file,
                               read_text(model.path / file, kMaxTemplate)};
    }
  }
  return std::nullopt;
}

Findings chat_template(const ModelFiles& model,
                       const TokenizerSummary& tokenizer) {
  if (model.chat_template.empty()) {
    if (!tokenizer.present) {
      return {};
    }
    if (auto other = misplaced_template(model)) {
      return {misplaced(model, *other)};
    }
    auto finding = make_finding(
        "template.missing", model.path.string(), "a chat template", "none");
    finding.severity = Severity::note;  // base models have none
    return {finding};
  }
  if (auto other = misplaced_template(model)) {
    return {misplaced(model, *other)};
  }
  auto special = specials_of(tokenizer);
  auto question = Json::array({message("user", kQuestion)});
  auto text = render_chat(model.chat_template, question, special);
  if (text.find(kQuestion) == std::string::npos) {
    return {not_shown(model, kQuestion)};
  }
  auto turns = Json::array({message("user", kQuestion),
                            message("assistant", kAnswer),
                            message("user", kQuestion)});
  text = render_chat(model.chat_template, turns, special);
  if (text.find(kAnswer) == std::string::npos) {
    return {not_shown(model, kAnswer)};
  }
  return open_turn(model, special);
}

std::optional<int32_t> token_after_answer(const ModelFiles& model,
                                          const Tokenizer& tokenizer) {
  if (model.chat_template.empty()) {
    return std::nullopt;
  }
  auto special = special_tokens(model, tokenizer);
  auto turns =
      Json::array({message("user", kQuestion), message("assistant", kAnswer)});
  ChatOptions options;
  options.add_generation_prompt = false;
  auto text = render_chat(model.chat_template, turns, special, options);
  auto answer = text.rfind(kAnswer);
  if (answer == std::string::npos) {
    return std::nullopt;
  }
  auto rest = std::string_view(text).substr(answer + kAnswer.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \n"), rest.size()));
  for (const auto& token : tokenizer.added_tokens()) {
    if (!token.content.empty() && rest.starts_with(token.content)) {
      return token.id;
    }
  }
  return std::nullopt;
}

Findings turn_end(const ModelFiles& model, const Tokenizer& tokenizer) {
  auto id = token_after_answer(model, tokenizer);
  if (!id) {
    return {};
  }
  auto special = special_tokens(model, tokenizer);
  if (std::ranges::find(special.eos, *id) != special.eos.end()) {
    return {};
  }
  return {make_finding(
      "special-token.turn-end",
      where_of(model),
      fmt::format("'{}' (id {}) among the ids that end a generation",
                  tokenizer.id_to_token(*id).value_or(""),
                  *id),
      fmt::format("{} other id{}",
                  special.eos.size(),
                  special.eos.size() == 1 ? "" : "s"))};
}

}  // namespace assay::rules
