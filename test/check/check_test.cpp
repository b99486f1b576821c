// Sound models pass; then one defect at a time is planted, and check names it.

#include "assay/check/check.h"

#include <algorithm>
#include <chrono>
#include <limits>

#include <doctest/doctest.h>

#include "../inspect/model_copy.h"
#include "fired.h"
#include "sound_copy.h"

using namespace assay;
using assay::testing::all_of;
using assay::testing::checked;
using assay::testing::headers;
using assay::testing::ModelCopy;
namespace fs = std::filesystem;

namespace {

fs::path golden(const std::string& name) {
  return fs::path(ASSAY_TEST_DIR) / "golden/arch" / name;
}

const Finding* find(const CheckReport& report, std::string_view id) {
  auto finding = std::ranges::find(report.findings, id, &Finding::id);
  return finding == report.findings.end() ? nullptr : &*finding;
}

bool has(const CheckReport& report, std::string_view id) {
  return find(report, id) != nullptr;
}

bool ran(const CheckReport& report, std::string_view step) {
  auto entry = std::ranges::find(report.steps, step, &CheckStep::name);
  return entry != report.steps.end() &&
         entry->outcome != CheckStep::Outcome::skipped;
}

/** A llama with a tokenizer for all its rows: sound by its headers. */
struct Sound : ModelCopy {
  explicit Sound(const std::string& name = "llama") : ModelCopy(name) {
    name_tokens(256);
  }

  /** A tokenizer whose end of text is the one that the config names. */
  void name_tokens(int size) const {
    add_tokenizer(size);
    auto config = parse_json(read_text(path / "config.json"), "config.json");
    auto end = fmt::format("w{}", config["eos_token_id"].get<int>());
    edit("tokenizer_config.json",
         [&](Json& settings) { settings["eos_token"] = end; });
  }
};

constexpr std::string_view kTemplate =
    "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}<s1>"
    "{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

}  // namespace

TEST_CASE("sound models have no findings, by headers and by values") {
  for (const auto& entry : fs::directory_iterator(golden(""))) {
    Sound copy(entry.path().filename().string());
    CAPTURE(entry.path().filename().string());
    auto by_headers = headers(copy.path);
    CAPTURE(all_of(by_headers));
    CHECK(by_headers.verdict == Verdict::sound);
    CHECK(exit_code(by_headers.verdict) == 0);
    CHECK(ran(by_headers, "dry forward"));
    CHECK(!ran(by_headers, "values"));
    // Without a tokenizer: random weights make no sense of any text.
    fs::remove(copy.path / "tokenizer.json");
    auto whole = checked(copy.path);
    CAPTURE(all_of(whole));
    CHECK(ran(whole, "inference"));
    std::erase_if(whole.findings, [](const Finding& finding) {
      return finding.id == "dtype.bf16-on-cpu";  // as this machine is
    });
    REQUIRE(whole.findings.size() == 1);
    CHECK(whole.findings[0].id == "tokenizer.missing");
  }
}

TEST_CASE("GGUFs of every architecture are sound by their tensors") {
  for (const auto& entry : fs::directory_iterator(golden(""))) {
    auto file = entry.path() / "model.gguf";
    if (fs::exists(file)) {
      CAPTURE(file.string());
      auto report = headers(file);
      CAPTURE(all_of(report));
      CHECK(!has_errors(report.findings));
      CHECK(ran(report, "tensors"));
    }
  }
}

TEST_CASE("a file of weights by itself gets the verdict on a file") {
  auto report = checked(golden("llama") / "model.safetensors");
  CHECK(report.verdict == Verdict::sound);
  CHECK(ran(report, "values"));
  CHECK(!ran(report, "inference"));
}

TEST_CASE("what cannot be opened is a finding, not an exception") {
  auto absent = checked("/nowhere/at/all");
  CHECK(absent.verdict == Verdict::findings);
  CHECK(has(absent, "file.unreadable"));
  Sound copy;
  copy.write("model.safetensors", "not tensors at all");
  CHECK(exit_code(headers(copy.path).verdict) == 1);
}

