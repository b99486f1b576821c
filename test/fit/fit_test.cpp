// The estimate is held to sums done by hand, to the memory that MLX counts
// when it evaluates the same graph, and to a real run.

#include "assay/fit/fit.h"

#include <algorithm>
#include <cstdio>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <mlx/mlx.h>

#include "assay/fit/graph_memory.h"

#include "../inspect/model_copy.h"
#include "../sanitized.h"

using namespace assay;
using assay::testing::ModelCopy;
namespace fs = std::filesystem;
namespace mx = mlx::core;

namespace {

fs::path golden(const std::string& name) {
  return fs::path(ASSAY_TEST_DIR) / "golden/arch" / name;
}

// What MLX itself counts while it computes.
uint64_t counted_peak(const mx::array& output) {
  mx::synchronize();
  mx::reset_peak_memory();
  auto before = mx::get_active_memory();
  mx::eval(output);
  mx::synchronize();
  return mx::get_peak_memory() - before;
}

constexpr int kMiB = 1 << 20;

}  // namespace

TEST_CASE("weights as stored are the tensors of the file") {
  ModelCopy copy("llama");
  auto report = fit(copy.path, {.context = 128});
  CHECK(report.need.weights == 4 * 94528);
  CHECK(report.bits_per_weight == 32);
  CHECK(report.architecture == "llama");
}

TEST_CASE("weights in other bits: packed values, scales and biases") {
  ModelCopy copy("llama");
  // 94208 values in matrices, 320 in norms.
  auto four = fit(copy.path, {.context = 128, .bits = 4, .group_size = 32});
  CHECK(four.need.weights == 94208 / 2 + 94208 / 32 * 4 + 320 * 4);
  auto half = fit(copy.path, {.context = 128, .bits = 16});
  CHECK(half.need.weights == 94208 * 2 + 320 * 4);
  // In groups of 64 the rows of 96 stay as they are: two of [64, 96].
  auto wide = fit(copy.path, {.context = 128, .bits = 4, .group_size = 64});
  uint64_t odd = 2 * 64 * 96, even = 94208 - odd;
  CHECK(wide.need.weights == even / 2 + even / 64 * 4 + odd * 2 + 320 * 4);
}

TEST_CASE("a recipe decides for each parameter") {
  ModelCopy copy("llama");
  FitOptions options{.context = 128};
  options.recipe = [](const nn::ParameterSpec& spec) {
    return spec.role() == nn::Role::mlp
               ? std::optional(Quantization{32, 8, "affine"})
               : std::nullopt;
  };
  uint64_t mlp = 2 * 3 * 64 * 96, rest = 94208 - mlp;
  CHECK(fit(copy.path, options).need.weights ==
        mlp + mlp / 32 * 4 + rest * 2 + 320 * 4);
}

TEST_CASE("blocks count as what MLX holds of them") {
  nn::Parameter parameter{.shape = {32, 256}, .quantizable = true};
  nn::ParameterSpec spec{"w", &parameter, {}, {}};
  auto bytes = [&](DType dtype) {
    TensorInfo tensor{"w", dtype, {32, 256}, 0, 0, 0};
    nn::Location location;
    location.dialect = nn::Dialect::gguf;
    location.tensors = {&tensor};
    return loaded_bytes(spec, location);
  };
  CHECK(bytes(DType::q4_0) == 8192 / 2 + 8192 / 32 * 4);  // float16 scales
  CHECK(bytes(DType::q8_0) == 8192 + 8192 / 32 * 4);
  CHECK(bytes(DType::q4_k) == 8192 / 2 + 8192 / 32 * 8);  // float32 scales
  CHECK(bytes(DType::mxfp4) == 8192 / 2 + 8192 / 32);
  CHECK(bytes(DType::q6_k) == 8192 * 4);  // has no exact form
  CHECK(bytes(DType::bf16) == 8192 * 2);
}

TEST_CASE("the KV cache: layers, heads, widths, positions, batch") {
  ModelCopy copy("llama");
  // 2 layers of 2 heads with keys and values of 16, in steps of 256 positions.
  uint64_t position = 2 * 2 * 32 * 4;
  auto one = fit(copy.path, {.context = 100});
  CHECK(one.kv_bytes_per_token == position);
  CHECK(one.need.kv_cache == 256 * position);
  auto more = fit(copy.path, {.context = 300, .batch = 3});
  CHECK(more.need.kv_cache == 3 * 512 * position);
  CHECK(more.need.activations > one.need.activations);
}

TEST_CASE("sliding windows bound the cache") {
  ModelCopy copy("mistral");
  copy.edit_config([](Json& config) { config["sliding_window"] = 32; });
  auto report = fit(copy.path, {.context = 100000, .prefill_chunk = 32});
  CHECK(report.kv_bytes_per_token == 0);
  auto shorter = fit(copy.path, {.context = 1000, .prefill_chunk = 32});
  CHECK(report.need.kv_cache == shorter.need.kv_cache);
}

TEST_CASE("every architecture has an estimate") {
  for (const auto& entry : fs::directory_iterator(golden(""))) {
    CAPTURE(entry.path().filename().string());
    auto report = fit(entry.path(), {.context = 48, .prefill_chunk = 16});
    CHECK(report.fits);
    CHECK(report.need.activations > 0);
    CHECK(report.largest_context > 0);
  }
}

