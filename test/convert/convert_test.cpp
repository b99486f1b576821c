// What convert promises of an MLX folder: the same values and logits as the
// source, the layout that mlx-lm reads, and a destination that is whole or not
// there.

#include <array>
#include <chrono>
#include <csignal>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "assay/formats/affine.h"
#include "assay/formats/ggml.h"
#include "assay/formats/quantization_config.h"
#include "assay/nn/recipes.h"

#include "../sanitized.h"
#include "golden.h"

using namespace assay;
using namespace assay::test;

namespace {

ConvertOptions quietly(int bits = 0, int group = 0) {
  ConvertOptions options;
  options.bits = bits;
  options.group_size = group;
  options.verify = false;
  return options;
}

// Starts the conversion in a process of its own.
pid_t start_tool(const std::vector<std::string>& arguments) {
  pid_t child = fork();
  if (child == 0) {
    std::vector<char*> argv;
    static const std::string tool = CONVERT_TOOL;
    argv.push_back(const_cast<char*>(tool.c_str()));
    for (const auto& argument : arguments) {
      argv.push_back(const_cast<char*>(argument.c_str()));
    }
    argv.push_back(nullptr);
    FILE* quiet = std::freopen("/dev/null", "w", stdout);
    (void)quiet;
    execv(argv[0], argv.data());
    _exit(127);
  }
  return child;
}

// The report of a conversion in a process of its own.
Json run_tool(const fs::path& source,
              const fs::path& to,
              const std::string& options) {
  auto command = fmt::format(
      "{} '{}' '{}' '{}'", CONVERT_TOOL, source.string(), to.string(), options);
  FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::string text;
  std::array<char, 4096> buffer{};
  for (size_t n = 0; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    text.append(buffer.data(), n);
  }
  REQUIRE(pclose(pipe) == 0);
  return parse_json(text, "report");
}

bool looks_like_a_model(const fs::path& folder) {
  try {
    return !arch::config_of(open_model(folder)).is_null();
  } catch (const Error&) {
    return false;
  }
}

}  // namespace

TEST_CASE("every architecture keeps its logits from a Hugging Face folder") {
  TemporaryFolder temporary("hf-to-mlx");
  for (const auto& folder : golden_models()) {
    CAPTURE(folder.filename().string());
    auto to = temporary / folder.filename().string();
    auto report = convert(folder, to, quietly());
    CHECK(report.changed.empty());
    CHECK(report.exact == report.tensors);
    CHECK(logits_error(to, folder / "golden.safetensors") <= 1e-4f);
    CHECK(same_values(folder, to));
  }
}

TEST_CASE("readers that go by a window pattern find that of layer_types") {
  TemporaryFolder temporary("window-pattern");
  auto converted = [&](const char* name,
                       const std::vector<const char*>& types) {
    auto from = temporary / (std::string(name) + "-source");
    fs::copy(kGolden / "arch/gemma3_text-rope-linear", from);
    auto config = parse_json(read_text(from / "config.json"), "config.json");
    config["layer_types"] = types;
    write_text(from / "config.json", config.dump());
    return convert(from, temporary / name, quietly());
  };
  auto pattern = [&](const char* name) {
    return parse_json(read_text(temporary / name / "config.json"), name)
        .at("sliding_window_pattern");
  };
  constexpr const char* kFull = "full_attention";
  constexpr const char* kSliding = "sliding_attention";
  // The config says 6 in a field that only counts without layer_types.
  CHECK(converted("third", {kSliding, kSliding, kFull}).findings.empty());
  CHECK(pattern("third") == 3);
  CHECK(converted("second", {kSliding, kFull, kSliding}).findings.empty());
  CHECK(pattern("second") == 2);
  // Nothing says that the first layer alone attends to all.
  auto none = converted("first", {kFull, kSliding, kSliding});
  REQUIRE(none.findings.size() == 1);
  CHECK(none.findings[0].id == "convert.no-window-pattern");
  CHECK(pattern("first") == 6);
}

