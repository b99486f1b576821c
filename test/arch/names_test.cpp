// What tensors are called in Hugging Face files where a tree's names differ.

#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/arch/architecture.h"
#include "assay/core/file.h"

using namespace assay;

TEST_CASE("GPT-2: a head of its own stands beside \"transformer.\"") {
  auto config = parse_json(read_text(std::filesystem::path(ASSAY_TEST_DIR) /
                                     "golden/arch/gpt2/config.json"),
                           "config.json");
  auto tied = arch::build_tree(config, "config.json");
  CHECK(tied.parameters.front().hf.front().names.front() ==
        "transformer.wte.weight");
  CHECK(tied.parameters.back().name == "model.ln_f.bias");
  config["tie_word_embeddings"] = false;
  auto untied = arch::build_tree(config, "config.json");
  CHECK(untied.parameters.back().name == "lm_head.weight");
  for (const auto& source : untied.parameters.back().hf) {
    CHECK(source.names.front() == "lm_head.weight");
  }
}
