// Special tokens out of every spelling that configs have for them.

#include <doctest/doctest.h>

#include "assay/core/finding.h"

#include "golden.h"

using assay::Json;
using assay::ModelFiles;
using Ids = std::vector<int32_t>;

namespace {

ModelFiles folder_model() {
  ModelFiles model;
  model.path = golden::folder("qwen2");
  model.tokenizer_json = model.path / "tokenizer.json";
  return model;
}

assay::SpecialTokens of(const ModelFiles& model) {
  return special_tokens(model, load_tokenizer(model));
}

}  // namespace

TEST_CASE("eos of config.json: an id, a list, or that of the text model") {
  auto model = folder_model();
  model.config = {{"eos_token_id", 640}};
  CHECK(of(model).eos == Ids{640});
  model.config = {{"eos_token_id", {640, 642}}};
  CHECK(of(model).eos == Ids{640, 642});
  model.config = {{"text_config", {{"eos_token_id", 642}}}};
  CHECK(of(model).eos == Ids{642});
  model.config = {{"eos_token_id", nullptr}, {"pad_token_id", -1}};
  CHECK(of(model).eos.empty());
  CHECK(!of(model).pad);
}

TEST_CASE(
    "generation_config.json counts before config.json, the tokenizer's "
    "own comes to it") {
  auto model = folder_model();
  model.config = {{"eos_token_id", 1}};
  model.generation_config = {{"eos_token_id", {642, 640}}};
  model.tokenizer_config = {{"eos_token", "<|im_end|>"}};
  CHECK(of(model).eos == Ids{642, 640});
  model.generation_config = {{"eos_token_id", 640}};
  CHECK(of(model).eos == Ids{640, 642});
  CHECK(of(model).eos_text == "<|im_end|>");
}

TEST_CASE("names as text or as the object of an added token") {
  auto model = folder_model();
  model.tokenizer_config = {
      {"bos_token", {{"content", "<|endoftext|>"}, {"lstrip", false}}},
      {"eos_token", "<|im_end|>"},
      {"pad_token", "no such token"},
      {"unk_token", nullptr},
      {"image_token", "<|im_start|>"},
      {"extra_special_tokens", {{"tool_token", "<tool_call>"}}}};
  auto special = of(model);
  CHECK(special.bos == 640);
  CHECK(special.bos_text == "<|endoftext|>");
  CHECK(special.pad_text == "no such token");
  CHECK(!special.pad);
  CHECK(special.unk_text.empty());
  REQUIRE(special.others.size() == 2);
  CHECK(special.others[0].first == "image_token");
  CHECK(special.others[1].second == "<tool_call>");
}

TEST_CASE("ids that are none are findings") {
  auto model = folder_model();
  for (const Json& wrong : {Json("2"),
                            Json(1.5),
                            Json(1e12),
                            Json(-7),
                            Json(Json::array({1, "2"})),
                            Json(true)}) {
    CAPTURE(wrong.dump());
    model.config = {{"eos_token_id", wrong}};
    CHECK_THROWS_AS(of(model), assay::Error);
  }
}

TEST_CASE("a GGUF: ids by their keys, and the end of a turn") {
  ModelFiles model;
  model.path = "x.gguf";
  model.gguf = golden::metadata("llama3");
  auto special = of(model);
  CHECK(special.bos_text == "<|begin_of_text|>");
  CHECK(special.bos == 640);
  CHECK(special.eos == Ids{644});
  model.gguf->set("tokenizer.ggml.eos_token_id", assay::gguf_u32(641));
  CHECK(of(model).eos == Ids{641});
  model.chat_template = "{{ content }}<|eot_id|>";
  CHECK(of(model).eos == Ids{641, 644});
  model.gguf->set("tokenizer.ggml.eot_token_id", assay::gguf_u32(643));
  model.gguf->set("tokenizer.ggml.eom_token_id", assay::gguf_u32(641));
  CHECK(of(model).eos == Ids{641, 643});
  model.gguf->set("tokenizer.ggml.eot_token_id", assay::gguf_u32(1 << 30));
  CHECK_THROWS_AS(of(model), assay::Error);
}

TEST_CASE("a model without a tokenizer says so") {
  ModelFiles model;
  model.path = "somewhere";
  try {
    load_tokenizer(model);
    FAIL("a tokenizer out of nothing");
  } catch (const assay::Error& error) {
    CHECK(error.finding().id == "tokenizer.missing");
  }
}