TEST_CASE("every GGUF keeps its logits") {
  TemporaryFolder temporary("gguf-to-mlx");
  for (const auto& folder : golden_models()) {
    auto file = folder / "model.gguf";
    if (!fs::exists(file)) {
      continue;
    }
    CAPTURE(folder.filename().string());
    bool differs = fs::exists(folder / "golden.gguf.safetensors");
    auto golden =
        folder / (differs ? "golden.gguf.safetensors" : "golden.safetensors");
    auto to = temporary / folder.filename().string();
    auto report = convert(file, to, quietly());
    CHECK(report.changed.empty());
    CHECK(logits_error(to, golden) <= 1e-4f);
  }
}

TEST_CASE("an MLX folder converted again is the same, byte for byte") {
  TemporaryFolder temporary("again");
  for (const char* name : {"llama", "gpt_oss-mxfp4", "deepseek_v3"}) {
    CAPTURE(name);
    auto first = temporary / (std::string(name) + "-1");
    auto second = temporary / (std::string(name) + "-2");
    auto options = quietly(4, 32);
    convert(kGolden / "arch" / name, first, options);
    convert(first, second, quietly());
    bool same_tensors = tensors_of(first) == tensors_of(second);
    CHECK(same_tensors);
    bool same_config =
        read_text(first / "config.json") == read_text(second / "config.json");
    CHECK(same_config);
  }
}

TEST_CASE("quantized tensors are those of mlx.core.quantize") {
  TemporaryFolder temporary("quantize");
  struct Case {
    const char* mode;
    int bits, group;
  };
  for (const auto& c : {Case{"affine", 4, 32},
                        Case{"affine", 8, 64},
                        Case{"affine", 3, 64},
                        Case{"mxfp4", 4, 32},
                        Case{"mxfp8", 8, 32},
                        Case{"nvfp4", 4, 16}}) {
    CAPTURE(c.mode);
    CAPTURE(c.bits);
    auto to = temporary / fmt::format("{}-{}", c.mode, c.bits);
    auto options = quietly(c.bits, c.group);
    options.mode = c.mode;
    auto report = convert(kLlama, to, options);
    CHECK(report.quantization == Quantization{c.group, c.bits, c.mode});
    auto source = mx::load_safetensors(kLlama / "model.safetensors").first;
    auto result = mx::load_safetensors(to / "model.safetensors").first;
    int compared = 0;
    for (const auto& [name, weight] : source) {
      auto path = name.substr(0, name.rfind('.'));
      if (!result.contains(path + ".scales")) {
        continue;
      }
      auto expected = mx::quantize(weight, c.group, c.bits, c.mode);
      CHECK(mx::array_equal(expected[0], result.at(name)).item<bool>());
      CHECK(mx::array_equal(expected[1], result.at(path + ".scales"))
                .item<bool>());
      if (expected.size() > 2) {
        CHECK(mx::array_equal(expected[2], result.at(path + ".biases"))
                  .item<bool>());
      }
      ++compared;
    }
    CHECK(compared == static_cast<int>(report.quantized));
    CHECK(compared > 0);
    // Each is named with an error of the size that its bits allow.
    CHECK(report.changed.size() == report.quantized);
    for (const auto& tensor : report.changed) {
      CHECK(tensor.rms_relative > 0);
      CHECK(tensor.rms_relative < 0.3);
    }
  }
}

TEST_CASE("a width that the group size does not divide is reported") {
  TemporaryFolder temporary("width");
  // Hidden size 32 in qwen2: groups of 64 fit only some layers.
  auto report =
      convert(kGolden / "arch/qwen2", temporary / "to", quietly(4, 64));
  auto found =
      std::ranges::count(report.findings, "quantize.group-size", &Finding::id);
  CHECK(found > 0);
  CHECK(report.quantized + static_cast<uint64_t>(found) > report.quantized);
  CHECK(logits_error(temporary / "to",
                     kGolden / "arch/qwen2/golden.safetensors") < 10);
}

TEST_CASE("recipes give single modules more bits, and config.json says so") {
  TemporaryFolder temporary("recipe");
  auto options = quietly();
  options.recipe = "mixed_3_6";
  options.group_size = 32;
  auto report = convert(kLlama, temporary / "to", options);
  auto config = open_model(temporary / "to").config;
  auto block = quantization_config(config, "").value();
  CHECK(block.standard == Quantization{32, 3, "affine"});
  CHECK(!block.modules.empty());
  for (const auto& [path, q] : block.modules) {
    CAPTURE(path);
    CHECK(q->bits == 6);
  }
  CHECK(config.at("quantization") == config.at("quantization_config"));
  CHECK(error_id([&] {
          options.recipe = "mixed_9_9";
          convert(kLlama, temporary / "other", options);
        }) == "convert.option");
}

