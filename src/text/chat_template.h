#pragma once

// Chat templates: Jinja as transformers renders it, by the `minijinja` crate,
// in bounded time and memory.

#include <string>
#include <string_view>

#include "assay/core/json.h"
#include "assay/text/tokenizer.h"

namespace assay {

struct ChatOptions {
  /** Open the assistant's turn at the end. */
  bool add_generation_prompt = true;
  /** Leave the last message open, for the model to go on with it: the text
   * ends where that message does. Rules out add_generation_prompt, which then
   * counts as false. */
  bool continue_final_message = false;
  /** Further variables: tools, documents, enable_thinking, reasoning_effort...
   * An object or null. They come last and replace any other. */
  const Json* variables = nullptr;
};

/** Renders `messages` ([{"role", "content"}...]) as transformers'
 * apply_chat_template(tokenize=False). The template sees messages, tools and
 * documents (none if not given), add_generation_prompt, the texts of special
 * tokens by name, and the options' variables; a message's reasoning under each
 * of the names in use. Throws Error template.missing for an empty template,
 * template.failed with the template's own message (raise_exception too), or
 * the bound that it ran into. */
std::string render_chat(std::string_view chat_template,
                        const Json& messages,
                        const SpecialTokens& special,
                        const ChatOptions& options = {});

}  // namespace assay
