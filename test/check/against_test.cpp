// A model against one that works: spellings are no difference, one changed
// value is one finding.

#include "assay/check/against.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "../inspect/model_copy.h"
#include "fired.h"
#include "torch_twin.h"

using namespace assay;
using assay::testing::checked;
using assay::testing::ModelCopy;
namespace fs = std::filesystem;

namespace {

fs::path golden_for_against(const std::string& name) {
  return fs::path(ASSAY_TEST_DIR) / "golden/arch" / name;
}

struct Good : ModelCopy {
  Good() : ModelCopy("llama") {
    add_tokenizer(256);
    write("chat_template.jinja", "{% for m in messages %}{{ m }}{% endfor %}");
  }
};

std::vector<Finding> against(const ModelCopy& model, const ModelCopy& good) {
  auto findings = compare_with(profile_of(model.path), profile_of(good.path));
  assay::testing::note_fired(findings);
  return findings;
}

std::string ids_against(const std::vector<Finding>& findings) {
  std::string text;
  for (const auto& finding : findings) {
    text += to_line(finding) + "\n";
  }
  return text;
}

// Exactly one finding, of this id and severity, that shows these values.
void one(const std::vector<Finding>& findings,
         std::string_view id,
         Severity severity,
         std::string_view expected,
         std::string_view actual) {
  CAPTURE(ids_against(findings));
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].id == id);
  CHECK(findings[0].severity == severity);
  CHECK(findings[0].expected == expected);
  CHECK(findings[0].actual == actual);
}

}  // namespace

TEST_CASE("a model does not differ from itself, nor from its profile") {
  for (const auto& entry : fs::directory_iterator(golden_for_against(""))) {
    CAPTURE(entry.path().string());
    auto profile = profile_of(entry.path());
    CHECK(profile.findings.empty());
    CHECK(ids_against(compare_with(profile, profile)).empty());
    auto stored = profile_from_json(
        parse_json(to_text(to_json(profile)), "profile"), "profile");
    CHECK(ids_against(compare_with(profile, stored)).empty());
  }
  for (const auto* name : {"sd1", "flux", "sd3"}) {
    auto profile = profile_of(fs::path(ASSAY_TEST_DIR) / "sound" / name);
    CHECK(profile.tensors.size() >= 3);
    CHECK(ids_against(compare_with(profile, profile)).empty());
  }
}

TEST_CASE("transformers 4 and 5 write the same model in two spellings") {
  size_t compared = 0;
  for (const auto& entry : fs::directory_iterator(golden_for_against(""))) {
    auto older = entry.path() / "config.v4.json";
    if (!fs::exists(older)) {
      continue;
    }
    ++compared;
    CAPTURE(older.string());
    auto five = profile_of(entry.path());
    auto four = five;
    four.documents["config.json"] =
        parse_json(read_text(older), older.string());
    auto findings = compare_with(four, five);
    std::ranges::move(compare_with(five, four), std::back_inserter(findings));
    CHECK(ids_against(findings) == "");
  }
  CHECK(compared > 10);
}

TEST_CASE("a GGUF of the model has the same config") {
  Good good;
  auto gguf = profile_of(golden_for_against("llama") / "model.gguf");
  auto findings = compare_with(gguf, profile_of(golden_for_against("llama")));
  CAPTURE(ids_against(findings));
  CHECK(std::ranges::none_of(findings, [](const Finding& finding) {
    return finding.severity == Severity::error;
  }));
}