TEST_CASE("shards are as large as asked, and the index names every tensor") {
  TemporaryFolder temporary("shards");
  auto options = quietly();
  options.max_shard_bytes = 40 << 10;
  auto report = convert(kLlama, temporary / "to", options);
  CHECK(report.files > 1);
  auto model = open_model(temporary / "to");
  CHECK(model.findings.empty());
  CHECK(static_cast<int>(model.files.size()) == report.files);
  auto index = parse_json(
      read_text(temporary / "to" / "model.safetensors.index.json"), "index");
  CHECK(index.at("metadata").at("total_size") == report.bytes);
  CHECK(index.at("metadata").at("total_parameters") == report.parameters);
  CHECK(index.at("weight_map").size() == model.tensors.size());
  CHECK(model.safetensors_metadata.at("format") == "mlx");
  CHECK(same_values(kLlama, temporary / "to"));
}

TEST_CASE("a type asked for is the type written, and its error is told") {
  TemporaryFolder temporary("dtype");
  auto options = quietly();
  options.dtype = "bfloat16";
  auto report = convert(kLlama, temporary / "to", options);
  auto written = open_model(temporary / "to");
  CHECK(written.config.at("dtype") == "bfloat16");  // transformers 5, and 4
  CHECK(written.config.at("torch_dtype") == "bfloat16");
  for (const auto& tensor : written.tensors) {
    CHECK(tensor.dtype == DType::bf16);
  }
  CHECK(!report.changed.empty());
  for (const auto& tensor : report.changed) {
    CHECK(tensor.rms_relative < 1.0 / 256);  // 8 bits of mantissa
  }
  options.dtype = "float8";
  CHECK(error_id([&] { convert(kLlama, temporary / "x", options); }) ==
        "convert.option");
}

TEST_CASE("verification measures the drift of logits") {
  TemporaryFolder temporary("verify");
  auto exact = convert(kLlama, temporary / "exact", {});
  REQUIRE(exact.drift.has_value());
  CHECK(exact.drift->max_abs == 0);
  CHECK(exact.drift->top1_agreement == 1);
  ConvertOptions options;
  options.bits = 2;
  options.group_size = 32;
  auto coarse = convert(kLlama, temporary / "coarse", options);
  CHECK(coarse.drift->max_abs > 0.01);
  CHECK(coarse.drift->kl > exact.drift->kl);
  CHECK(to_json(coarse).at("drift").at("tokens").get<int>() > 0);
}

TEST_CASE("a destination is refused where it would touch the source") {
  TemporaryFolder temporary("apart");
  auto source = temporary / "source";
  fs::copy(kLlama, source, fs::copy_options::recursive);
  auto before = files_below(source);
  auto force = quietly();
  force.force = true;
  auto refused = [&](const fs::path& to) {
    return error_id([&] { convert(source, to, force); });
  };
  CHECK(refused(source) == "convert.destination");
  CHECK(refused(source / "inside") == "convert.destination");
  CHECK(refused(temporary.path()) == "convert.destination");
  CHECK(refused(source / ".." / "source") == "convert.destination");
  fs::create_directory_symlink(source, temporary / "link");
  CHECK(refused(temporary / "link") == "convert.destination");
  CHECK(refused((temporary / "link") / "inside") == "convert.destination");
  bool untouched = files_below(source) == before;
  CHECK(untouched);
  fs::create_directory(temporary / "there");
  CHECK(error_id([&] { convert(source, temporary / "there", quietly()); }) ==
        "file.exists");
  write_text((temporary / "there") / "kept.txt", "old");
  convert(source, temporary / "there", force);
  CHECK(!fs::exists((temporary / "there") / "kept.txt"));
  CHECK(same_values(source, temporary / "there"));
}

TEST_CASE("a source that cannot be read leaves no destination") {
  TemporaryFolder temporary("broken");
  auto source = temporary / "source";
  fs::copy(kLlama, source, fs::copy_options::recursive);
  auto config = read_text(source / "config.json");
  auto at = config.find("\"intermediate_size\": ");
  REQUIRE(at != std::string::npos);
  config.insert(at + 21, "9");
  write_text(source / "config.json", config);
  CHECK(error_id([&] { convert(source, temporary / "to", quietly()); }) ==
        "shape.mismatch");
  CHECK(std::distance(fs::directory_iterator(temporary.path()), {}) == 1);
}

