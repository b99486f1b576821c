// What a chat needs: a template and a tokenizer. Chats themselves are tested
// with the real model.

#include "assay/generate/chat.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "golden.h"

using namespace assay;

TEST_CASE("a model without a tokenizer can't chat") {
  auto model = arch::load_model(golden::folder("llama"));
  Generator generator(model, nullptr);
  try {
    ChatSession chat(generator);
    FAIL("made a chat");
  } catch (const Error& error) {
    CHECK(error.finding().id == "tokenizer.missing");
  }
}

TEST_CASE("a model without a template can't chat") {
  auto model = arch::load_model(golden::folder("llama"));
  auto tokenizer = Tokenizer::from_json(R"({
    "version": "1.0", "added_tokens": [],
    "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}
  })",
                                        "test");
  Generator generator(model, &tokenizer);
  try {
    ChatSession chat(generator);
    FAIL("made a chat");
  } catch (const Error& error) {
    CHECK(error.finding().id == "template.missing");
  }
  ChatSession chat(generator,
                   "be brief",
                   {},
                   "{% for m in messages %}{{ m.role }}: {{ m.content }}\n"
                   "{% endfor %}{% if add_generation_prompt %}>{% endif %}");
  chat.messages().push_back({{"role", "user"}, {"content", "hi"}});
  CHECK(chat.render() == "system: be brief\nuser: hi\n>");
  chat.clear();
  CHECK(chat.messages().size() == 1);
}
