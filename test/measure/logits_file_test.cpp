// Logits go to a file and come back; files of others are read; what is no such
// file is refused.

#include "assay/measure/logits_file.h"

#include <doctest/doctest.h>

#include "assay/core/finding.h"
#include "assay/measure/compare.h"
#include "assay/measure/divergence.h"

#include "models.h"

using namespace assay;
namespace mx = mlx::core;

namespace {

const std::vector<int32_t> kIds = {3, 1, 4, 1, 5, 9, 2, 6};

SampleOptions ids() {
  return {.text = {}, .ids = kIds, .max_tokens = 0};
}

std::string refusal(const test::fs::path& path) {
  try {
    read_logits(path);
  } catch (const Error& error) {
    return error.finding().id;
  }
  return "read";
}

}  // namespace

TEST_CASE("logits written are the model's") {
  auto file = test::fresh_folder("logits-written") / "logits.safetensors";
  auto report = write_logits(test::golden_model("qwen3"), ids(), file);
  CHECK(report.bytes == test::fs::file_size(file));
  REQUIRE(is_logits_file(file));
  auto read = read_logits(file);
  CHECK(read.tokens == kIds);
  auto model = arch::load_model(test::golden_model("qwen3"));
  auto expected = arch::logits(model.model(), kIds);
  CHECK(divergence(expected, read.logits).max_abs <= 1e-5);
  // Another reader sees the same.
  auto other = mx::load_safetensors(file.string());
  CHECK(mx::array_equal(other.first.at("logits"), read.logits).item<bool>());
  CHECK(other.second.at("format") == "assay-logits");
}

TEST_CASE("compare holds a model against logits of transformers") {
  auto model = test::golden_model("qwen3");
  auto golden =
      mx::load_safetensors((model / "golden.safetensors").string()).first;
  auto file = test::fresh_folder("logits-golden") / "golden.safetensors";
  test::save(
      file,
      {{"logits", golden.at("logits")}, {"tokens", golden.at("input_ids")}});
  for (bool model_first : {true, false}) {
    auto report = model_first ? compare(model, file) : compare(file, model);
    REQUIRE(report.logits);
    CHECK(report.logits->divergence.max_abs <= 1e-4);
    CHECK(report.logits->divergence.top1_agreement == 1);
    CHECK(report.equal());
  }
}

TEST_CASE("two files of logits must belong to the same tokens") {
  auto folder = test::fresh_folder("logits-two");
  auto a = folder / "a.safetensors";
  auto b = folder / "b.safetensors";
  auto other = ids();
  other.ids[2] = 7;
  write_logits(test::golden_model("llama"), ids(), a);
  write_logits(test::golden_model("llama"), other, b);
  CHECK(compare(a, a).equal());
  try {
    compare(a, b);
    FAIL("compared logits of different tokens");
  } catch (const Error& error) {
    CHECK(error.finding().id == "measure.other-tokens");
  }
}

TEST_CASE("half-precision logits of others are read") {
  auto file = test::fresh_folder("logits-half") / "half.safetensors";
  auto logits = mx::array({0.5f, -2.0f, 1.25f, 3.0f}, {2, 2});
  for (auto dtype : {mx::float16, mx::bfloat16}) {
    test::save(file,
               {{"logits", mx::astype(logits, dtype)},
                {"tokens", mx::array({1, 0}, {2}, mx::int64)}});
    auto read = read_logits(file);
    CHECK(mx::array_equal(read.logits, logits).item<bool>());
    CHECK(read.tokens == std::vector<int32_t>{1, 0});
  }
}

TEST_CASE("what is no file of logits is refused") {
  auto file = test::fresh_folder("logits-bad") / "bad.safetensors";
  auto write = [&](test::Tensors tensors) {
    test::save(file, std::move(tensors));
    return refusal(file);
  };
  auto logits = mx::zeros({3, 5});
  auto tokens = mx::zeros({3}, mx::int32);
  CHECK(write({{"logits", logits}}) == "measure.logits-file");
  CHECK(write({{"logits", mx::zeros({15})}, {"tokens", tokens}}) ==
        "measure.logits-file");
  CHECK(write({{"logits", logits}, {"tokens", mx::zeros({4}, mx::int32)}}) ==
        "measure.logits-file");
  CHECK(write({{"logits", mx::zeros({3, 5}, mx::int32)}, {"tokens", tokens}}) ==
        "measure.logits-file");
  CHECK(write({{"logits", logits}, {"tokens", mx::zeros({3})}}) ==
        "measure.logits-file");
  CHECK(write({{"logits", logits},
               {"tokens", mx::array({1, -1, 2}, {3}, mx::int64)}}) ==
        "measure.logits-file");
  CHECK(write({{"logits", logits}, {"tokens", tokens}}) == "read");
}