TEST_CASE("an unknown architecture cannot be decided") {
  Sound copy;
  copy.edit_config([](Json& config) { config["model_type"] = "llama9"; });
  auto report = headers(copy.path);
  CHECK(report.verdict == Verdict::undecided);
  CHECK(exit_code(report.verdict) == 3);
  CHECK(has(report, "arch.unsupported"));
}

TEST_CASE("config: missing and invalid fields") {
  Sound copy;
  copy.edit_config([](Json& config) { config.erase("rms_norm_eps"); });
  CHECK(has(headers(copy.path), "config.missing-field"));
  copy.edit_config([](Json& config) { config["rms_norm_eps"] = "small"; });
  CHECK(has(headers(copy.path), "config.invalid-value"));
  fs::remove(copy.path / "config.json");
  CHECK(has(headers(copy.path), "config.missing"));
}

TEST_CASE("config: rotary settings that contradict each other") {
  Sound yarn("llama-rope-yarn");
  yarn.edit_config([](Json& config) {
    config["rope_parameters"]["original_max_position_embeddings"] = 100000;
  });
  CHECK(has(headers(yarn.path), "rope.inconsistent"));
  Sound llama3("llama-rope-llama3");
  llama3.edit_config([](Json& config) {
    config["rope_parameters"]["low_freq_factor"] = 8.0;
    config["rope_parameters"]["high_freq_factor"] = 2.0;
  });
  CHECK(has(headers(llama3.path), "rope.inconsistent"));
  Sound linear("llama-rope-linear");
  linear.edit_config(
      [](Json& config) { config["rope_parameters"]["factor"] = 0.5; });
  CHECK(has(headers(linear.path), "rope.inconsistent"));
  for (double share : {-0.5, 0.0, 1.5, 1e9}) {
    CAPTURE(share);
    Sound part("phi3-partial-rotary");
    CHECK(!has(headers(part.path), "rope.inconsistent"));
    part.edit_config([&](Json& config) {
      config["rope_parameters"]["partial_rotary_factor"] = share;
    });
    CHECK(has(headers(part.path), "rope.inconsistent"));
  }
}

TEST_CASE("tensors: missing, unexpected, of another shape or type") {
  auto spoiled = [](auto&& change) {
    Sound copy;
    copy.edit_tensors(change);
    return headers(copy.path);
  };
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  auto missing =
      spoiled([&](ModelCopy::Tensors& tensors) { tensors.erase(name); });
  REQUIRE(has(missing, "tensor.missing"));
  CHECK(find(missing, "tensor.missing")->where == name);
  CHECK(has(spoiled([&](ModelCopy::Tensors& tensors) {
              tensors["model.layers.1.mlp.extra"] = tensors[name];
            }),
            "tensor.unexpected"));
  auto shape = spoiled([&](ModelCopy::Tensors& tensors) {
    tensors[name].entry.shape = {95, 64};
  });
  REQUIRE(has(shape, "shape.mismatch"));
  CHECK(find(shape, "shape.mismatch")->expected == "(96, 64)");
  CHECK(find(shape, "shape.mismatch")->actual == "(95, 64)");
  CHECK(has(spoiled([&](ModelCopy::Tensors& tensors) {
              tensors[name].entry.dtype = DType::i32;
            }),
            "tensor.dtype"));
}

TEST_CASE("tensors: valid types that MLX lacks") {
  Sound copy;
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    tensors["model.norm.weight"].entry.dtype = DType::f64;
  });
  auto report = headers(copy.path);
  REQUIRE(has(report, "mlx.no-type"));
  CHECK(find(report, "mlx.no-type")->actual == "F64 in 1 tensor");
  CHECK(report.steps[0].detail.ends_with("MLX cannot load them as they are"));
  for (auto type : {DType::f8_e5m2, DType::f8_e8m0, DType::f4}) {
    CAPTURE(std::string(name(type)));
    Sound other;
    other.edit_tensors([&](ModelCopy::Tensors& tensors) {
      tensors["model.norm.weight"].entry.dtype = type;
    });
    CHECK(has(headers(other.path), "mlx.no-type"));
  }
  auto plain = headers(Sound().path);
  CHECK(!has(plain, "mlx.no-type"));
  CHECK(plain.steps[0].detail.ends_with("MLX can load them"));
}