TEST_CASE("PyTorch's files are the same model, on either side") {
  Good good;
  Good torch;
  // A second name of one storage, as of tied weights: safetensors keep one.
  assay::testing::to_torch(torch.path / "model.safetensors",
                           torch.path / "pytorch_model.bin",
                           {{"model.norm.weight", "model.a_second_name"}});
  auto profile = profile_of(torch.path);
  CHECK(profile.container == "PyTorch");
  CHECK(profile.findings.empty());
  CHECK(ids_against(against(torch, good)).empty());
  CHECK(ids_against(against(good, torch)).empty());
  auto stored = profile_from_json(
      parse_json(to_text(to_json(profile)), "profile"), "profile");
  CHECK(stored.tensors == profile.tensors);
  CHECK(ids_against(compare_with(profile_of(good.path), stored)).empty());
  auto lacking = profile;
  lacking.tensors[""].erase("model.layers.0.mlp.up_proj.weight");
  one(compare_with(lacking, profile_of(good.path)),
      "against.tensor-missing",
      Severity::error,
      "the tensor, as in the good model",
      fmt::format("{} tensors without it", lacking.tensors[""].size()));
  auto both = lacking;
  both.tensors[""].erase("model.norm.weight");
  both.tensors[""].erase("model.a_second_name");
  CHECK(compare_with(both, profile_of(good.path)).size() == 2);
}

TEST_CASE("parts of a pipeline in PyTorch's files are profiled") {
  for (const auto* name : {"sd1", "sentence-transformers"}) {
    CAPTURE(name);
    auto folder = fs::path(ASSAY_BUILD_DIR) / "test-models" /
                  fmt::format("against-{}", platform::process_id());
    fs::remove_all(folder);
    fs::copy(fs::path(ASSAY_TEST_DIR) / "sound" / name,
             folder,
             fs::copy_options::recursive);
    auto good = profile_of(folder);
    assay::testing::all_to_torch(folder);
    auto torch = profile_of(folder);
    fs::remove_all(folder);
    CHECK(torch.findings.empty());
    CHECK(torch.tensors == good.tensors);
    CHECK(ids_against(compare_with(torch, good)).empty());
    CHECK(ids_against(compare_with(good, torch)).empty());
  }
}

TEST_CASE("one changed field is one finding, by what it does") {
  Good good;
  using enum Severity;
  auto changed = [&](const char* field, const Json& value) {
    Good model;
    model.edit_config([&](Json& config) { config[field] = value; });
    return against(model, good);
  };
  one(changed("hidden_size", 32), "against.size", error, "64", "32");
  one(changed("rms_norm_eps", 1e-5),
      "against.value",
      warning,
      "0.001",
      "1e-05");
  one(changed("eos_token_id", 7), "against.token", warning, "2", "7");
  one(changed("model_type", "mistral"),
      "against.architecture",
      error,
      "\"llama\"",
      "\"mistral\"");
  one(changed("rope_parameters",
              {{"rope_theta", 500.0}, {"rope_type", "default"}}),
      "against.value",
      warning,
      "5000.0",
      "500.0");
  one(changed("rms_norm_eps", nullptr),
      "against.field-missing",
      warning,
      "0.001",
      "no such field");
  CHECK(changed("transformers_version", "4.1").empty());
  CHECK(changed("_name_or_path", "elsewhere").empty());
  CHECK(changed("attention_dropout", 0.5).empty());
  CHECK(changed("use_cache", false).empty());
}

TEST_CASE("tokenizer, template and generation settings") {
  Good good;
  using enum Severity;
  {
    Good model;
    model.write("chat_template.jinja", "{% for m in messages %}[{{ m }}]");
    one(against(model, good),
        "against.template",
        warning,
        "'{{ m }}{% endfor %}'",
        "'[{{ m }}]'");
  }
  {
    Good model;
    fs::remove(model.path / "chat_template.jinja");
    one(against(model, good),
        "against.template",
        warning,
        "42 characters",
        "none");
  }
  {
    Good model;
    model.edit("tokenizer.json", [](Json& json) {
      auto& vocab = json["model"]["vocab"];
      std::swap(vocab["w3"], vocab["w4"]);
    });
    auto findings = against(model, good);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].id == "against.vocabulary");
  }
  {
    Good model;
    model.edit("tokenizer.json", [](Json& json) {
      json["pre_tokenizer"] = {{"type", "Whitespace"}};
    });
    auto findings = against(model, good);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].id == "against.tokenizer");
  }
  {
    Good model;
    model.edit("generation_config.json",
               [](Json& json) { json["eos_token_id"] = {2}; });
    CHECK(against(model, good).empty());
    model.edit("generation_config.json",
               [](Json& json) { json["eos_token_id"] = {2, 5}; });
    one(against(model, good), "against.token", warning, "2", "[2,5]");
  }
}

