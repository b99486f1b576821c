// The way back: to GGUF and to Hugging Face's layout, and round trips.

#include <array>

#include <fmt/format.h>

#include "assay/formats/ggml.h"
#include "assay/formats/ggml_from_mlx.h"
#include "assay/text/tokenizer.h"
#include "assay/text/tokenizer_to_gguf.h"

#include "golden.h"

using namespace assay;
using namespace assay::test;

namespace {

ConvertOptions to_format(ConvertTarget target) {
  ConvertOptions options;
  options.to = target;
  options.verify = false;
  return options;
}

// What the target format has no word for.
std::vector<Finding> untold(const ConvertReport& report) {
  std::vector<Finding> findings;
  std::ranges::copy_if(
      report.findings, std::back_inserter(findings), [](const Finding& one) {
        return one.id == "gguf.no-equivalent";
      });
  return findings;
}

ConvertOptions bits(int bits, int group) {
  auto options = to_format(ConvertTarget::mlx);
  options.bits = bits;
  options.group_size = group;
  return options;
}

}  // namespace

TEST_CASE("every architecture goes to Hugging Face's layout as it was") {
  TemporaryFolder temporary("to-hf");
  for (const auto& folder : golden_models()) {
    CAPTURE(folder.filename().string());
    auto mlx = temporary / (folder.filename().string() + "-mlx");
    auto hf = temporary / (folder.filename().string() + "-hf");
    convert(folder, mlx, to_format(ConvertTarget::mlx));
    convert(mlx, hf, to_format(ConvertTarget::hf));
    CHECK(logits_error(hf, folder / "golden.safetensors") <= 1e-4f);
    // Where the source holds one float type, its very tensors come back.
    if (!folder.filename().string().ends_with("mxfp4")) {
      bool same = tensors_of(hf) == tensors_of(folder);
      CHECK(same);
    }
  }
}

TEST_CASE("every architecture goes to GGUF and keeps its logits") {
  TemporaryFolder temporary("to-gguf");
  for (const auto& folder : golden_models()) {
    auto name = folder.filename().string();
    if (!fs::exists(folder / "model.gguf")) {
      continue;
    }
    CAPTURE(name);
    auto file = temporary / (name + ".gguf");
    auto report = convert(folder, file, to_format(ConvertTarget::gguf));
    bool differs = fs::exists(folder / "golden.gguf.safetensors");
    auto golden =
        folder / (differs ? "golden.gguf.safetensors" : "golden.safetensors");
    CHECK(logits_error(file, golden) <= 1e-4f);
    // A setting that the format cannot say is told.
    CHECK(untold(report).empty() == !differs);
  }
}

TEST_CASE("windows that GGUF has no key for are told, and so is the drift") {
  TemporaryFolder temporary("gguf-windows");
  auto options = to_format(ConvertTarget::gguf);
  options.verify = true;
  auto folder = kGolden / "arch/qwen2-sliding";
  auto report = convert(folder, temporary / "model.gguf", options);
  CHECK(!untold(report).empty());
  CHECK(std::ranges::find(report.findings,
                          "convert.other-logits",
                          &Finding::id) != report.findings.end());
}

TEST_CASE("settings that come back otherwise are told") {
  TemporaryFolder temporary("gguf-settings");
  // Gemma's GGUFs have no key for the scale of queries.
  auto report = convert(kGolden / "arch/gemma2-scalar",
                        temporary / "gemma2.gguf",
                        to_format(ConvertTarget::gguf));
  auto found = untold(report);
  REQUIRE(found.size() == 1);
  CHECK(found[0].where == "config field 'query_pre_attn_scalar'");
  CHECK(found[0].expected == "24");
}

TEST_CASE("longrope's attention factor is written: llama.cpp takes 1") {
  TemporaryFolder temporary("gguf-longrope");
  auto file = temporary / "model.gguf";
  convert(kGolden / "arch/phi3-longrope-long",
          file,
          to_format(ConvertTarget::gguf));
  // sqrt(1 + ln(128 / 16) / ln(16)), the paper's rule.
  CHECK(
      open_model(file).gguf->number("phi3.rope.scaling.attn_factor").value() ==
      doctest::Approx(1.3228757));
}

TEST_CASE("biases of a GGUF are told by its tensors") {
  TemporaryFolder temporary("gguf-bias");
  auto folder = kGolden / "arch/llama-bias";
  auto file = temporary / "model.gguf";
  convert(folder, file, to_format(ConvertTarget::gguf));
  CHECK(logits_error(file, folder / "golden.safetensors") <= 1e-4f);
}

TEST_CASE("GGUFs of Gemma 3 say which layers slide") {
  TemporaryFolder temporary("gguf-pattern");
  constexpr const char* kFull = "full_attention";
  constexpr const char* kSliding = "sliding_attention";
  for (const auto& types : {std::vector{kSliding, kSliding, kFull},
                            std::vector{kFull, kSliding, kSliding},
                            std::vector{kSliding, kSliding, kSliding}}) {
    auto from = temporary / "source";
    fs::remove_all(from);
    fs::copy(kGolden / "arch/gemma3_text-rope-linear", from);
    auto config = parse_json(read_text(from / "config.json"), "config.json");
    config["layer_types"] = types;
    config["query_pre_attn_scalar"] = config["head_dim"];
    write_text(from / "config.json", config.dump());
    auto options = to_format(ConvertTarget::gguf);
    options.force = true;
    auto file = temporary / "model.gguf";
    CHECK(untold(convert(from, file, options)).empty());
    auto written = arch::build_tree(open_model(file));
    auto shapes = written.model->cache_shapes();
    for (size_t i = 0; i < types.size(); ++i) {
      CHECK((shapes.at(i).window > 0) == (types[i] == kSliding));
    }
  }
}

