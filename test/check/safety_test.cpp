// What check says of pickles and of code that configs name.

#include <filesystem>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/check/check.h"

#include "sound_copy.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

const fs::path kCorpus = fs::path(ASSAY_TEST_DIR) / "corpus/safety";

Verdict verdict_of(const char* file) {
  return headers(kCorpus / file).verdict;
}

}  // namespace

TEST_CASE("a file of pickles is safe, unsafe, or could not be decided") {
  CHECK(verdict_of("sound_protocol2.pkl") == Verdict::sound);
  CHECK(verdict_of("sound_module_state.pth") == Verdict::sound);
  CHECK(verdict_of("op_inst.bin") == Verdict::findings);
  CHECK(verdict_of("zip_two_archives.bin") == Verdict::findings);
  CHECK(verdict_of("training_args.bin") == Verdict::undecided);
  CHECK(verdict_of("script.pt") == Verdict::undecided);
}

TEST_CASE("a folder is as safe as the worst of its pickles") {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "test-models/safety";
  fs::remove_all(folder);
  fs::create_directories(folder / "sub");
  fs::copy_file(fs::path(ASSAY_TEST_DIR) / "golden/torch/nested.pth",
                folder / "pytorch_model.bin");
  auto says = [&](const char* text) {
    return all_of(headers(folder)).find(text) != std::string::npos;
  };
  CHECK_FALSE(says("pickle."));
  fs::copy_file(kCorpus / "training_args.bin", folder / "training_args.bin");
  CHECK(says("pickle.undecided"));
  CHECK_FALSE(says("pickle.unsafe"));
  fs::copy_file(kCorpus / "op_inst.bin", folder / "sub/hidden.pkl");
  CHECK(says("pickle.unsafe"));
  CHECK(says("sub/hidden.pkl"));
  CHECK(headers(folder).verdict == Verdict::findings);
  fs::remove_all(folder);
}

TEST_CASE("code that a config names is told, of another repository warned of") {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "test-models/remote";
  fs::create_directories(folder);
  fs::copy_file(fs::path(ASSAY_TEST_DIR) / "golden/torch/nested.pth",
                folder / "pytorch_model.bin",
                fs::copy_options::overwrite_existing);
  auto said = [&](const char* config) {
    write_text(folder / "config.json", config);
    auto report = headers(folder);
    for (const auto& finding : report.findings) {
      if (finding.id == "model.remote-code") {
        return std::string(name(finding.severity));
      }
    }
    return std::string("nothing");
  };
  CHECK(said(R"({"model_type": "x"})") == "nothing");
  CHECK(said(R"({"auto_map": {"AutoModel": "modeling_x.X"}})") == "note");
  CHECK(said(R"({"auto_map": {"AutoModel": "o/r--modeling_x.X"}})") ==
        "warning");
  fs::remove_all(folder);
}
