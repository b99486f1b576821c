// docs/support.md is this list of architectures, written out: what each is
// called, and by which tiny models it is held to transformers. The test fails
// while the file says anything else. To write it anew:
//
//     ASSAY_WRITE_DOCS=1 build/release/test/arch/test_arch -tc='docs*'

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/arch/architecture.h"
#include "assay/core/file.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

const fs::path kTests = ASSAY_TEST_DIR;

/** What the golden models of one architecture cover. */
struct Covered {
  std::vector<std::string> models;
  std::set<std::string> rope, features;
  bool gguf = false;
};

std::string rope_type(const Json& config) {
  if (!config.contains("rope_parameters")) {
    return "";
  }
  const auto& rope = config["rope_parameters"];
  return rope.value("full_attention", rope).value("rope_type", "default");
}

void note_features(const arch::Tree& tree, std::set<std::string>& features) {
  for (const auto& shape : tree.model->cache_shapes()) {
    if (shape.window > 0) {
      features.insert("sliding windows");
    }
  }
  bool head = false;
  for (const auto& spec : tree.parameters) {
    if (spec.role() == nn::Role::router) {
      features.insert("experts");
    }
    head = head || spec.role() == nn::Role::head;
  }
  features.insert(head ? "head of its own" : "tied head");
}

std::map<std::string, Covered> covered() {
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(kTests / "golden/arch")) {
    folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  std::map<std::string, Covered> all;
  for (const auto& folder : folders) {
    auto config = parse_json(read_text(folder / "config.json"), "config.json");
    auto tree = arch::build_tree(config, "config.json");
    auto& own = all[std::string(tree.architecture->model_type)];
    own.models.push_back(folder.filename().string());
    own.gguf = own.gguf || fs::exists(folder / "model.gguf");
    if (auto type = rope_type(config); !type.empty()) {
      own.rope.insert(type);
    }
    note_features(tree, own.features);
  }
  return all;
}

std::string support_page() {
  std::string page =
      "# Architectures\n"
      "\n"
      "Written by `test/arch/support_test.cpp` from the list in\n"
      "`src/arch/architecture.cpp`; it fails while this page says anything "
      "else.\n"
      "\n"
      "Each model named here is a folder of `test/golden/arch`: tiny, seeded, "
      "held to\n"
      "transformers' logits within 1e-4 in float32 and to its 16 greedy "
      "tokens, with\n"
      "config.json as transformers 4 and 5 spell it. \"GGUF\" is the "
      "architecture's name\n"
      "there; those marked * are read from a GGUF as well, and held to the "
      "same.\n"
      "\n"
      "| model_type | class | GGUF | RoPE | what its models have | models |\n"
      "| --- | --- | --- | --- | --- | --- |\n";
  auto all = covered();
  for (const auto& entry : arch::architectures()) {
    const auto& own = all[std::string(entry.model_type)];
    page += fmt::format("| {} | {} | {}{} | {} | {} | {} |\n",
                        entry.model_type,
                        entry.class_name,
                        entry.gguf,
                        own.gguf ? "*" : "",
                        fmt::join(own.rope, ", "),
                        fmt::join(own.features, ", "),
                        fmt::join(own.models, ", "));
  }
  return page;
}

}  // namespace

TEST_CASE("docs/support.md says what the list of architectures says") {
  auto file = kTests.parent_path() / "docs/support.md";
  auto page = support_page();
  if (std::getenv("ASSAY_WRITE_DOCS") != nullptr) {
    fs::create_directories(file.parent_path());
    write_text(file, page);
  }
  REQUIRE(fs::exists(file));
  CHECK(read_text(file) == page);
}