TEST_CASE("tensors: valid dimensions that MLX cuts") {
  Sound copy;
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    auto& tensor = tensors["model.empty.weight"];
    tensor.entry.dtype = DType::f32;
    tensor.entry.shape = {4294967300, 0};
  });
  CHECK(has(headers(copy.path), "mlx.dimension"));
}

TEST_CASE("tensors: quantization that is undeclared, wrong or unused") {
  Sound copy;
  copy.edit_config([](Json& config) {
    config["quantization"] = {{"group_size", 64}, {"bits", 4}};
  });
  CHECK(has(headers(copy.path), "quantization.unused"));
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    auto& weight = tensors["model.layers.0.self_attn.q_proj.weight"];
    weight.entry.dtype = DType::u32;
    weight.entry.shape = {64, 8};
    for (const auto* part : {"scales", "biases"}) {
      auto& tensor =
          tensors[std::string("model.layers.0.self_attn.q_proj.") + part];
      tensor.entry.dtype = DType::f16;
      tensor.entry.shape = {64, 1};
    }
  });
  auto sound = headers(copy.path);
  CAPTURE(all_of(sound));
  CHECK(sound.verdict == Verdict::sound);
  copy.edit_config([](Json& config) {  // MLX writes it twice
    config["quantization_config"] = config["quantization"];
  });
  CHECK(headers(copy.path).verdict == Verdict::sound);
  copy.edit_config([](Json& config) { config.erase("quantization"); });
  CHECK(has(headers(copy.path), "quantization.undeclared"));
  copy.edit_config([](Json& config) {
    config["quantization"] = config["quantization_config"];
    config.erase("quantization_config");
  });
  copy.edit_config([](Json& config) { config["quantization"]["bits"] = 8; });
  CHECK(has(headers(copy.path), "shape.mismatch"));
  copy.edit_config([](Json& config) { config["quantization"]["bits"] = 7; });
  CHECK(has(headers(copy.path), "config.invalid-value"));
  copy.edit_config([](Json& config) { config.erase("quantization"); });
  CHECK(has(headers(copy.path), "quantization.undeclared"));
  copy.edit_config([](Json& config) {
    config["quantization_config"] = {{"quant_method", "awq"}, {"bits", 4}};
  });
  CHECK(has(headers(copy.path), "quantization.unsupported"));
}

TEST_CASE("the output head against tie_word_embeddings") {
  const std::string head = "lm_head.weight";
  Sound untied;
  untied.edit_tensors(
      [&](ModelCopy::Tensors& tensors) { tensors.erase(head); });
  CHECK(has(headers(untied.path), "head.missing"));
  untied.edit_config(
      [](Json& config) { config["tie_word_embeddings"] = true; });
  CHECK(headers(untied.path).verdict == Verdict::sound);

  Sound tied;
  tied.edit_config([](Json& config) { config["tie_word_embeddings"] = true; });
  auto copy = headers(tied.path);
  CHECK(has(copy, "head.tied-copy"));
  CHECK(has(copy, "head.tied-differs"));
  CHECK(has(checked(tied.path), "head.tied-differs"));
  tied.edit_tensors([&](ModelCopy::Tensors& tensors) {
    tensors[head].data = tensors["model.embed_tokens.weight"].data;
  });
  CHECK(headers(tied.path).verdict == Verdict::sound);
  CHECK(!has(checked(tied.path), "head.tied-differs"));
}

TEST_CASE("a definition that is consistent with the files, but not in itself") {
  Sound copy("phi3-longrope-long");
  copy.edit_config([](Json& config) {
    config["rope_parameters"]["long_factor"] = {1.0, 2.0, 3.0};
  });
  auto report = headers(copy.path);
  CAPTURE(all_of(report));
  CHECK(report.verdict == Verdict::findings);
}

