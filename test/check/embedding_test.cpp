// sentence-transformers folders: sound as saved, the older spelling too; one
// spoiled field at a time is named.

#include "sound_copy.h"
#include "torch_twin.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

const std::string kName = "sentence-transformers";
const std::string kPooling = "1_Pooling/config.json";

void list(const SoundCopy& copy, const std::vector<std::string>& paths) {
  auto modules = Json::array();
  for (const auto& path : paths) {
    auto kind = path.empty() ? "Transformer" : path.substr(2);
    modules.push_back({{"idx", modules.size()},
                       {"name", path},
                       {"path", path},
                       {"type", "sentence_transformers.models." + kind}});
  }
  write_text(copy.path / "modules.json", to_text(modules));
}

}  // namespace

TEST_CASE("an embedding model is sound by its headers, and not computed") {
  is_sound(sound(kName));
  CHECK(checked(sound(kName)).verdict == Verdict::undecided);
  SoundCopy older(kName);
  write_text(older.path / kPooling,
             R"({"word_embedding_dimension": 16,
                 "pooling_mode_cls_token": false,
                 "pooling_mode_mean_tokens": true})");
  list(older, {"", "1_Pooling", "2_Normalize"});
  fs::remove_all(older.path / "2_Normalize");  // git keeps no empty folder
  is_sound(older.path);
}

TEST_CASE("widths are followed from module to module") {
  SoundCopy pooling(kName);
  pooling.set(kPooling, "embedding_dimension", 384);
  names(pooling, "embedding.width-mismatch");
  SoundCopy dense(kName);
  fs::create_directory(dense.path / "2_Dense");
  write_text(dense.path / "2_Dense/config.json",
             R"({"in_features": 16, "out_features": 8})");
  list(dense, {"", "1_Pooling", "2_Dense"});
  names(dense, "embedding.module-missing");  // its weights
  dense.set(kPooling, "pooling_mode", Json::array({"mean", "max"}));
  names(dense, "embedding.width-mismatch");  // 32 reach it
}

TEST_CASE("settings that sentence-transformers refuses") {
  SoundCopy mode(kName);
  mode.set(kPooling, "pooling_mode", "average");
  names(mode, "embedding.invalid-value");
  SoundCopy prompt(kName);
  prompt.set(
      "config_sentence_transformers.json", "default_prompt_name", "query2");
  names(prompt, "embedding.invalid-value");
  SoundCopy similarity(kName);
  similarity.set(
      "config_sentence_transformers.json", "similarity_fn_name", "cos");
  names(similarity, "embedding.invalid-value");
  SoundCopy longest(kName);
  longest.set("sentence_bert_config.json", "max_seq_length", 65);
  names(longest, "embedding.too-long");
  longest.set("sentence_bert_config.json", "max_seq_length", 64);
  is_sound(longest.path);
}

TEST_CASE("modules.json") {
  SoundCopy hollow(kName);
  fs::remove(hollow.path / kPooling);
  names(hollow, "embedding.module-missing");
  for (const auto* path : {"../1_Pooling", "/etc", "a\\..\\b", "C:x"}) {
    SoundCopy hostile(kName);
    write_text(hostile.path / "modules.json",
               Json::array({{{"type", "sentence_transformers.models.Pooling"},
                             {"path", path}}})
                   .dump());
    names(hostile, "embedding.unsafe-path");
  }
  for (const auto* text : {"[]", "{}", "[3]", R"([{"type": "x"}])"}) {
    SoundCopy malformed(kName);
    write_text(malformed.path / "modules.json", text);
    names(malformed, "embedding.malformed");
  }
  SoundCopy foreign(kName);
  write_text(foreign.path / "modules.json",
             R"([{"type": "custom_st.Transformer", "path": ""}])");
  is_sound(foreign.path);  // a note
}

TEST_CASE("modules whose weights are PyTorch's") {
  SoundCopy copy(kName);
  fs::create_directory(copy.path / "2_Dense");
  write_text(copy.path / "2_Dense/config.json",
             R"({"in_features": 16, "out_features": 8})");
  list(copy, {"", "1_Pooling", "2_Dense"});
  std::string header = R"({"linear.weight": {"dtype": "F32", "shape": [8, 16],)"
                       R"( "data_offsets": [0, 512]}})";
  auto bytes = assay_test::RawBytes().put(uint64_t(header.size())).raw(header);
  write_text(copy.path / "2_Dense/model.safetensors",
             bytes.text + std::string(512, '\1'));
  all_to_torch(copy.path);
  REQUIRE(fs::exists(copy.path / "2_Dense/pytorch_model.bin"));
  is_sound(copy.path);
  copy.set("2_Dense/config.json", "out_features", 9);
  names(copy, "embedding.width-mismatch");
  copy.set("2_Dense/config.json", "out_features", 8);
  copy.set("config.json", "vocab_size", 1000);
  names(copy, "component.shape-mismatch");
}
