#include "assay/formats/gguf_config.h"

#include <array>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "raw_bytes.h"

using namespace assay;
using assay_test::finding_of;
namespace fs = std::filesystem;

namespace {

const fs::path kArch = fs::path(ASSAY_TEST_DIR) / "golden/arch";

Json golden_config(const std::string& name, const std::string& file) {
  auto path = kArch / name / file;
  return parse_json(read_text(path), path.string());
}

Json from_gguf(const std::string& name, std::span<const GgufKey> extra = {}) {
  auto header = read_gguf(kArch / name / "model.gguf");
  return config_from_gguf(header.metadata, extra);
}

// Every field that came out of the GGUF must be that of config.json.
void check_agrees(const Json& ours, const Json& golden) {
  for (const auto& [field, value] : ours.items()) {
    CAPTURE(field);
    REQUIRE(golden.contains(field));
    if (value.is_object()) {
      check_agrees(value, golden[field]);
    } else {
      CHECK(value == golden[field]);
    }
  }
}

}  // namespace

TEST_CASE("config out of files of llama.cpp's layout is that of transformers") {
  auto config = from_gguf("llama");
  for (const char* field : {"hidden_size",
                            "num_hidden_layers",
                            "intermediate_size",
                            "num_attention_heads",
                            "num_key_value_heads",
                            "max_position_embeddings",
                            "vocab_size",
                            "rms_norm_eps",
                            "rope_theta",
                            "head_dim"}) {
    CAPTURE(field);
    CHECK(config.contains(field));
  }
  check_agrees(config, golden_config("llama", "config.v4.json"));
  check_agrees(from_gguf("qwen3"), golden_config("qwen3", "config.v4.json"));
}

TEST_CASE("RoPE scaling of type yarn comes back whole") {
  auto config = from_gguf("llama-rope-yarn");
  auto golden = golden_config("llama-rope-yarn", "config.v4.json");
  CHECK(config["rope_scaling"]["rope_type"] == "yarn");
  CHECK(config["rope_scaling"]["factor"] == golden["rope_scaling"]["factor"]);
  CHECK(config["rope_scaling"]["original_max_position_embeddings"] ==
        golden["rope_scaling"]["original_max_position_embeddings"]);
  CHECK(config["rope_theta"] == golden["rope_theta"]);
}

TEST_CASE("an architecture's own rows replace the general ones") {
  constexpr std::array kExtra = {
      GgufKey{"{arch}.context_length", "n_positions"},
      GgufKey{"{arch}.embedding_length", "n_embd"},
      GgufKey{"{arch}.block_count", "n_layer"},
      GgufKey{"{arch}.attention.head_count", "n_head"},
      GgufKey{"{arch}.feed_forward_length", ""},
  };
  auto config = from_gguf("gpt2", kExtra);
  auto golden = golden_config("gpt2", "config.v4.json");
  for (const char* field :
       {"n_positions", "n_embd", "n_layer", "n_head", "layer_norm_epsilon"}) {
    CAPTURE(field);
    CHECK(config.at(field) == golden.at(field));
  }
  CHECK(!config.contains("hidden_size"));
  CHECK(!config.contains("intermediate_size"));
  auto metadata = metadata_from_config(golden, "gpt2", kExtra);
  CHECK(metadata.integer("gpt2.embedding_length") == golden["n_embd"]);
  CHECK(!metadata.find("gpt2.rope.dimension_count"));
}

TEST_CASE("every row goes there and back") {
  auto config = Json::object();
  config["num_attention_heads"] = 4;
  config["num_key_value_heads"] = 2;
  for (const auto& row : gguf_keys()) {
    auto pointer = Json::json_pointer(
        "/" +
        std::string(row.config)
            .replace(std::min(row.config.find('.'), row.config.size()),
                     row.config.find('.') < row.config.size() ? 1 : 0,
                     row.config.find('.') < row.config.size() ? "/" : ""));
    switch (row.kind) {
      case GgufKey::Kind::integer:
        config[pointer] = 64;
        break;
      case GgufKey::Kind::number:
        config[pointer] = 0.1;  // no binary fraction
        break;
      case GgufKey::Kind::boolean:
        config[pointer] = true;
        break;
      case GgufKey::Kind::text:
        config[pointer] = "yarn";
        break;
      case GgufKey::Kind::gating:
        config[pointer] = "sigmoid";
        break;
    }
  }
  auto metadata = metadata_from_config(config, "x");
  CHECK(metadata.integer("x.embedding_length") == 64);
  CHECK(metadata.integer("x.rope.dimension_count") == 64);
  CHECK(metadata.text("x.rope.scaling.type") == "yarn");
  CHECK(metadata.integer("x.expert_gating_func") == 2);
  auto back = config_from_gguf(metadata);
  CHECK(back.size() == config.size());
  for (const auto& [field, value] : config.items()) {
    CAPTURE(field);
    CHECK(back.at(field) == value);
  }
}

