// Every folder of test/golden/arch holds a tiny seeded model with the logits
// and the greedy continuation that transformers gives in float32. Each is held
// to them in every spelling that it is stored in.

#include <filesystem>
#include <set>

#include <doctest/doctest.h>
#include <mlx/mlx.h>
#include <nlohmann/json.hpp>

#include "assay/arch/architecture.h"
#include "assay/core/file.h"
#include "assay/nn/loader.h"

using namespace assay;
namespace fs = std::filesystem;
namespace mx = mlx::core;

namespace {

constexpr float kTolerance = 1e-4f;

struct Golden {
  mx::array ids, logits, greedy, greedy_logits;
};

Golden read_golden(const fs::path& folder,
                   const char* name = "golden.safetensors") {
  auto tensors = mx::load_safetensors(folder / name).first;
  return {tensors.at("input_ids"),
          tensors.at("logits"),
          tensors.at("greedy"),
          tensors.at("greedy_logits")};
}

float max_error(const mx::array& a, const mx::array& b) {
  return mx::max(mx::abs(a - b)).item<float>();
}

void load(arch::Tree& tree, const ModelFiles& model) {
  auto reader = nn::WeightReader(model, tree.config);
  nn::load_weights(tree.parameters, reader);
}

mx::array batch_of_one(const mx::array& ids) {
  return mx::expand_dims(ids, 0);
}

void check_prompt(const nn::LanguageModel& model, const Golden& golden) {
  auto logits = mx::squeeze(model(batch_of_one(golden.ids)), 0);
  CHECK(logits.shape() == golden.logits.shape());
  CHECK(max_error(logits, golden.logits) <= kTolerance);
}

// The prompt in two pieces, then one token at a time.
void check_decoding(const nn::LanguageModel& model, const Golden& golden) {
  auto caches = model.make_caches();
  auto parts = mx::split(golden.ids, mx::Shape{golden.ids.shape(0) - 5});
  mx::array logits = model(batch_of_one(parts[0]), &caches);
  logits = model(batch_of_one(parts[1]), &caches);
  for (int i = 0; i < golden.greedy.shape(0); ++i) {
    CAPTURE(i);
    auto last = mx::reshape(mx::take(logits, logits.shape(1) - 1, 1), {-1});
    auto expected = mx::take(golden.greedy_logits, i, 0);
    REQUIRE(max_error(last, expected) <= kTolerance);
    auto token = mx::astype(mx::argmax(last), mx::int32);
    REQUIRE(token.item<int>() == mx::take(golden.greedy, i, 0).item<int>());
    logits = model(mx::reshape(token, {1, 1}), &caches);
  }
}

std::vector<fs::path> golden_folders() {
  std::vector<fs::path> folders;
  for (const auto& entry :
       fs::directory_iterator(fs::path(ASSAY_TEST_DIR) / "golden/arch")) {
    folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  return folders;
}

// Frequencies of dynamic NTK follow the length of the whole context, so keys
// that were cached earlier keep older ones: only the same pieces give the same
// logits.
bool depends_on_pieces(const fs::path& folder) {
  return folder.filename() == "llama-rope-dynamic";
}

}  // namespace

TEST_CASE("logits and greedy text equal transformers', config spelling 5") {
  for (const auto& folder : golden_folders()) {
    CAPTURE(folder.filename().string());
    auto golden = read_golden(folder);
    auto model = open_model(folder);
    auto tree = arch::build_tree(model);
    load(tree, model);
    check_prompt(*tree.model, golden);
    if (!depends_on_pieces(folder)) {
      check_decoding(*tree.model, golden);
    }
  }
}

TEST_CASE("config spelling 4 gives the same tree and logits") {
  for (const auto& folder : golden_folders()) {
    CAPTURE(folder.filename().string());
    auto golden = read_golden(folder);
    auto model = open_model(folder);
    auto file = folder / "config.v4.json";
    auto tree = arch::build_tree(parse_json(read_text(file), "config.v4.json"),
                                 file.string());
    load(tree, model);
    check_prompt(*tree.model, golden);
  }
}

TEST_CASE("the same model as GGUF gives the same logits") {
  int checked = 0;
  for (const auto& folder : golden_folders()) {
    auto file = folder / "model.gguf";
    if (!fs::exists(file)) {
      continue;
    }
    CAPTURE(folder.filename().string());
    // Where a GGUF cannot say all of a config (the sliding window of Mistral),
    // it has logits of its own.
    bool differs = fs::exists(folder / "golden.gguf.safetensors");
    auto golden = read_golden(
        folder, differs ? "golden.gguf.safetensors" : "golden.safetensors");
    auto model = open_model(file);
    auto tree = arch::build_tree(model);
    load(tree, model);
    check_prompt(*tree.model, golden);
    ++checked;
  }
  CHECK(checked >= 15);
}

TEST_CASE("every architecture of the list has a golden model") {
  std::set<std::string> tested;
  for (const auto& folder : golden_folders()) {
    tested.insert(
        open_model(folder).config.at("model_type").get<std::string>());
  }
  for (const auto& entry : arch::architectures()) {
    CAPTURE(entry.model_type);
    CHECK(tested.contains(std::string(entry.model_type)));
  }
}
