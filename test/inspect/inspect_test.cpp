// What inspect says of the tiny golden models is what the scripts that made
// them asked for; sizes are those of the tensors, not of the config.

#include "assay/inspect/inspect.h"

#include <algorithm>
#include <chrono>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/inspect/declared.h"

#include "../sanitized.h"
#include "model_copy.h"

using namespace assay;
using assay::testing::ModelCopy;
namespace fs = std::filesystem;

namespace {

fs::path golden(const std::string& name) {
  return fs::path(ASSAY_TEST_DIR) / "golden/arch" / name;
}

bool has(const std::vector<Finding>& findings, std::string_view id) {
  return std::ranges::any_of(
      findings, [&](const auto& finding) { return finding.id == id; });
}

uint64_t sum(const std::vector<Share>& shares, uint64_t Share::* member) {
  uint64_t total = 0;
  for (const auto& share : shares) {
    total += share.*member;
  }
  return total;
}

}  // namespace

TEST_CASE("a llama folder: identity, sizes, roles, storage") {
  ModelCopy copy("llama");
  auto report = inspect_path(copy.path);
  CHECK(report.architecture == "llama");
  CHECK(report.class_name == "LlamaForCausalLM");
  CHECK(report.container == "safetensors");
  CHECK(report.has_tree);
  CHECK(!report.tied_embeddings);
  REQUIRE(report.files.size() == 1);
  CHECK(report.bytes == fs::file_size(copy.path / "model.safetensors"));

  CHECK(report.sizes.layers == 2);
  CHECK(report.sizes.hidden == 64);
  CHECK(report.sizes.intermediate == 96);
  CHECK(report.sizes.heads == 4);
  CHECK(report.sizes.kv_heads == 2);
  CHECK(report.sizes.head_dim == 16);
  CHECK(report.sizes.vocabulary == 256);
  CHECK(report.sizes.context == 128);
  CHECK(!report.sizes.experts);
  CHECK(!report.sizes.sliding_window);
  CHECK(report.rope["rope_theta"] == 5000.0);

  // 2 embeddings, q and o, k and v, three MLP matrices, norms.
  uint64_t expected = 2 * 256 * 64 +
                      2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64 + 2 * 64) +
                      64;
  CHECK(report.parameters == expected);
  CHECK(report.active_parameters == expected);
  CHECK(sum(report.roles, &Share::parameters) == expected);
  CHECK(sum(report.stored, &Share::bytes) == 4 * expected);
  CHECK(report.bits_per_weight == 32.0);
  CHECK(report.quantization == "");
  CHECK(!report.tokenizer.present);
  CHECK(report.unusual.empty());
}

TEST_CASE("every golden model, in each format, is accounted for") {
  for (const auto& entry : fs::directory_iterator(golden(""))) {
    CAPTURE(entry.path().filename().string());
    auto folder = inspect_path(entry.path());
    CHECK(folder.has_tree);
    CHECK(!has_errors(folder.unusual));
    CHECK(!has(folder.unusual, "tensor.unexpected"));
    if (fs::exists(entry.path() / "model.gguf")) {
      auto file = inspect_path(entry.path() / "model.gguf");
      CHECK(file.has_tree);
      // llama.cpp knows Mistral as a llama.
      CHECK((file.architecture == folder.architecture ||
             folder.architecture == "mistral"));
      CHECK(file.parameters == folder.parameters);
      CHECK(file.active_parameters == folder.active_parameters);
      CHECK(file.sizes.hidden == folder.sizes.hidden);
      CHECK(file.sizes.vocabulary == folder.sizes.vocabulary);
      CHECK(file.sizes.layers == folder.sizes.layers);
      CHECK(file.sizes.experts == folder.sizes.experts);
      CHECK(file.sizes.intermediate == folder.sizes.intermediate);
      CHECK(!has_errors(file.unusual));
    }
  }
}

TEST_CASE("experts: those not chosen for a token are not active") {
  auto report = inspect_path(golden("mixtral"));
  CHECK(report.sizes.experts == 3);
  REQUIRE(report.sizes.experts_per_token == 2);
  auto experts = std::ranges::find(report.roles, "expert", &Share::name);
  REQUIRE(experts != report.roles.end());
  CHECK(report.active_parameters ==
        report.parameters - experts->parameters / 3);
}

TEST_CASE("sliding windows are counted by layer") {
  auto report = inspect_path(golden("gpt_oss"));
  CHECK(report.sizes.sliding_window == 8);
  CHECK(report.sizes.sliding_layers == 1);
}

TEST_CASE("MXFP4 experts: four bits and an eighth of a byte a weight") {
  auto report = inspect_path(golden("gpt_oss-mxfp4"));
  auto mxfp4 = std::ranges::find(report.stored, "mxfp4", &Share::name);
  REQUIRE(mxfp4 != report.stored.end());
  CHECK(mxfp4->bits_per_weight == doctest::Approx(4.25));
  auto file = inspect_path(golden("gpt_oss-mxfp4") / "model.gguf");
  auto blocks = std::ranges::find(file.stored, "MXFP4", &Share::name);
  REQUIRE(blocks != file.stored.end());
  CHECK(blocks->parameters == mxfp4->parameters);
  CHECK(blocks->bytes == mxfp4->bytes);
}

TEST_CASE("where config and tensors differ, the tensors count") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& config) { config["vocab_size"] = 300; });
  auto report = inspect_path(copy.path);
  CHECK(report.sizes.vocabulary == 256);
  CHECK(has(report.unusual, "shape.mismatch"));
}