TEST_CASE("a float32 becomes the decimal that was meant") {
  GgufMetadata metadata;
  metadata.set("general.architecture", gguf_text("x"));
  metadata.set("x.attention.layer_norm_rms_epsilon", gguf_f32(1e-6f));
  metadata.set("x.rope.freq_base", gguf_f32(1e6f));
  auto config = config_from_gguf(metadata);
  CHECK(config["rms_norm_eps"] == 1e-6);
  CHECK(config["rope_theta"] == 1e6);
  CHECK(config["rope_theta"].is_number_float());
}

TEST_CASE("what GGUF leaves out follows from what it has") {
  GgufMetadata metadata;
  metadata.set("general.architecture", gguf_text("x"));
  metadata.set("x.attention.head_count", gguf_u32(4));
  metadata.set("x.attention.key_length", gguf_u32(64));
  metadata.set("x.rope.dimension_count", gguf_u32(48));
  metadata.set("x.feed_forward_length", gguf_i32s({32, 32, 32}));
  metadata.set("tokenizer.ggml.tokens", gguf_texts({"a", "b", "c"}));
  auto config = config_from_gguf(metadata);
  CHECK(config["num_key_value_heads"] == 4);
  CHECK(config["partial_rotary_factor"] == 0.75);
  CHECK(config["intermediate_size"] == 32);
  CHECK(config["vocab_size"] == 3);
  CHECK(!config.contains("rope_theta"));

  metadata.set("x.attention.head_count_kv", gguf_i32s({4, 2}));
  metadata.set("x.rope.scaling.factor", gguf_f32(4));
  config = config_from_gguf(metadata);
  CHECK(config["num_key_value_heads"] == Json::array({4, 2}));
  CHECK(config["rope_scaling"]["rope_type"] == "linear");
  metadata.set("x.rope.scaling.type", gguf_text("none"));
  CHECK(!config_from_gguf(metadata).contains("rope_scaling"));

  constexpr std::array kTheta = {GgufKey{"{arch}.rope.freq_base",
                                         "rope_theta",
                                         GgufKey::Kind::number,
                                         1,
                                         "10000.0"}};
  CHECK(config_from_gguf(metadata, kTheta)["rope_theta"] == 10000.0);
}

TEST_CASE("both spellings of RoPE settings give the same metadata") {
  for (const char* name : {"llama",
                           "llama-rope-linear",
                           "llama-rope-yarn",
                           "gemma3_text",
                           "qwen3"}) {
    CAPTURE(name);
    auto five = metadata_from_config(golden_config(name, "config.json"), "x");
    auto four =
        metadata_from_config(golden_config(name, "config.v4.json"), "x");
    CHECK(five.entries == four.entries);
    CHECK(five.find("x.rope.freq_base") != nullptr);
  }
}

TEST_CASE("what cannot be said is refused, not dropped") {
  auto refused = [](std::string_view config) {
    return finding_of([&] {
             metadata_from_config(parse_json(config, "config.json"), "x");
           })
        .id;
  };
  CHECK(refused(R"({"hidden_size": "64"})") == "config.invalid-value");
  CHECK(refused(R"({"hidden_size": -64})") == "config.invalid-value");
  CHECK(refused(R"({"hidden_size": 64.5})") == "config.invalid-value");
  CHECK(refused(R"({"rms_norm_eps": "1e-6"})") == "config.invalid-value");
  CHECK(refused(R"({"scoring_func": "max"})") == "config.invalid-value");
  CHECK(refused(R"({"rope_scaling": {"type": "dynamic", "factor": 2}})") ==
        "gguf.no-equivalent");
  CHECK(refused(R"({"hidden_size": null, "eos_token_id": [1, 2]})") == "");

  GgufMetadata metadata;
  CHECK(finding_of([&] { config_from_gguf(metadata); }).id ==
        "gguf.no-architecture");
  metadata.set("general.architecture", gguf_text("x"));
  metadata.set("x.embedding_length", gguf_text("64"));
  CHECK(finding_of([&] { config_from_gguf(metadata); }).id ==
        "gguf.metadata-type");
}
