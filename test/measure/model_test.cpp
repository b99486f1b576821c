// Perplexity of a real model against transformers' figure.

#include <cmath>
#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/measure/perplexity.h"
#include "assay/measure/text_sample.h"

using namespace assay;
namespace fs = std::filesystem;

TEST_CASE("perplexity of SmolLM2 is that of transformers within 0.1%") {
  auto golden_folder = fs::path(ASSAY_TEST_DIR) / "golden/smollm2";
  auto golden = parse_json(read_text(golden_folder / "perplexity.json"),
                           "perplexity.json");
  REQUIRE_MESSAGE(fs::exists(ASSAY_MODEL), "./dev test fetches it");
  auto model = arch::load_model(ASSAY_MODEL);
  auto sample = sample_tokens(model,
                              {.text = read_text(golden_folder / "text.txt"),
                               .ids = {},
                               .max_tokens = 0});
  REQUIRE(sample.ids.size() == golden["tokens"].get<size_t>());
  auto result =
      perplexity(model, sample.ids, {.window = golden["window"].get<int>()});
  double expected = golden["perplexity"].get<double>();
  MESSAGE("perplexity ",
          result.perplexity,
          ", transformers ",
          expected,
          ", ",
          result.seconds,
          " s");
  CHECK(result.predicted == golden["predicted_tokens"].get<uint64_t>());
  CHECK(std::abs(result.perplexity / expected - 1) < 1e-3);
}
