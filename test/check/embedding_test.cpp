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

namespace {

const std::string kEncoder = "sentence_bert_config.json";
const std::string kWhole = "config_sentence_transformers.json";

/** One entry of modality_config, for texts. */
Json for_texts(const Json& method, const Json& output) {
  return {{"text", {{"method", method}, {"method_output_name", output}}}};
}

}  // namespace

TEST_CASE("modules hand values on by name") {
  SoundCopy encoder(kName);
  encoder.set(kEncoder, "module_output_name", "tokens");
  names(encoder, "embedding.feature-absent");  // Pooling reads another
  SoundCopy input(kName);
  input.set("2_Normalize/config.json", "module_input_name", "vector");
  names(input, "embedding.feature-absent");
  SoundCopy output(kName);
  output.set("2_Normalize/config.json", "module_output_name", "vector");
  names(output, "embedding.feature-unread");
  SoundCopy renamed(kName);  // both ends of a name
  fs::create_directory(renamed.path / "3_Normalize");
  write_text(renamed.path / "3_Normalize/config.json",
             R"({"module_input_name": "vector",
                 "module_output_name": "sentence_embedding"})");
  renamed.set("2_Normalize/config.json", "module_output_name", "vector");
  list(renamed, {"", "1_Pooling", "2_Normalize", "3_Normalize"});
  is_sound(renamed.path);
}

TEST_CASE("an encoder's modalities: what is called, and what is taken of it") {
  struct Modality {
    Json value;
    bool sound;
  };
  for (const auto& one : {
           Modality{for_texts("forward", "pooler_output"), true},
           Modality{for_texts("forward", Json::array({"hidden_states", -2})),
                    true},
           Modality{for_texts("get_text_features", nullptr), true},
           Modality{for_texts("", "last_hidden_state"), false},
           Modality{for_texts("encode", "last_hidden_state"), false},
           Modality{for_texts("forward", "last_hidden"), false},
           Modality{{{"text", {{"method", "forward"}}}}, false},
           Modality{{{"text", 7}}, false},
           Modality{Json::object(), false},
       }) {
    CAPTURE(to_text(one.value));
    SoundCopy copy(kName);
    copy.set(kEncoder, "modality_config", one.value);
    one.sound ? is_sound(copy.path) : names(copy, "embedding.invalid-value");
  }
  SoundCopy nameless(kName);
  nameless.erase(kEncoder, "module_output_name");
  names(nameless, "embedding.invalid-value");
  SoundCopy older(kName);  // before there were modalities
  write_text(older.path / kEncoder, R"({"max_seq_length": 32})");
  is_sound(older.path);
  SoundCopy own(kName);  // code of its own has methods of its own
  own.set("config.json", "auto_map", {{"AutoModel", "modeling.Encoder"}});
  own.set(kEncoder, "modality_config", for_texts("encode", "vectors"));
  is_sound(own.path);
}

TEST_CASE("what sentence-transformers stops at when it loads a folder") {
  struct Setting {
    std::string file;
    const char* field;
    Json value;
  };
  for (const auto& one : {
           Setting{kEncoder, "transformer_task", "embedding"},
           Setting{kWhole, "model_type", "Embedding"},
           Setting{kWhole, "prompts", {{"query", 7}}},
           Setting{kWhole, "__version__", 7},
           Setting{kWhole, "__version__", {{"sentence_transformers", ""}}},
           Setting{kWhole, "__version__", {{"sentence_transformers", "x"}}},
           Setting{"config.json", "add_cross_attention", true},
           Setting{kPooling, "include_prompt", "yes"},
           Setting{"config.json", "model_type", nullptr},
           Setting{"config.json", "model_type", "gemma2"},
           Setting{"config.json", "hidden_act", "relu"},
       }) {
    CAPTURE(one.field);
    SoundCopy copy(kName);
    copy.set(one.file, one.field, one.value);
    auto report = headers(copy.path);
    CAPTURE(all_of(report));
    CHECK(report.verdict == Verdict::findings);
  }
  SoundCopy older(kName);
  older.erase(kWhole, "model_type");
  older.erase(kWhole, "__version__");
  is_sound(older.path);
}

TEST_CASE("an encoder of texts looks both ways") {
  SoundCopy causal(kName);
  causal.set("config.json", "is_decoder", true);
  names(causal, "embedding.causal-encoder");
  SoundCopy silent(kName);
  silent.erase("config.json", "is_decoder");
  is_sound(silent.path);
}

TEST_CASE("an encoder's tokens and token types are those of its files") {
  for (const auto* role : {"cls_token", "sep_token", "mask_token"}) {
    CAPTURE(role);
    SoundCopy copy(kName);
    copy.set("tokenizer_config.json", role, "<of another model>");
    names(copy, "special-token.unknown");
  }
  SoundCopy types(kName);
  types.set("config.json", "type_vocab_size", 0);
  names(types, "component.shape-mismatch");
}
