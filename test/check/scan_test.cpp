// A folder of models gives the models, however it is laid out; all are
// checked, and reported in order.

#include "assay/check/scan.h"

#include <algorithm>
#include <thread>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/core/file.h"
#include "assay/core/platform.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

/** An empty folder, removed at the end. */
class Folder {
 public:
  Folder() {
    static int count = 0;
    path = fs::path(ASSAY_BUILD_DIR) / "test-models" /
           fmt::format("scan-{}-{}", platform::process_id(), ++count);
    fs::remove_all(path);
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  void touch(const std::string& name) const {
    fs::create_directories((path / name).parent_path());
    write_text(path / name, "{}");
  }
  void model(const std::string& name) const {
    auto source = fs::path(ASSAY_TEST_DIR) / "golden/arch/llama";
    fs::create_directories(path / name);
    for (const auto* file : {"config.json", "model.safetensors"}) {
      fs::copy_file(source / file, path / name / file);
    }
  }
  std::vector<std::string> found(const ScanLimits& limits = {}) const {
    std::vector<std::string> names;
    for (const auto& model : find_models(path, limits).models) {
      names.push_back(model.lexically_relative(path).generic_string());
    }
    return names;
  }

  fs::path path;
};

using Names = std::vector<std::string>;

bool scan_has(const std::vector<Finding>& findings, std::string_view id) {
  return std::ranges::any_of(findings,
                             [&](const auto& one) { return one.id == id; });
}

}  // namespace

TEST_CASE("a model is itself; what is below it belongs to it") {
  Folder folder;
  folder.touch("config.json");
  folder.touch("model.safetensors");
  folder.touch("onnx/model.onnx");
  CHECK(folder.found() == Names{"."});
  CHECK(find_models("/nowhere/at/all").models ==
        std::vector<fs::path>{"/nowhere/at/all"});
}

TEST_CASE("folders of models, files that are models, parts that are one") {
  Folder folder;
  folder.touch("b/config.json");
  folder.touch("a/deep/model.safetensors");
  folder.touch("pipe/model_index.json");
  folder.touch("pipe/unet/config.json");
  folder.touch("ggufs/x-Q4_K_M.gguf");
  folder.touch("ggufs/x-Q8_0.gguf");
  folder.touch("ggufs/mmproj-x.gguf");
  folder.touch("split/x-00001-of-00002.gguf");
  folder.touch("split/x-00002-of-00002.gguf");
  folder.touch("split/mmproj-x.gguf");
  folder.touch("notes/readme.txt");
  folder.touch(".git/config.json");
  CHECK(folder.found() == Names{"a/deep",
                                "b",
                                "ggufs/mmproj-x.gguf",
                                "ggufs/x-Q4_K_M.gguf",
                                "ggufs/x-Q8_0.gguf",
                                "pipe",
                                "split"});
}

TEST_CASE("of a hub cache, the snapshot in use") {
  Folder folder;
  folder.touch("models--org--one/blobs/0123");
  folder.touch("models--org--one/snapshots/aaa/config.json");
  folder.touch("models--org--one/snapshots/bbb/config.json");
  folder.touch("datasets--org--d/snapshots/aaa/config.json");
  fs::create_directories(folder.path / "models--org--one/refs");
  write_text(folder.path / "models--org--one/refs/main", "bbb");
  folder.touch("models--org--two/snapshots/ccc/config.json");
  CHECK(folder.found() == Names{"models--org--one/snapshots/bbb",
                                "models--org--two/snapshots/ccc"});
  write_text(folder.path / "models--org--one/refs/main", "../../..");
  CHECK(folder.found() == Names{"models--org--one/snapshots/aaa",
                                "models--org--one/snapshots/bbb",
                                "models--org--two/snapshots/ccc"});
}

TEST_CASE("links: followed once, never back up") {
  Folder folder;
  folder.touch("real/m/config.json");
  fs::create_directory_symlink(folder.path, folder.path / "real/up");
  fs::create_directory_symlink(folder.path / "real/m", folder.path / "again");
  auto list = find_models(folder.path);
  CHECK(list.models.size() == 1);
  CHECK(scan_has(list.findings, "scan.loop"));
}

TEST_CASE("a scan is bounded, and says so") {
  Folder folder;
  folder.touch("1/2/3/4/config.json");
  folder.touch("a/config.json");
  folder.touch("b/config.json");
  CHECK(
      scan_has(find_models(folder.path, {.depth = 2}).findings, "scan.limit"));
  CHECK(!scan_has(find_models(folder.path).findings, "scan.limit"));
  CHECK(folder.found({.models = 1}) == Names{"1/2/3/4"});
  CHECK(
      scan_has(find_models(folder.path, {.models = 1}).findings, "scan.limit"));
  CHECK(scan_has(find_models(folder.path, {.entries = 4}).findings,
                 "scan.limit"));
}

TEST_CASE("reports come in order, and equal those of one thread") {
  Folder folder;
  for (int i = 0; i < 12; ++i) {
    folder.model(fmt::format("m{:02}", i));
  }
  write_text(folder.path / "m05/model.safetensors", "not tensors");
  auto list = find_models(folder.path);
  REQUIRE(list.models.size() == 12);
  for (bool headers_only : {true, false}) {
    CheckOptions options{.headers_only = headers_only, .progress = {}};
    std::vector<fs::path> seen;
    auto caller = std::this_thread::get_id();
    auto reports = check_all(
        list.models,
        options,
        [&](const CheckReport& report) {
          seen.push_back(report.path);
          CHECK(std::this_thread::get_id() == caller);
        },
        4);
    auto alone = check_all(list.models, options, {}, 1);
    CHECK(seen == list.models);
    REQUIRE(reports.size() == alone.size());
    for (size_t i = 0; i < reports.size(); ++i) {
      CHECK(reports[i].verdict == alone[i].verdict);
      CHECK(reports[i].findings.size() == alone[i].findings.size());
      CHECK(reports[i].steps.size() == alone[i].steps.size());
    }
    CHECK(reports[5].verdict == Verdict::findings);
  }
}

TEST_CASE("the summary counts verdicts") {
  std::vector<CheckReport> reports(3);
  reports[0].verdict = Verdict::sound;
  reports[1].verdict = Verdict::findings;
  reports[2].verdict = Verdict::findings;
  CHECK(summary_of(reports) == "3 models: 1 sound, 2 findings");
}