TEST_CASE("missing and unexpected tensors are marked") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& config) { config["num_hidden_layers"] = 3; });
  auto deeper = inspect_path(copy.path);
  CHECK(deeper.sizes.layers == 2);
  CHECK(has(deeper.unusual, "tensor.missing"));
  copy.edit_config([](Json& config) { config["num_hidden_layers"] = 1; });
  CHECK(has(inspect_path(copy.path).unusual, "tensor.unexpected"));
}

TEST_CASE("an unknown architecture: counted by type, nothing guessed") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& config) { config["model_type"] = "llama9"; });
  auto report = inspect_path(copy.path);
  CHECK(report.architecture == "llama9");
  CHECK(!report.has_tree);
  CHECK(report.roles.empty());
  CHECK(report.parameters == 94528);
  CHECK(report.stored.size() == 1);
  CHECK(report.sizes.hidden == 64);
  REQUIRE(has(report.unusual, "arch.unsupported"));
  CHECK(!has_errors(report.unusual));
}

TEST_CASE("a file of weights by itself") {
  auto report = inspect_path(golden("llama") / "model.safetensors");
  CHECK(!report.has_tree);
  CHECK(report.architecture == "");
  CHECK(report.parameters == 94528);
  CHECK(!report.sizes.hidden);
  CHECK(!has_errors(report.unusual));
}

TEST_CASE("a field that the numbers depend on is named when it is absent") {
  ModelCopy copy("llama");
  copy.edit_config([](Json& config) { config.erase("rms_norm_eps"); });
  auto report = inspect_path(copy.path);
  CHECK(!report.has_tree);
  CHECK(has(report.unusual, "config.missing-field"));
  CHECK(report.parameters == 94528);
}

TEST_CASE("tokenizer.json: type, sizes and special tokens") {
  ModelCopy copy("llama");
  copy.add_tokenizer(250);
  auto tokenizer = inspect_path(copy.path).tokenizer;
  CHECK(tokenizer.present);
  CHECK(tokenizer.type == "WordLevel");
  CHECK(tokenizer.kind == "PreTrainedTokenizerFast");
  CHECK(tokenizer.vocabulary == 250);
  CHECK(tokenizer.entries == 250);
  CHECK(tokenizer.added == 3);
  CHECK(!tokenizer.chat_template);
  auto eos = std::ranges::find(
      tokenizer.special, "eos", &TokenizerSummary::Special::name);
  REQUIRE(eos != tokenizer.special.end());
  CHECK(eos->text == "<s0>");
  CHECK(eos->id == 247);
}

TEST_CASE("a tokenizer.json cut short is a finding") {
  ModelCopy copy("llama");
  copy.add_tokenizer(250);
  auto text = read_text(copy.path / "tokenizer.json");
  copy.write("tokenizer.json", text.substr(0, text.size() / 2));
  CHECK(has(inspect_path(copy.path).unusual, "tokenizer.malformed"));
}

TEST_CASE("the tokenizer of a GGUF is that of the tokenizer.json beside it") {
  for (std::string name : {"llama3", "gemma", "smollm", "t5"}) {
    CAPTURE(name);
    auto folder = fs::path(ASSAY_TEST_DIR) / "golden/tokenizer" / name;
    std::vector<Finding> findings;
    auto gguf = open_model(folder / "tokenizer.gguf");
    ModelFiles files;
    files.tokenizer_json = folder / "tokenizer.json";
    auto ours = summarize_tokenizer(gguf, Json(), findings);
    auto theirs = summarize_tokenizer(files, Json(), findings);
    CHECK(findings.empty());
    CHECK(ours.type == theirs.type);
    CHECK(ours.vocabulary == theirs.vocabulary);
  }
}

TEST_CASE("findings that repeat are shortened, and say how many there are") {
  std::vector<Finding> many;
  for (int i = 0; i < 9; ++i) {
    many.push_back(make_finding("tensor.missing", "t", "e", "a"));
  }
  many.push_back(make_finding("shape.mismatch", "t", "e", "a"));
  auto few = shorten(many, 3);
  REQUIRE(few.size() == 5);
  CHECK(few[3].where == "6 more");
  CHECK(few[4].id == "shape.mismatch");
}

TEST_CASE("the layer of a name is its first number") {
  CHECK(layer_of("model.layers.12.mlp.experts.3.w") == 12);
  CHECK(layer_of("blk.0") == 0);
  CHECK(!layer_of("model.norm.weight"));
  CHECK(!layer_of("v_1.w2x"));
}

TEST_CASE("the answer comes in milliseconds") {
  auto start = std::chrono::steady_clock::now();
  inspect_path(golden("deepseek_v3"));
  std::chrono::duration<double> spent =
      std::chrono::steady_clock::now() - start;
  if (!testing::kSanitized) {
    CHECK(spent.count() < 0.1);
  }
  if (fs::exists(ASSAY_MODEL)) {
    start = std::chrono::steady_clock::now();
    auto report = inspect_path(ASSAY_MODEL);
    spent = std::chrono::steady_clock::now() - start;
    MESSAGE("SmolLM2-135M: " << spent.count() * 1000 << " ms");
    CHECK(report.parameters == 134515008);
    CHECK(report.tokenizer.vocabulary == 49152);
    CHECK(report.bits_per_weight > 5.0);
    CHECK(report.bits_per_weight < 6.0);
    CHECK(report.tokenizer.chat_template);
    if (!testing::kSanitized) {
      CHECK(spent.count() < 0.1);
    }
  }
}