TEST_CASE("the tokenizer against the embedding") {
  Sound copy;
  copy.add_tokenizer(300);
  auto larger = headers(copy.path);
  REQUIRE(has(larger, "tokenizer.vocab-exceeds-embedding"));
  CHECK(larger.verdict == Verdict::findings);
  copy.name_tokens(250);
  auto smaller = headers(copy.path);
  CHECK(has(smaller, "tokenizer.vocab-padding"));
  CHECK(smaller.verdict == Verdict::sound);
  fs::remove(copy.path / "tokenizer.json");
  CHECK(has(headers(copy.path), "tokenizer.missing"));
  copy.write("tokenizer.json", "{\"model\": {\"vocab\": {\"a\": ");
  CHECK(has(headers(copy.path), "tokenizer.malformed"));
}

TEST_CASE("special tokens: in range, and one that ends a generation") {
  Sound copy;
  copy.edit("generation_config.json",
            [](Json& config) { config["eos_token_id"] = 256; });
  CHECK(has(headers(copy.path), "special-token.out-of-range"));
  copy.edit("generation_config.json",
            [](Json& config) { config.erase("eos_token_id"); });
  copy.edit("tokenizer_config.json",
            [](Json& config) { config.erase("eos_token"); });
  copy.edit_config([](Json& config) { config.erase("eos_token_id"); });
  CHECK(has(headers(copy.path), "special-token.no-eos"));
  copy.edit_config([](Json& config) {  // an encoder ends nothing
    config["architectures"] = Json::array({"LlamaModel"});
  });
  CHECK(!has(headers(copy.path), "special-token.no-eos"));
}

TEST_CASE("the tokenizer's length against the context") {
  Sound copy;
  copy.edit("tokenizer_config.json",
            [](Json& config) { config["model_max_length"] = 4096; });
  CHECK(has(headers(copy.path), "tokenizer.context"));
  copy.edit("tokenizer_config.json",
            [](Json& config) { config["model_max_length"] = 1e30; });
  CHECK(!has(headers(copy.path), "tokenizer.context"));
}

TEST_CASE("chat templates: missing, broken, deaf, sound") {
  Sound copy;
  CHECK(has(headers(copy.path), "template.missing"));
  copy.write("chat_template.jinja", "{% for m in messages %}{{ m.content }}");
  CHECK(has(headers(copy.path), "template.failed"));
  copy.write("chat_template.jinja", "Hello.");
  CHECK(has(headers(copy.path), "template.failed"));
  copy.write("chat_template.jinja", kTemplate);
  auto sound = headers(copy.path);
  CAPTURE(all_of(sound));
  CHECK(sound.findings.empty());
  copy.write("chat_template.jinja",
             "{% for m in messages %}[{{ m.role }}]{{ m.content }}"
             "{% endfor %}");
  CHECK(has(headers(copy.path), "template.no-prompt"));
}

TEST_CASE("the token after an answer must end a generation") {
  Sound copy;  // <s0>, <s1>, <s2> are ids 253 to 255
  copy.write("chat_template.jinja", kTemplate);
  CHECK(has(checked(copy.path), "special-token.turn-end"));
  copy.edit("generation_config.json",
            [](Json& config) { config["eos_token_id"] = {253, 254}; });
  CHECK(!has(checked(copy.path), "special-token.turn-end"));
}

TEST_CASE("values: not finite, zero, constant, outliers") {
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  auto spoiled = [&](auto&& change) {
    ModelCopy copy("llama");
    copy.edit_tensors(
        [&](ModelCopy::Tensors& tensors) { change(tensors[name]); });
    return checked(copy.path);
  };
  using assay::testing::StoredTensor;
  auto nan = spoiled([](StoredTensor& tensor) {
    tensor.set(77, std::numeric_limits<float>::quiet_NaN());
  });
  REQUIRE(has(nan, "tensor.not-finite"));
  CHECK(find(nan, "tensor.not-finite")->where == name);
  CHECK(find(nan, "tensor.not-finite")->actual ==
        "1 of 6144 are not, the first at index 77");
  CHECK(!ran(nan, "inference"));
  CHECK(has(spoiled([](StoredTensor& tensor) {
              tensor.set(0, -std::numeric_limits<float>::infinity());
            }),
            "tensor.not-finite"));
  CHECK(has(spoiled([](StoredTensor& tensor) { tensor.fill(0); }),
            "tensor.all-zero"));
  CHECK(has(spoiled([](StoredTensor& tensor) { tensor.fill(0.5f); }),
            "tensor.constant"));
  // One value of 6144: its square must not hide it in the mean.
  auto outlier = spoiled([](StoredTensor& tensor) {
    tensor.fill(0.001f);
    tensor.set(5, 100.0f);
  });
  CHECK(!has(outlier, "tensor.constant"));
}

