// compare finds what was planted, and nothing where there is nothing.

#include "assay/measure/compare.h"

#include <cmath>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "models.h"

using namespace assay;
namespace mx = mlx::core;

namespace {

const test::fs::path kLlama = test::golden_model("llama");
constexpr const char* kUp = "model.layers.1.mlp.up_proj.weight";

test::fs::path copy_of_llama(const std::string& name) {
  return test::changed_model(name, kLlama, [](test::Tensors&) {});
}

void add_tokenizer(const test::fs::path& model, const Json& tokenizer) {
  write_text(model / "tokenizer.json", to_text(tokenizer));
}

// Byte-level letters only: enough for text of "a" and "b".
Json small_tokenizer() {
  return parse_json(R"({
    "version": "1.0", "truncation": null, "padding": null,
    "added_tokens": [], "normalizer": null, "pre_tokenizer": null,
    "post_processor": null, "decoder": null,
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
      "continuing_subword_prefix": null, "end_of_word_suffix": null,
      "fuse_unk": false, "byte_fallback": false,
      "vocab": {"a": 0, "b": 1, "ab": 2, "ba": 3},
      "merges": ["a b", "b a"]}})",
                    "tokenizer");
}

CompareOptions on_text(const char* text) {
  return {.weights = true,
          .logits = true,
          .sample = {.text = text, .ids = {}, .max_tokens = 0}};
}

}  // namespace

TEST_CASE("a model equals its copy") {
  auto report = compare(kLlama, copy_of_llama("compare-copy"));
  CHECK(report.equal());
  CHECK(report.findings.empty());
  CHECK(report.weights.size() > 10);
  CHECK(report.equal_weights == report.weights.size());
  REQUIRE(report.logits);
  CHECK(report.logits->divergence.kl_mean == 0);
}

TEST_CASE("the spelling of config.json is no difference, in any model") {
  for (const auto& entry : test::fs::directory_iterator(
           test::fs::path(ASSAY_TEST_DIR) / "golden/arch")) {
    CAPTURE(entry.path().filename().string());
    auto older = test::changed_model(
        "compare-older", entry.path(), [](test::Tensors&) {});
    test::fs::copy_file(entry.path() / "config.v4.json",
                        older / "config.json",
                        test::fs::copy_options::overwrite_existing);
    auto report = compare(
        entry.path(), older, {.weights = false, .logits = false, .sample = {}});
    for (const auto& field : report.config) {
      // A default of training that transformers 5 changed: two values.
      if (field.field == "router_aux_loss_coef") {
        continue;
      }
      CAPTURE(field.field);
      CAPTURE(field.a.dump());
      CAPTURE(field.b.dump());
      CHECK(false);
    }
  }
}

TEST_CASE("a config field that differs is named, in any spelling") {
  auto other = copy_of_llama("compare-config");
  test::change_config(other, [](Json& config) {
    config["rms_norm_eps"] = 0.5;
    config["rope_parameters"]["rope_theta"] = 777.0;
  });
  auto report =
      compare(kLlama, other, {.weights = false, .logits = false, .sample = {}});
  REQUIRE(report.config.size() == 2);
  CHECK(report.config[0].field == "rms_norm_eps");
  CHECK(report.config[0].b == Json(0.5));
  CHECK(report.config[1].field == "rope_parameters.rope_theta");
  CHECK_FALSE(report.equal());

  auto older = copy_of_llama("compare-config-4");
  test::fs::copy_file(kLlama / "config.v4.json",
                      older / "config.json",
                      test::fs::copy_options::overwrite_existing);
  test::change_config(older,
                      [](Json& config) { config["rope_theta"] = 777.0; });
  auto spelled =
      compare(kLlama, older, {.weights = false, .logits = false, .sample = {}});
  REQUIRE(spelled.config.size() == 1);
  CHECK(spelled.config[0].field == "rope_parameters.rope_theta");
  CHECK(spelled.config[0].b == Json(777.0));
}