TEST_CASE("what does not fit is said, with what would") {
  ModelCopy copy("llama");
  int batch = 1 << 20;  // of caches of half a MiB: no machine has this much
  auto report = fit(copy.path, {.context = 1024, .batch = batch});
  CHECK(!report.fits);
  CHECK(!report.fits_now);
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].id == "fit.does-not-fit");
  for (const auto& advice : report.advice) {
    CHECK(advice.total <= report.limit.total);
  }
}

TEST_CASE("a model that cannot be loaded has no size") {
  ModelCopy copy("llama");
  copy.edit_tensors([](auto& tensors) { tensors.erase(tensors.begin()); });
  CHECK_THROWS_AS(fit(copy.path), Error);
}

TEST_CASE("settings that do not exist are refused") {
  ModelCopy copy("llama");
  CHECK_THROWS_AS(fit(copy.path, {.bits = 7}), std::invalid_argument);
  CHECK_THROWS_AS(fit(copy.path, {.batch = 0}), std::invalid_argument);
  CHECK_THROWS_AS(fit(copy.path, {.kv_bits = 4, .kv_group_size = 16}),
                  std::invalid_argument);
}

TEST_CASE("graphs: a chain of elementwise operations reuses one array") {
  auto x = mx::random::uniform({kMiB});
  mx::eval(x);
  auto y = mx::exp(mx::sin(mx::exp(x)));
  auto estimate = graph_peak_bytes({y}, {x.id()}, 0);
  CHECK(estimate == 4 * kMiB);
  CHECK(counted_peak(y) ==
        doctest::Approx(static_cast<double>(estimate)).epsilon(0.01));
}

TEST_CASE("graphs: what is needed later stays") {
  auto x = mx::random::uniform({kMiB});
  mx::eval(x);
  auto a = mx::exp(x);
  auto y = mx::sin(a) + a;
  CHECK(graph_peak_bytes({y}, {x.id()}, 0) == 8 * kMiB);
}

TEST_CASE("graphs: products do not write over their inputs") {
  auto x = mx::random::uniform({1024, 1024});
  mx::eval(x);
  auto a = mx::exp(x);
  auto y = mx::matmul(a, x);
  CHECK(graph_peak_bytes({y}, {x.id()}, 0) == 8 * kMiB);
}

TEST_CASE("graphs: views take nothing") {
  auto x = mx::random::uniform({1024, 1024});
  mx::eval(x);
  auto y = mx::reshape(mx::transpose(mx::slice(x, {0, 0}, {512, 1024})),
                       {2, 512, 512});
  // The reshape of the transposed half copies; the others do not.
  CHECK(graph_peak_bytes({y}, {x.id()}, 0) == 2 * kMiB);
}

TEST_CASE("the estimate is near what a real run takes") {
  if (!fs::exists(ASSAY_MODEL)) {
    return;
  }
  auto result = measure_fit(ASSAY_MODEL, {.context = 512});
  for (const auto& one : result.measurements) {
    MESSAGE(one.what << ": " << one.value << " " << one.unit);
  }
  if (!testing::kSanitized) {
    CHECK(std::abs(result.error) < 0.15);
  }
}

namespace {

struct ToolRun {
  double estimated = 0, measured = 0, error = 0;
};

// In a process of its own: the peak of a resident set is the process's.
ToolRun measured_apart(const std::string& name,
                       const Json& sizes,
                       int context) {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "fit-test" / name;
  fs::remove_all(folder);
  fs::create_directories(folder);
  auto config = parse_json(read_text(golden(name) / "config.json"), name);
  config.update(sizes);
  write_text(folder / "sizes.json", config.dump());
  auto model = (folder / "model").string();
  auto command =
      fmt::format("{0} make {1}/sizes.json {2} && {0} measure {2} {3}",
                  FIT_TOOL,
                  folder.string(),
                  model,
                  context);
  std::FILE* pipe = popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  ToolRun run;
  int read = std::fscanf(
      pipe, "%lf %lf %lf", &run.estimated, &run.measured, &run.error);
  CHECK(read == 3);
  while (std::fgetc(pipe) != EOF) {
  }
  CHECK(pclose(pipe) == 0);
  fs::remove_all(folder);
  return run;
}

}  // namespace

TEST_CASE("the estimate holds for other shapes: grouped heads, experts") {
  struct Case {
    const char* name;
    Json sizes;
  };
  const std::vector<Case> cases = {{"llama",
                                    {{"hidden_size", 512},
                                     {"intermediate_size", 1408},
                                     {"num_hidden_layers", 6},
                                     {"num_attention_heads", 8},
                                     {"num_key_value_heads", 2},
                                     {"head_dim", 64},
                                     {"vocab_size", 32000},
                                     {"max_position_embeddings", 8192}}},
                                   {"mixtral",
                                    {{"hidden_size", 512},
                                     {"intermediate_size", 512},
                                     {"num_hidden_layers", 4},
                                     {"num_attention_heads", 8},
                                     {"num_key_value_heads", 4},
                                     {"num_local_experts", 8},
                                     {"vocab_size", 16000},
                                     {"max_position_embeddings", 8192}}}};
  for (const auto& one : cases) {
    for (int context : {512, 2048}) {
      CAPTURE(one.name);
      CAPTURE(context);
      auto run = measured_apart(one.name, one.sizes, context);
      CAPTURE(run.estimated);
      CAPTURE(run.measured);
      if (!testing::kSanitized) {
        CHECK(std::abs(run.error) < 15);
      }
    }
  }
}
