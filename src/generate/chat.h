#pragma once

// ChatSession: a conversation with a model. Messages are rendered by the
// model's template; what the caches hold of the text before is not run again.

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "assay/generate/generate.h"
#include "assay/text/chat_template.h"

namespace assay {

class ChatSession {
 public:
  /** `generator` has a tokenizer, and outlives this. `system`: the first
   * message, where not empty. `variables`: of the template (tools,
   * enable_thinking...), an object or null. `chat_template`: instead of the
   * model's own. Throws Error template.missing if there is none. */
  explicit ChatSession(Generator& generator,
                       std::string_view system = {},
                       Json variables = {},
                       std::string_view chat_template = {});

  /** Adds the user's message, generates, and adds the answer (without special
   * tokens). If generating throws, the messages are as before. */
  Generation send(std::string_view user,
                  const GenerateOptions& options = {},
                  const OnToken& on_token = {},
                  const Progress& progress = {});
  /** Generates an answer to the messages as they are, and adds it. */
  Generation reply(const GenerateOptions& options = {},
                   const OnToken& on_token = {},
                   const Progress& progress = {});

  /** What the model will read, up to its turn. */
  std::string render() const;

  /** [{"role": ..., "content": ...}...]; may be changed between calls. */
  Json& messages() { return messages_; }
  const Json& messages() const { return messages_; }
  /** Back to the system message. */
  void clear();

 private:
  Generator& generator_;
  std::string template_;
  std::string system_;
  Json variables_;
  Json messages_;
};

}  // namespace assay