TEST_CASE("outliers stand out of large matrices") {
  ModelCopy copy("llama");
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    auto& tensor = tensors["spare"];
    tensor.entry = {"spare", DType::f32, {1024, 1024}};
    tensor.data.resize(4u << 20);
    tensor.fill(0.01f);
    tensor.set(1 << 19, 1000.0f);
  });
  CHECK(has(checked(copy.path / "model.safetensors"), "tensor.outliers"));
}

TEST_CASE("inference: random weights make no sense of a text") {
  Sound copy;
  auto report = checked(copy.path);
  CAPTURE(all_of(report));
  REQUIRE(ran(report, "inference"));
  CHECK(has(report, "inference.no-sense"));
}

TEST_CASE("inference: weights that overflow") {
  ModelCopy copy("llama");
  copy.edit_tensors([](ModelCopy::Tensors& tensors) {
    auto& norm = tensors["model.norm.weight"];
    norm.fill(1e30f);
    auto& head = tensors["lm_head.weight"];
    for (size_t i = 0; i < head.data.size() / 4; ++i) {
      head.set(i, i % 2 == 0 ? 1e30f : -1e30f);
    }
  });
  CHECK(has(checked(copy.path), "inference.not-finite"));
}

TEST_CASE("every finding says what was expected, found, why and what to do") {
  Sound copy;
  copy.add_tokenizer(300);
  copy.edit_config([](Json& config) { config["vocab_size"] = 300; });
  auto report = headers(copy.path);
  REQUIRE(!report.findings.empty());
  for (const auto& finding : report.findings) {
    CHECK(!finding.where.empty());
    CHECK(!finding.expected.empty());
    CHECK(!finding.actual.empty());
    CHECK(!finding.cause.empty());
    CHECK(!finding.remedy.empty());
  }
  auto json = to_json(report);
  CHECK(json["verdict"] == "findings");
  CHECK(json["findings"].size() == report.findings.size());
}

TEST_CASE("SmolLM2 is sound, in seconds") {
  if (!fs::exists(ASSAY_MODEL)) {
    return;
  }
  auto start = std::chrono::steady_clock::now();
  auto report = checked(ASSAY_MODEL);
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  CAPTURE(all_of(report));
  CHECK(report.verdict == Verdict::sound);
  for (const auto& step : report.steps) {
    MESSAGE(step.name << ": " << step.detail << ", " << step.seconds << " s");
  }
  CHECK(spent.count() < 60);
}

TEST_CASE("config: fields that contradict each other") {
  Sound window("gemma2");
  window.edit_config([](Json& config) { config.erase("sliding_window"); });
  CHECK(has(headers(window.path), "config.missing-field"));
  Sound named;
  named.edit_config([](Json& config) {
    config["architectures"] = Json::array({"Qwen2ForCausalLM"});
  });
  CHECK(has(headers(named.path), "config.class-mismatch"));
  Sound experts("mixtral");
  experts.edit_config(
      [](Json& config) { config["num_experts_per_tok"] = 100; });
  CHECK(has(headers(experts.path), "config.contradiction"));
}

TEST_CASE("config: rotary settings of another type") {
  auto set_type = [](const char* type) {
    return
        [type](Json& config) { config["rope_parameters"]["rope_type"] = type; };
  };
  for (const auto& [model, type] : {std::pair("llama-rope-linear", "default"),
                                    std::pair("llama-rope-llama3", "linear"),
                                    std::pair("llama-rope-yarn", "default")}) {
    CAPTURE(model);
    Sound copy(model);
    CHECK(!has(headers(copy.path), "rope.inconsistent"));
    copy.edit_config(set_type(type));
    CHECK(has(headers(copy.path), "rope.inconsistent"));
  }
  Sound yarn("llama-rope-yarn");
  yarn.edit_config([](Json& config) {
    config["rope_parameters"].erase("original_max_position_embeddings");
  });
  CHECK(has(headers(yarn.path), "config.missing-field"));
}

