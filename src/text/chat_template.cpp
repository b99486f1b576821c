#include "assay/text/chat_template.h"

#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/text/rust/rust_text.h"

namespace assay {
namespace {

constexpr std::string_view kWhere = "chat template";
constexpr std::string_view kWhitespace = " \t\n\v\f\r";

// Marks the place where a message that is to be continued ends. The space
// shows whether the template trims what it writes.
constexpr std::string_view kMark = "ASSAY_CONTINUES_HERE ";

// The names under which published templates read a message's reasoning.
constexpr std::array kReasoningFields = {
    "reasoning_content", "thinking", "reasoning"};

[[noreturn]] void failed(std::string expected, std::string actual) {
  fail("template.failed",
       std::string(kWhere),
       std::move(expected),
       std::move(actual));
}

std::string_view trim_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kWhitespace) + 1);
}

std::string_view trim(std::string_view text) {
  auto start = text.find_first_not_of(kWhitespace);
  return start == text.npos ? "" : trim_end(text.substr(start));
}

Json with_reasoning_names(const Json& message) {
  for (const char* field : kReasoningFields) {
    auto found = message.find(field);
    if (found == message.end() || found->is_null()) {
      continue;
    }
    Json named = {{"thinking", *found}};
    named.update(message);
    named["reasoning_content"] = *found;
    return named;
  }
  return message;
}

Json copy_messages(const Json& messages) {
  if (!messages.is_array()) {
    failed("messages as an array", messages.type_name());
  }
  Json copy = Json::array();
  for (const auto& message : messages) {
    if (!message.is_object()) {
      failed("every message an object", message.type_name());
    }
    copy.push_back(with_reasoning_names(message));
  }
  return copy;
}

// The text of the last message, which then ends with the mark.
std::string mark_last_message(Json& messages) {
  if (messages.empty() || !messages.back().contains("content")) {
    failed("a last message with content to continue", "none");
  }
  auto& content = messages.back()["content"];
  auto mark = [](Json& text) {
    auto unmarked = text.get<std::string>();
    text = unmarked + std::string(kMark);
    return unmarked;
  };
  if (content.is_string()) {
    return mark(content);
  }
  if (content.is_array()) {
    for (auto part = content.rbegin(); part != content.rend(); ++part) {
      if (part->is_object() && part->contains("text") &&
          (*part)["text"].is_string()) {
        return mark((*part)["text"]);
      }
    }
  }
  failed("a last message with text to continue", content.type_name());
}

std::string cut_at_mark(std::string text, std::string_view message) {
  auto place = text.rfind(trim_end(kMark));
  if (place == text.npos || text.find(trim(message)) == text.npos) {
    failed("a template that writes the last message unchanged",
           "it changes or drops it");
  }
  bool spaces_kept = text.compare(place, kMark.size(), kMark) == 0;
  text.resize(place);
  return spaces_kept ? text : std::string(trim_end(text));
}

Json context_of(Json messages,
                const SpecialTokens& special,
                const ChatOptions& options) {
  Json context = {
      {"messages", std::move(messages)},
      {"tools", nullptr},
      {"documents", nullptr},
      {"add_generation_prompt",
       options.add_generation_prompt && !options.continue_final_message}};
  auto add = [&](const std::string& name, const std::string& text) {
    if (!text.empty()) {
      context[name] = text;
    }
  };
  add("bos_token", special.bos_text);
  add("eos_token", special.eos_text);
  add("pad_token", special.pad_text);
  add("unk_token", special.unk_text);
  for (const auto& [name, text] : special.others) {
    add(name, text);
  }
  if (options.variables != nullptr && !options.variables->is_null()) {
    if (!options.variables->is_object()) {
      failed("variables as an object", options.variables->type_name());
    }
    context.update(*options.variables);
  }
  return context;
}

std::string to_json_text(const Json& context) {
  try {
    return context.dump();
  } catch (const nlohmann::json::exception& error) {
    failed("messages in UTF-8", error.what());
  }
}

std::string render(std::string_view source, const std::string& context) {
  rust_text::Bytes text, error;
  if (!assay_text_chat_render(rust_text::data(source),
                              source.size(),
                              rust_text::data(context),
                              context.size(),
                              text.out(),
                              error.out())) {
    failed("a template that renders these messages", error.text());
  }
  return text.text();
}

}  // namespace

std::string render_chat(std::string_view chat_template,
                        const Json& messages,
                        const SpecialTokens& special,
                        const ChatOptions& options) {
  if (chat_template.empty()) {
    fail("template.missing", std::string(kWhere), "a chat template", "none");
  }
  auto copy = copy_messages(messages);
  std::string last;
  if (options.continue_final_message) {
    last = mark_last_message(copy);
  }
  auto context = to_json_text(context_of(std::move(copy), special, options));
  auto text = render(chat_template, context);
  return options.continue_final_message ? cut_at_mark(std::move(text), last)
                                        : text;
}

}  // namespace assay