TEST_CASE("tensors: missing, of another shape, of another type, packed") {
  Good good;
  using enum Severity;
  {
    Good model;
    model.edit_tensors(
        [](auto& tensors) { tensors.erase("model.norm.weight"); });
    auto findings = against(model, good);
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].id == "against.tensor-missing");
    CHECK(findings[0].where == "model.norm.weight");
  }
  {
    Good model;
    model.edit_tensors([](auto& tensors) {
      tensors["model.norm.weight"].entry.shape = {32, 2};
    });
    one(against(model, good), "against.tensor-shape", error, "(64)", "(32, 2)");
  }
  {
    Good model;
    model.edit_tensors([](auto& tensors) {
      tensors["model.norm.weight"].entry.dtype = DType::bf16;
    });
    one(against(model, good), "against.dtype", note, "F32", "BF16 in 1 tensor");
  }
  {
    Good model;
    model.edit_tensors([](auto& tensors) {
      auto& weight = tensors["model.layers.0.mlp.up_proj.weight"];
      weight.entry.dtype = DType::u32;
      weight.entry.shape = {96, 8};
      for (const auto* part : {"scales", "biases"}) {
        auto& beside =
            tensors[std::string("model.layers.0.mlp.up_proj.") + part];
        beside.entry.shape = {96, 2};
      }
    });
    one(against(model, good),
        "against.quantization",
        note,
        "weights stored as in the good model",
        "1 tensors packed otherwise");
  }
}

TEST_CASE("processors in both layouts are the same") {
  Good good;
  Good model;
  good.write("preprocessor_config.json",
             R"({"image_processor_type": "CLIPImageProcessor",
                 "image_mean": [0.5, 0.5, 0.5],
                 "size": {"height": 224, "width": 224}})");
  model.write("processor_config.json",
              R"({"image_processor":
                  {"image_processor_type": "CLIPImageProcessorFast",
                   "image_mean": [0.5, 0.5, 0.5], "size": 224}})");
  CHECK(ids_against(against(model, good)).empty());
  model.edit("processor_config.json", [](Json& json) {
    json["image_processor"]["image_mean"] = {0.5, 0.5, 0.4};
  });
  one(against(model, good),
      "against.processor",
      Severity::warning,
      "[0.5,0.5,0.5]",
      "[0.5,0.5,0.4]");
}

TEST_CASE("what is no profile is refused") {
  for (const auto* text :
       {"{}",
        "[]",
        R"({"assay_profile": 1})",
        R"({"assay_profile": 1, "documents": {}, "tokenizers": {},
            "tensors": {"": {"a": ["F32", ["x"]]}}})",
        R"({"assay_profile": 1, "documents": {}, "tokenizers": {},
            "tensors": {"": {"a": ["F99", [1]]}}})"}) {
    CHECK_THROWS_AS(profile_from_json(parse_json(text, "p"), "p"), Error);
  }
}

TEST_CASE("check runs it as a step") {
  Good good;
  Good model;
  model.edit_config([](Json& config) { config["rms_norm_eps"] = 1e-5; });
  CheckOptions options{.headers_only = true, .progress = {}};
  options.extra.push_back(against_step(profile_of(good.path)));
  auto report = checked(model.path, options);
  CHECK(report.steps.back().name == "against");
  CHECK(report.steps.back().findings == 1);
  CHECK(checked(good.path, options).steps.back().outcome ==
        CheckStep::Outcome::passed);
}