TEST_CASE("layers that GGUF's readers would not find are refused") {
  TemporaryFolder temporary("gguf-layers");
  auto to = temporary / "model.gguf";
  CHECK(error_id([&] {
          convert(kGolden / "arch/qwen3_moe-mixed",
                  to,
                  to_format(ConvertTarget::gguf));
        }) == "gguf.no-equivalent");
  CHECK(!fs::exists(to));
}

TEST_CASE("MLX to GGUF to MLX keeps exact forms bit by bit") {
  TemporaryFolder temporary("round");
  struct Case {
    const char* mode;
    int bits;
    const char* type;
  };
  for (const auto& c : {Case{"affine", 4, "Q4_1"},
                        Case{"affine", 5, "Q5_1"},
                        Case{"mxfp4", 4, "MXFP4"}}) {
    CAPTURE(c.type);
    auto options = bits(c.bits, 32);
    options.mode = c.mode;
    options.dtype = "float16";
    auto first = temporary / fmt::format("{}-1", c.type);
    auto second = temporary / fmt::format("{}-2", c.type);
    auto file = temporary / fmt::format("{}.gguf", c.type);
    convert(kLlama, first, options);
    auto report = convert(first, file, to_format(ConvertTarget::gguf));
    CHECK(report.changed.empty());
    auto gguf = open_model(file);
    auto blocks = std::ranges::count(
        gguf.tensors, dtype_from_name(c.type).value(), &TensorInfo::dtype);
    CHECK(blocks > 0);
    CHECK(blocks == static_cast<int64_t>(report.quantized));
    auto back = to_format(ConvertTarget::mlx);
    back.dtype = "float16";
    convert(file, second, back);
    bool same = tensors_of(first) == tensors_of(second);
    CHECK(same);
  }
}

TEST_CASE("GGUF to MLX to GGUF keeps every type that MLX holds exactly") {
  TemporaryFolder temporary("gguf-round");
  for (const char* type : {"Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"}) {
    CAPTURE(type);
    auto options = to_format(ConvertTarget::gguf);
    options.gguf_type = type;
    auto first = temporary / fmt::format("{}-1.gguf", type);
    auto second = temporary / fmt::format("{}-2.gguf", type);
    auto mlx = temporary / fmt::format("{}-mlx", type);
    auto report = convert(kLlama, first, options);
    CHECK(!report.changed.empty());  // quantized, and told
    CHECK(convert(first, mlx, to_format(ConvertTarget::mlx)).changed.empty());
    convert(mlx, second, to_format(ConvertTarget::gguf));
    bool same = tensors_of(first) == tensors_of(second);
    CHECK(same);
  }
}

TEST_CASE("what float16 scales cannot hold has no block type") {
  const std::array<float, 2> scales = {1.0f, 1e-12f};
  const std::array<float, 2> biases = {0.5f, 0.5f};
  CHECK(ggml::block_type_of({32, 4, "affine"},
                            DType::f32,
                            std::as_bytes(std::span(scales)),
                            std::as_bytes(std::span(biases))) == std::nullopt);
  const std::array<float, 1> one = {0.5f};
  const std::array<float, 1> minus_64 = {-64.0f};
  auto type = [&](int b, std::span<const float> bias) {
    return ggml::block_type_of({32, b, "affine"},
                               DType::f32,
                               std::as_bytes(std::span(one)),
                               std::as_bytes(bias));
  };
  CHECK(type(8, minus_64) == DType::q8_0);
  CHECK(type(8, one) == std::nullopt);
  CHECK(type(4, one) == DType::q4_1);
  CHECK(type(5, one) == DType::q5_1);
  CHECK(type(6, one) == std::nullopt);
}

TEST_CASE("a GGUF destination is a file, and earlier ones stay") {
  TemporaryFolder temporary("gguf-destination");
  auto file = temporary / "model.gguf";
  auto options = to_format(ConvertTarget::gguf);
  convert(kLlama, file, options);
  CHECK(error_id([&] { convert(kLlama, file, options); }) == "file.exists");
  options.gguf_type = "Q9_9";
  options.force = true;
  CHECK(error_id([&] { convert(kLlama, file, options); }) == "convert.option");
  CHECK(logits_error(file, kLlama / "golden.safetensors") <= 1e-4f);
  CHECK(std::distance(fs::directory_iterator(temporary.path()), {}) == 1);
}

TEST_CASE("a tokenizer.json goes into a GGUF and encodes the same there") {
  int checked = 0;
  for (const auto& entry : fs::directory_iterator(kGolden / "tokenizer")) {
    auto json = entry.path() / "tokenizer.json";
    if (!fs::exists(json)) {
      continue;
    }
    ModelFiles model;
    model.path = entry.path();
    model.tokenizer_json = json;
    auto name = entry.path().filename().string();
    CAPTURE(name);
    auto original = load_tokenizer(model);
    if (original.model_type() != "BPE") {
      CHECK(error_id([&] { tokenizer_to_gguf(model); }) ==
            "tokenizer.unsupported");
      continue;
    }
    GgufMetadata metadata;
    REQUIRE_NOTHROW(metadata = tokenizer_to_gguf(model));
    auto made =
        Tokenizer::from_json(tokenizer_json_from_gguf(metadata, name), name);
    for (const char* text : {"Hello, world! 123  4\n", "it's a\tcaf\xC3\xA9"}) {
      CHECK(made.encode(text) == original.encode(text));
    }
    ++checked;
  }
  CHECK(checked >= 5);
}