TEST_CASE("a killed conversion leaves nothing that looks finished") {
  TemporaryFolder temporary("killed");
  auto to = temporary / "to";
  const fs::path source = ASSAY_MODEL;
  if (!fs::exists(source)) {
    MESSAGE("the real model is not here: nothing large enough to interrupt");
    return;
  }
  convert(kLlama, to, quietly());
  auto earlier = files_below(to);
  auto source_time = fs::last_write_time(source);
  for (int milliseconds : {20, 60, 100, 150}) {
    pid_t child = start_tool({source.string(),
                              to.string(),
                              R"({"force": true, "verify": false,
                                  "bits": 6})"});
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
    kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    REQUIRE(WIFSIGNALED(status));
    bool untouched = files_below(to) == earlier;
    CHECK(untouched);
    for (const auto& entry : fs::directory_iterator(temporary.path())) {
      if (entry.path() != to) {
        CHECK_FALSE(looks_like_a_model(entry.path()));
      }
    }
  }
  CHECK(fs::last_write_time(source) == source_time);
}

TEST_CASE("SmolLM2's blocks become MLX weights bit by bit") {
  const fs::path source = ASSAY_MODEL;
  if (!fs::exists(source)) {
    MESSAGE("the real model is not here");
    return;
  }
  TemporaryFolder temporary("smollm2");
  auto report = convert(source, temporary / "to", quietly());
  CHECK(report.quantization == Quantization{32, 4, "affine"});
  auto gguf = open_model(source);
  auto data = TensorData(gguf);
  auto tree = arch::build_tree(gguf);
  auto result = arch::load_model(temporary / "to");
  size_t compared = 0;
  for (size_t i = 0; i < tree.parameters.size(); ++i) {
    const auto& spec = tree.parameters[i];
    CAPTURE(spec.name);
    const auto* tensor = gguf.find(spec.gguf.front().names.front());
    REQUIRE(tensor != nullptr);
    const auto& value = result.tree.parameters[i].parameter->value;
    auto got = value->scales ? kernels::dequantize(*value)
                             : mx::astype(value->data, mx::float32);
    // ggml's values in ggml's order of rows.
    auto expected = mx::zeros(got.shape(), mx::float32);
    mx::eval(expected);
    ggml::dequantize(tensor->dtype,
                     data.bytes(*tensor),
                     {expected.data<float>(), expected.size()});
    if (!spec.gguf.front().steps.empty()) {
      int heads = spec.gguf.front().steps.front().count;
      int half = got.shape(0) / heads / 2;
      expected = mx::reshape(
          mx::swapaxes(
              mx::reshape(expected, {heads, half, 2, got.shape(1)}), 1, 2),
          got.shape());
    }
    bool named =
        std::ranges::find(report.changed, spec.name, &ConvertedTensor::name) !=
        report.changed.end();
    CHECK(mx::array_equal(got, expected).item<bool>() == !named);
    compared += value->scales.has_value() ? 1 : 0;
  }
  CHECK(compared == report.quantized);
  CHECK(compared > 200);
}

TEST_CASE("memory stays below 300 MiB and the largest tensor") {
  const fs::path source = ASSAY_MODEL;
  if (!fs::exists(source)) {
    MESSAGE("the real model is not here");
    return;
  }
  TemporaryFolder temporary("memory");
  uint64_t largest = 0;
  for (const auto& tensor : open_model(source).tensors) {
    largest = std::max(largest, tensor.bytes);
  }
  uint64_t limit = (uint64_t{300} << 20) + largest;
  int number = 0;
  for (const char* options : {R"({"verify": false})",
                              R"({"verify": false, "bits": 4})",
                              R"({"verify": false, "to": "gguf"})",
                              R"({"verify": false, "to": "hf"})"}) {
    CAPTURE(options);
    auto to = temporary / fmt::format("{}", number++);
    auto report = run_tool(source, to, options);
    if (!testing::kSanitized) {
      CHECK(report.at("peak_bytes").get<uint64_t>() < limit);
    }
  }
}