TEST_CASE("config: what a class has whoever trained the model") {
  for (const auto& [model, field] :
       {std::pair("llama", "hidden_act"),
        std::pair("qwen3", "hidden_act"),
        std::pair("gemma2", "hidden_activation"),
        std::pair("gpt2", "activation_function")}) {
    CAPTURE(model);
    Sound copy(model);
    CHECK(!has(headers(copy.path), "config.unpublished-value"));
    copy.edit_config([&](Json& config) { config[field] = "relu"; });
    CHECK(has(headers(copy.path), "config.unpublished-value"));
  }
  Sound clamp("gpt_oss");
  CHECK(!has(headers(clamp.path), "config.unpublished-value"));
  clamp.edit_config([](Json& config) { config["swiglu_limit"] = 3.5; });
  CHECK(has(headers(clamp.path), "config.unpublished-value"));
  Sound latent("deepseek_v3");
  latent.edit_config([](Json& config) { config["head_dim"] = 16; });
  CHECK(has(headers(latent.path), "config.contradiction"));
  Sound plain("deepseek_v3-plain");
  CHECK(!has(headers(plain.path), "config.missing-field"));
  plain.edit_config([](Json& config) { config.erase("q_lora_rank"); });
  CHECK(has(headers(plain.path), "config.missing-field"));
  Sound untied("gpt2");
  CHECK(!has(headers(untied.path), "head.missing"));
  untied.edit_config(
      [](Json& config) { config["tie_word_embeddings"] = false; });
  CHECK(has(headers(untied.path), "head.missing"));
  Sound window("mistral");
  window.edit_config([](Json& config) { config["sliding_window"] = 1; });
  CHECK(has(headers(window.path), "config.invalid-value"));
}

TEST_CASE("special tokens: documents that disagree") {
  Sound copy;
  CHECK(!has(headers(copy.path), "special-token.disagrees"));
  copy.edit("generation_config.json",
            [](Json& config) { config["eos_token_id"] = 7; });
  CHECK(has(headers(copy.path), "special-token.disagrees"));
  copy.edit("tokenizer_config.json",
            [](Json& config) { config["eos_token"] = "<gone>"; });
  CHECK(has(headers(copy.path), "special-token.unknown"));
  copy.edit("generation_config.json",
            [](Json& config) { config["top_p"] = 1.5; });
  CHECK(has(headers(copy.path), "generation.invalid-value"));
}

TEST_CASE("GPTQ: named, and its block held against the shapes") {
  Sound copy;
  const std::string path = "model.layers.0.self_attn.q_proj";
  copy.edit_tensors([&](ModelCopy::Tensors& tensors) {
    tensors.erase(path + ".weight");
    auto add = [&](const char* leaf, DType dtype, Shape shape) {
      auto& tensor = tensors[path + leaf];
      tensor.entry.dtype = dtype;
      tensor.entry.shape = std::move(shape);
    };
    add(".qweight", DType::i32, {8, 64});
    add(".qzeros", DType::i32, {2, 8});
    add(".scales", DType::f16, {2, 64});
    add(".g_idx", DType::i32, {64});
  });
  auto block = [&](const char* method, int bits, int group) {
    copy.edit_config([&](Json& config) {
      config["quantization_config"] = {
          {"quant_method", method}, {"bits", bits}, {"group_size", group}};
    });
    return headers(copy.path);
  };
  auto right = block("gptq", 4, 32);
  REQUIRE(has(right, "quantization.unsupported"));
  CHECK(find(right, "quantization.unsupported")->actual ==
        "GPTQ, 4 bits, groups of 32");
  CHECK(!has(right, "quantization.wrong-bits"));
  CHECK(!has(right, "quantization.wrong-group"));
  CHECK(has(block("gptq", 8, 32), "quantization.wrong-bits"));
  CHECK(has(block("gptq", 4, 64), "quantization.wrong-group"));
  CHECK(has(block("awq", 4, 32), "quantization.wrong-method"));
}
