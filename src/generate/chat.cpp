#include "assay/generate/chat.h"

#include "assay/core/finding.h"

namespace assay {

ChatSession::ChatSession(Generator& generator,
                         std::string_view system,
                         Json variables,
                         std::string_view chat_template)
    : generator_(generator),
      template_(chat_template.empty() ? generator.model().files->chat_template
                                      : std::string(chat_template)),
      system_(system),
      variables_(std::move(variables)) {
  const auto& files = *generator.model().files;
  if (generator.tokenizer() == nullptr) {
    fail("tokenizer.missing", files.path.string(), "a tokenizer", "none");
  }
  if (template_.empty()) {
    fail("template.missing", files.path.string(), "a chat template", "none");
  }
  clear();
}

void ChatSession::clear() {
  messages_ = Json::array();
  if (!system_.empty()) {
    messages_.push_back({{"role", "system"}, {"content", system_}});
  }
}

std::string ChatSession::render() const {
  ChatOptions options;
  options.variables = variables_.is_null() ? nullptr : &variables_;
  return render_chat(template_, messages_, generator_.special(), options);
}

Generation ChatSession::reply(const GenerateOptions& options,
                              const OnToken& on_token,
                              const Progress& progress) {
  // The template writes the special tokens itself.
  auto ids = generator_.tokenizer()->encode(render(), false);
  auto result = generator_.generate(ids, options, on_token, progress);
  messages_.push_back({{"role", "assistant"}, {"content", result.text}});
  return result;
}

Generation ChatSession::send(std::string_view user,
                             const GenerateOptions& options,
                             const OnToken& on_token,
                             const Progress& progress) {
  auto before = messages_.size();
  messages_.push_back({{"role", "user"}, {"content", std::string(user)}});
  try {
    return reply(options, on_token, progress);
  } catch (...) {
    messages_.erase(messages_.begin() + static_cast<std::ptrdiff_t>(before),
                    messages_.end());
    throw;
  }
}

}  // namespace assay