TEST_CASE("one perturbed tensor is found, with its error") {
  double norm = 0;
  auto other = test::changed_model(
      "compare-weight", kLlama, [&norm](test::Tensors& tensors) {
        auto& up = tensors.at(kUp);
        norm = mx::sqrt(mx::sum(mx::square(mx::astype(up, mx::float32))))
                   .item<float>();
        auto change = mx::zeros(up.shape());
        change = mx::slice_update(change,
                                  mx::array({0.25f}, {1, 1}),
                                  mx::Shape{2, 3},
                                  mx::Shape{3, 4});
        up = mx::astype(up, mx::float32) + change;
      });
  auto report = compare(kLlama, other);
  CHECK(report.equal_weights + 1 == report.weights.size());
  for (const auto& weight : report.weights) {
    CAPTURE(weight.name);
    if (weight.name == kUp) {
      CHECK(weight.max_abs == doctest::Approx(0.25));
      CHECK(weight.rms_relative == doctest::Approx(0.25 / norm).epsilon(1e-4));
      CHECK(weight.cosine < 1);
    } else {
      CHECK(weight.equal());
    }
  }
  CHECK(report.logits->divergence.max_abs > 1e-3);
  CHECK_FALSE(report.equal());
}

TEST_CASE("a weight that is not a number is no equal weight") {
  auto other =
      test::changed_model("compare-nan", kLlama, [](test::Tensors& tensors) {
        auto& up = tensors.at(kUp);
        up = mx::slice_update(mx::astype(up, mx::float32),
                              mx::array({NAN}, {1, 1}),
                              mx::Shape{0, 0},
                              mx::Shape{1, 1});
      });
  auto report =
      compare(kLlama, other, {.weights = true, .logits = false, .sample = {}});
  CHECK(report.equal_weights + 1 == report.weights.size());
}

TEST_CASE("a missing tensor and another shape are shape differences") {
  auto other = test::changed_model(
      "compare-missing", kLlama, [](test::Tensors& tensors) {
        tensors.erase(kUp);
      });
  auto report =
      compare(kLlama, other, {.weights = true, .logits = false, .sample = {}});
  REQUIRE(report.shapes.size() == 1);
  CHECK(report.shapes[0].name == kUp);
  CHECK(report.shapes[0].a);
  CHECK_FALSE(report.shapes[0].b);
}

TEST_CASE("the GGUF of a model has its weights and its logits") {
  auto report = compare(kLlama, kLlama / "model.gguf");
  CHECK(report.shapes.empty());
  CHECK(report.config.empty());
  CHECK(report.equal_weights == report.weights.size());
  REQUIRE(report.logits);
  CHECK(report.logits->divergence.max_abs <= 1e-4);
}

TEST_CASE("another token, another encoding, another template are found") {
  auto a = copy_of_llama("compare-tokens-a");
  auto b = copy_of_llama("compare-tokens-b");
  add_tokenizer(a, small_tokenizer());
  add_tokenizer(b, small_tokenizer());
  auto same = compare(a, b, on_text("abba"));
  REQUIRE(same.tokenizer);
  CHECK(same.tokenizer->equal());

  auto changed = small_tokenizer();
  changed["model"]["vocab"] = {{"a", 0}, {"b", 1}, {"ab", 3}, {"ba", 2}};
  add_tokenizer(b, changed);
  write_text(b / "chat_template.jinja", "{{ messages }}");
  auto report = compare(a, b, on_text("baab"));
  REQUIRE(report.tokenizer);
  CHECK(report.tokenizer->different_tokens == 2);
  CHECK_FALSE(report.tokenizer->same_encoding);
  CHECK(report.tokenizer->first_difference == 0);
  CHECK_FALSE(report.tokenizer->same_template);
  REQUIRE(!report.tokenizer->examples.empty());
  CHECK(report.tokenizer->examples[0] == "id 2: \"ab\" / \"ba\"");
  CHECK_FALSE(report.equal());
}
