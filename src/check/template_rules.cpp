#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/rules.h"
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

Findings chat_template(const ModelFiles& model,
                       const TokenizerSummary& tokenizer) {
  if (model.chat_template.empty()) {
    if (!tokenizer.present) {
      return {};
    }
    auto finding = make_finding(
        "template.missing", model.path.string(), "a chat template", "none");
    finding.severity = Severity::note;  // base models have none
    return {finding};
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

Findings turn_end(const ModelFiles& model, const Tokenizer& tokenizer) {
  if (model.chat_template.empty()) {
    return {};
  }
  auto special = special_tokens(model, tokenizer);
  auto turns =
      Json::array({message("user", kQuestion), message("assistant", kAnswer)});
  ChatOptions options;
  options.add_generation_prompt = false;
  auto text = render_chat(model.chat_template, turns, special, options);
  auto answer = text.rfind(kAnswer);
  if (answer == std::string::npos) {
    return {};
  }
  auto rest = std::string_view(text).substr(answer + kAnswer.size());
  rest.remove_prefix(std::min(rest.find_first_not_of(" \n"), rest.size()));
  for (const auto& token : tokenizer.added_tokens()) {
    if (token.content.empty() || !rest.starts_with(token.content)) {
      continue;
    }
    if (std::ranges::find(special.eos, token.id) != special.eos.end()) {
      return {};
    }
    return {make_finding(
        "special-token.turn-end",
        where_of(model),
        fmt::format("'{}' (id {}) among the ids that end a generation",
                    token.content,
                    token.id),
        fmt::format("{} other id{}",
                    special.eos.size(),
                    special.eos.size() == 1 ? "" : "s"))};
  }
  return {};
}

}  // namespace assay::rules
