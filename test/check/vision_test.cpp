// Vision-language models saved by transformers pass; then one field at a time
// is spoiled, and check names it.

#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "assay/check/published.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/inspect.h"
#include "assay/inspect/vision_language.h"

#include "sound_copy.h"
#include "weights.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

constexpr auto kModels = std::to_array<const char*>({"llava",
                                                     "llava-v4",
                                                     "llava_next",
                                                     "qwen2_vl",
                                                     "qwen2_vl-v4",
                                                     "qwen2_5_vl",
                                                     "qwen3_vl",
                                                     "gemma3",
                                                     "gemma3-v4",
                                                     "paligemma",
                                                     "idefics3",
                                                     "smolvlm",
                                                     "internvl",
                                                     "mllama",
                                                     "mistral3"});

/** One field of one document, by a path with dots, and what check says. */
struct SpoiledVision {
  const char *model, *file, *field;
  Json value;
  const char* id;
};

Json::json_pointer pointer(std::string path) {
  std::ranges::replace(path, '.', '/');
  return Json::json_pointer("/" + path);
}

void spoil(const SoundCopy& copy,
           const char* file,
           const char* field,
           const Json& value) {
  auto json = parse_json(read_text(copy.path / file), file);
  REQUIRE(json.contains(pointer(field)));
  json[pointer(field)] = value;
  write_text(copy.path / file, to_text(json));
}

void drop(const SoundCopy& copy, const char* file, const std::string& field) {
  auto json = parse_json(read_text(copy.path / file), file);
  auto at = pointer(field);
  auto& parent = json[at.parent_pointer()];
  REQUIRE(parent.erase(at.back()) == 1);
  write_text(copy.path / file, to_text(json));
}

constexpr auto kVisionConfig = "config.json";
constexpr auto kProcessor = "processor_config.json";

}  // namespace

TEST_CASE("vision-language models of every family are sound by their headers") {
  for (const auto* name : kModels) {
    is_sound(sound(name));
  }
}

TEST_CASE("a vision-language model that cannot be run is not called sound") {
  auto report = checked(sound("qwen2_vl"));
  CAPTURE(all_of(report));
  CHECK(report.verdict == Verdict::undecided);
}

TEST_CASE("each spoiled field is named") {
  for (const auto& one : std::vector<SpoiledVision>{
           // the tower against its tensors
           {"llava",
            kVisionConfig,
            "vision_config.hidden_size",
            32,
            "component.shape-mismatch"},
           {"llava",
            kVisionConfig,
            "vision_config.num_hidden_layers",
            4,
            "component.shape-mismatch"},
           {"llava",
            kVisionConfig,
            "vision_config.intermediate_size",
            64,
            "component.shape-mismatch"},
           {"llava",
            kVisionConfig,
            "vision_config.patch_size",
            7,
            "component.shape-mismatch"},
           {"qwen2_vl",
            kVisionConfig,
            "vision_config.depth",
            3,
            "component.shape-mismatch"},
           {"qwen2_vl",
            kVisionConfig,
            "vision_config.mlp_ratio",
            4,
            "component.shape-mismatch"},
           {"qwen3_vl",
            kVisionConfig,
            "vision_config.num_position_embeddings",
            25,
            "component.shape-mismatch"},
           {"mllama",
            kVisionConfig,
            "vision_config.max_num_tiles",
            2,
            "component.shape-mismatch"},
           {"mllama",
            kVisionConfig,
            "text_config.cross_attention_layers",
            {0},
            "component.shape-mismatch"},
           {"paligemma",
            kVisionConfig,
            "text_config.num_key_value_heads",
            2,
            "component.shape-mismatch"},
           {"mistral3",
            kVisionConfig,
            "multimodal_projector_bias",
            true,
            "component.shape-mismatch"},
           {"internvl",
            kVisionConfig,
            "vision_config.use_qk_norm",
            true,
            "component.shape-mismatch"},
           {"llava",
            kVisionConfig,
            "vision_config.image_size",
            56,
            "vision.positions"},
           {"internvl",
            kVisionConfig,
            "vision_config.image_size",
            {112, 112},
            "vision.positions"},
           {"qwen3_vl",
            kVisionConfig,
            "vision_config.num_position_embeddings",
            17,
            "vision.positions"},
           {"llava",
            kVisionConfig,
            "vision_config.num_attention_heads",
            3,
            "config.contradiction"},
           {"qwen2_5_vl",
            kVisionConfig,
            "vision_config.window_size",
            60,
            "config.contradiction"},
           {"qwen2_5_vl",
            kVisionConfig,
            "vision_config.fullatt_block_indexes",
            {2},
            "config.contradiction"},
           {"qwen3_vl",
            kVisionConfig,
            "vision_config.deepstack_visual_indexes",
            {7},
            "config.contradiction"},
           // the projector
           {"idefics3",
            kVisionConfig,
            "scale_factor",
            4,
            "vision.projector-mismatch"},
           {"internvl",
            kVisionConfig,
            "downsample_ratio",
            0.25,
            "vision.projector-mismatch"},
           {"mistral3",
            kVisionConfig,
            "spatial_merge_size",
            4,
            "vision.projector-mismatch"},
           {"qwen2_5_vl",
            kVisionConfig,
            "vision_config.out_hidden_size",
            32,
            "vision.projector-mismatch"},
           {"llava",
            kVisionConfig,
            "vision_feature_layer",
            9,
            "vision.feature-layer"},
           {"llava",
            kVisionConfig,
            "vision_feature_select_strategy",
            "all",
            "vision.feature-layer"},
           // tokens
           {"llava",
            kVisionConfig,
            "image_seq_length",
            5,
            "vision.image-tokens"},
           {"gemma3",
            kVisionConfig,
            "mm_tokens_per_image",
            3,
            "vision.image-tokens"},
           {"gemma3",
            kProcessor,
            "image_seq_length",
            16,
            "vision.image-tokens"},
           {"idefics3", kProcessor, "image_seq_len", 16, "vision.image-tokens"},
           {"llava",
            kProcessor,
            "num_additional_image_tokens",
            0,
            "vision.image-tokens"},
           {"paligemma",
            kVisionConfig,
            "text_config.num_image_tokens",
            8,
            "vision.image-tokens"},
           {"llava", kVisionConfig, "image_token_index", 5, "vision.token-id"},
           {"llava",
            kVisionConfig,
            "image_token_index",
            100000,
            "vision.token-id"},
           {"qwen2_vl",
            kVisionConfig,
            "vision_start_token_id",
            4,
            "vision.token-id"},
           {"gemma3", kVisionConfig, "boi_token_index", 7, "vision.token-id"},
           {"llava", kProcessor, "image_token", "<picture>", "vision.token-id"},
           {"mistral3",
            kProcessor,
            "image_break_token",
            "[BREAK]",
            "vision.token-id"},
           {"internvl",
            kVisionConfig,
            "vision_config.image_size",
            {56},
            "config.invalid-value"},
           {"mllama",
            kVisionConfig,
            "text_config.rope_parameters.factor",
            16.0,
            "config.unpublished-value"},
           // processors
           {"llava",
            kProcessor,
            "image_processor.crop_size.height",
            56,
            "vision.processor-mismatch"},
           {"llava", kProcessor, "patch_size", 7, "vision.processor-mismatch"},
           {"qwen2_vl",
            kProcessor,
            "image_processor.merge_size",
            1,
            "vision.processor-mismatch"},
           {"qwen3_vl",
            kProcessor,
            "video_processor.patch_size",
            14,
            "vision.processor-mismatch"},
           {"qwen3_vl",
            kProcessor,
            "image_processor.size.longest_edge",
            16385,
            "vision.processor-mismatch"},
           {"mllama",
            kProcessor,
            "image_processor.max_image_tiles",
            2,
            "vision.processor-mismatch"},
           {"idefics3",
            kProcessor,
            "image_processor.max_image_size",
            {{"longest_edge", 112}},
            "vision.processor-mismatch"},
           {"llava",
            kProcessor,
            "processor_class",
            "Qwen2VLProcessor",
            "vision.processor-class"},
           {"gemma3",
            kProcessor,
            "image_processor.image_processor_type",
            "CLIPImageProcessor",
            "vision.processor-class"},
           {"llava-v4",
            "preprocessor_config.json",
            "image_std",
            {0.5, 0.5},
            "config.invalid-value"},
           // values that nothing else in the files tells
           {"llava",
            kProcessor,
            "image_processor.image_mean",
            {0.5, 0.5, 0.5},
            "config.unpublished-value"},
           {"llava-v4",
            "preprocessor_config.json",
            "do_rescale",
            false,
            "config.unpublished-value"},
           {"gemma3",
            kProcessor,
            "image_processor.resample",
            3,
            "config.unpublished-value"},
           {"llava",
            kVisionConfig,
            "vision_config.hidden_act",
            "gelu",
            "config.unpublished-value"},
           {"llava",
            kVisionConfig,
            "vision_feature_layer",
            -1,
            "config.unpublished-value"},
           {"gemma3",
            kVisionConfig,
            "vision_config.layer_norm_eps",
            1e-5,
            "config.unpublished-value"},
           {"qwen2_vl",
            kVisionConfig,
            "text_config.rope_parameters.rope_theta",
            1e4,
            "config.unpublished-value"},
           {"gemma3",
            kVisionConfig,
            "text_config.query_pre_attn_scalar",
            16,
            "config.unpublished-value"},
           // the language model inside
           {"qwen2_vl",
            kVisionConfig,
            "text_config.rope_parameters.mrope_section",
            {2, 1, 2},
            "vision.mrope"},
           {"llava",
            kVisionConfig,
            "text_config.hidden_size",
            32,
            "shape.mismatch"},
           {"internvl",
            kVisionConfig,
            "text_config.num_hidden_layers",
            3,
            "config.invalid-value"},
           {"llava",
            kVisionConfig,
            "text_config.num_hidden_layers",
            3,
            "tensor.missing"},
           {"llava",
            kVisionConfig,
            "architectures",
            {"LlamaForCausalLM"},
            "config.class-mismatch"}}) {
    CAPTURE(one.model);
    CAPTURE(one.field);
    SoundCopy copy(one.model);
    spoil(copy, one.file, one.field, one.value);
    names(copy, one.id);
  }
}

TEST_CASE("fields left out count as what their class takes") {
  struct Absent {
    const char *model, *file, *field;
  };
  for (const auto& one : std::vector<Absent>{
           {"llava", kVisionConfig, "vision_config.hidden_size"},
           {"llava", kVisionConfig, "vision_config.image_size"},
           {"gemma3", kVisionConfig, "mm_tokens_per_image"},
           {"internvl", kProcessor, "image_seq_length"},
           {"gemma3", kVisionConfig, "text_config.rope_parameters"},
           {"qwen2_vl", kProcessor, "image_processor.size"},
           {"gemma3", kVisionConfig, "text_config.sliding_window"}}) {
    CAPTURE(one.field);
    SoundCopy copy(one.model);
    drop(copy, one.file, one.field);
    names(copy, "config.missing-field");
  }
  SoundCopy usual("llava");  // a field whose default is the value
  drop(usual, kVisionConfig, "vision_feature_layer");
  drop(usual, kProcessor, "image_processor.image_mean");
  is_sound(usual.path);
}

TEST_CASE("processors that are not there") {
  SoundCopy copy("llava-v4");
  fs::remove(copy.path / "preprocessor_config.json");
  names(copy, "vision.processor-missing");
  SoundCopy video("qwen2_vl");
  drop(video, kProcessor, "video_processor");
  names(video, "vision.processor-missing");
}

TEST_CASE("a chat template that writes nothing for an image") {
  SoundCopy copy("llava");
  write_text(copy.path / "chat_template.jinja",
             "{% for m in messages %}{% if m.content is string %}"
             "{{ m.content }}{% endif %}{% endfor %}");
  names(copy, "vision.placeholder");
}

TEST_CASE("one tensor of another width is the tensor's fault") {
  SoundCopy copy("llava");
  Weights weights(copy.path / "model.safetensors");
  weights.reshape("vision_tower.encoder.layers.1.mlp.fc1.bias", {31});
  weights.save();
  auto report = headers(copy.path);
  CAPTURE(all_of(report));
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].id == "shape.mismatch");
  CHECK(report.findings[0].where ==
        "vision_tower.encoder.layers.1.mlp.fc1.bias");
}

TEST_CASE("tensors that a family may lack are there together or not at all") {
  for (auto [model, tensor] :
       {std::pair("internvl",
                  "vision_tower.encoder.layer.1.attention.k_proj.bias"),
        std::pair("mllama",
                  "language_model.model.layers.0.self_attn.v_proj.weight"),
        std::pair("llava", "multi_modal_projector.linear_2.bias")}) {
    CAPTURE(tensor);
    SoundCopy copy(model);
    Weights weights(copy.path / "model.safetensors");
    REQUIRE(weights.tensors.erase(tensor) == 1);
    weights.save();
    names(copy.path, "tensor.missing");
  }
}

TEST_CASE("parts that are needed by what the config says") {
  auto without = [](const char* model, const std::string& part) {
    SoundCopy copy(model);
    Weights weights(copy.path / "model.safetensors");
    REQUIRE(std::erase_if(weights.tensors, [&](const auto& one) {
              return one.first.find(part) != std::string::npos;
            }) > 0);
    weights.save();
    auto report = headers(copy.path);
    CAPTURE(model);
    CAPTURE(part);
    CAPTURE(all_of(report));
    CHECK(std::ranges::any_of(report.findings, [](const Finding& one) {
      return one.id == "tensor.missing" || one.id == "component.shape-mismatch";
    }));
  };
  without("llava_next", "image_newline");
  without("qwen2_vl", "merger.ln_q.bias");
  without("mllama", "cross_attn_mlp_gate");
  without("mllama", "cross_attn_attn_gate");
  without("mllama", ".cross_attn.q_norm");
  without("mllama", ".cross_attn.");
  without("mllama", "layers.0.self_attn.");
  without("mllama", "gated_positional_embedding.gate");
  SoundCopy pooled("internvl");  // its last norm is there unless it pools
  spoil(pooled, kVisionConfig, "vision_config.use_mean_pooling", false);
  names(pooled, "tensor.missing");
}

TEST_CASE("a head of SigLIP is whole or not there") {
  SoundCopy copy("gemma3");
  Weights weights(copy.path / "model.safetensors");
  auto width =
      weights.tensors.at("vision_tower.post_layernorm.weight").shape.front();
  const std::string head = "vision_tower.head.";
  auto bytes = static_cast<size_t>(width) * 4;
  weights.tensors[head + "probe"] = {
      DType::f32, {1, 1, width}, std::string(bytes, '\1')};
  weights.save();
  names(copy, "tensor.missing");
}

TEST_CASE("a projector of another model") {
  SoundCopy copy("llava");
  Weights weights(copy.path / "model.safetensors");
  weights.reshape("multi_modal_projector.linear_1.weight", {24, 16});
  weights.reshape("multi_modal_projector.linear_1.bias", {24});
  weights.reshape("multi_modal_projector.linear_2.weight", {24, 24});
  weights.reshape("multi_modal_projector.linear_2.bias", {24});
  weights.save();
  names(copy, "vision.projector-mismatch");
  Weights tower(copy.path / "model.safetensors");
  tower.tensors.erase("vision_tower.post_layernorm.weight");
  tower.save();
  names(copy, "tensor.missing");
}

TEST_CASE("a tower whose tensors are not known cannot be decided") {
  SoundCopy copy("llava");
  spoil(copy, kVisionConfig, "vision_config.model_type", "dinov9");
  auto report = headers(copy.path);
  CHECK(std::ranges::any_of(report.findings, [](const Finding& finding) {
    return finding.id == "arch.unsupported";
  }));
  CHECK(report.verdict != Verdict::sound);
}

TEST_CASE("inspect shows the parts of a vision-language model") {
  auto report = inspect_path(sound("qwen2_5_vl"));
  CHECK(report.kind == "vision-language");
  CHECK(report.class_name == "Qwen2_5_VLForConditionalGeneration");
  CHECK(report.sizes.layers == 2);
  REQUIRE(report.components.size() == 6);
  CHECK(report.components[0].name == "vision tower");
  CHECK(report.components[0].parameters > 0);
  CHECK(report.components[1].name == "projector");
  CHECK(report.components[2].name == "language model");
  CHECK(report.components[3].name == "image processor");
  CHECK(report.components[4].name == "video processor");
  CHECK(report.components[5].name == "processor");
  uint64_t bytes = 0;
  for (const auto& part : report.components) {
    bytes += part.bytes;
  }
  auto model = open_model(sound("qwen2_5_vl"));
  uint64_t all = 0;
  for (const auto& tensor : model.tensors) {
    all += tensor.bytes;
  }
  CHECK(bytes == all);
  auto llava = inspect_path(sound("llava"));
  CHECK(llava.components[1].detail == "4 tokens an image");
}

TEST_CASE("published models: every entry is whole and names its source") {
  for (const auto& model : rules::published_models()) {
    CAPTURE(std::string(model.names));
    CHECK(!model.type.empty());
    CHECK(!model.names.empty());
    CHECK(model.source.find(' ') != std::string_view::npos);
  }
  for (const auto& entry : rules::published_classes()) {
    CAPTURE(std::string(entry.name));
    CHECK(!entry.source.empty());
    auto values = parse_json(entry.values, "values");
    REQUIRE(values.is_object());
    for (const auto& [field, list] : values.items()) {
      CAPTURE(field);
      CHECK(list.is_array());
      CHECK(!list.empty());
    }
  }
}

TEST_CASE("a language model of a published size has its values") {
  ConfigPart part;
  part.type = "llama";
  part.where = "config.json: ";
  part.stored = {{"hidden_size", 4096},
                 {"num_hidden_layers", 32},
                 {"intermediate_size", 14336},
                 {"num_attention_heads", 32},
                 {"num_key_value_heads", 8},
                 {"rms_norm_eps", 1e-5},
                 {"rope_theta", 500000.0},
                 {"hidden_act", "silu"}};
  part.fields = part.stored;
  auto look = [&] {
    return rules::published_values(part, rules::OwnValues::allowed);
  };
  CHECK(look().empty());
  for (auto [field, value] :
       std::vector<std::pair<const char*, Json>>{{"rope_theta", 10000.0},
                                                 {"num_key_value_heads", 4},
                                                 {"rms_norm_eps", 1e-6},
                                                 {"hidden_act", "gelu"}}) {
    CAPTURE(field);
    auto before = part.stored;
    part.stored[field] = value;
    part.fields = part.stored;
    REQUIRE(look().size() == 1);
    CHECK(look()[0].id == "config.unpublished-value");
    part.stored = part.fields = before;
  }
  // Of no published size, with a norm of its own: somebody's own model.
  part.stored["hidden_size"] = 4000;
  part.stored["rms_norm_eps"] = 1e-3;
  part.stored["rope_theta"] = 7000.0;
  part.fields = part.stored;
  CHECK(look().empty());

  // Of none either, with another kind's rotation: nothing says it was edited.
  part.stored["rms_norm_eps"] = 1e-5;
  part.stored["rope_theta"] = 1000000000.0;
  part.fields = part.stored;
  REQUIRE(look().size() == 1);
  CHECK(look()[0].id == "config.unknown-size");
  CHECK(look()[0].severity == Severity::note);
  // One that no published model of any kind has.
  part.stored["rope_theta"] = 7000.0;
  part.fields = part.stored;
  REQUIRE(look().size() == 1);
  CHECK(look()[0].id == "config.unpublished-value");
}

TEST_CASE("two published models of one shape have values of their own") {
  ConfigPart part;
  part.type = "llama";
  part.where = "config.json: ";
  auto yi = [&](int64_t width, int64_t layers, int64_t inner, int64_t heads) {
    part.stored = {{"hidden_size", width},
                   {"num_hidden_layers", layers},
                   {"intermediate_size", inner},
                   {"num_attention_heads", heads},
                   {"rms_norm_eps", 1e-5},
                   {"rope_theta", 5000000.0},
                   {"hidden_act", "silu"}};
    part.fields = part.stored;
    return rules::published_values(part, rules::OwnValues::allowed);
  };
  CHECK(yi(4096, 32, 11008, 32).empty());      // Yi-6B, as large as Llama 2
  CHECK(yi(7168, 60, 20480, 56).empty());      // Yi-34B
  CHECK(yi(7168, 60, 20480, 64).size() == 1);  // its heads
}

TEST_CASE("DeepSeek Coder is as large as Llama 2, and was not edited") {
  ConfigPart part;
  part.type = "llama";
  part.where = "config.json: ";
  auto coder = [&](int64_t width, int64_t layers, int64_t inner, double theta) {
    part.stored = {{"hidden_size", width},
                   {"num_hidden_layers", layers},
                   {"intermediate_size", inner},
                   {"num_attention_heads", width / 128},
                   {"rms_norm_eps", 1e-6},
                   {"rope_theta", theta},
                   {"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}},
                   {"max_position_embeddings", 16384},
                   {"vocab_size", 32256},
                   {"hidden_act", "silu"}};
    part.fields = part.stored;
    return rules::published_values(part, rules::OwnValues::allowed);
  };
  CHECK(coder(4096, 32, 11008, 100000).empty());
  CHECK(coder(7168, 62, 19200, 100000).empty());
  CHECK(coder(4096, 32, 11008, 12345).size() == 1);
  CHECK(coder(7168, 62, 19200, 10000).size() == 1);
}

TEST_CASE("models of one size and several releases are held by what is known") {
  ConfigPart part;
  part.type = "granite";
  part.where = "config.json: ";
  for (double theta : {10000.0, 10000000.0}) {
    part.stored = {{"hidden_size", 4096},
                   {"num_hidden_layers", 40},
                   {"intermediate_size", 12800},
                   {"num_attention_heads", 32},
                   {"num_key_value_heads", 8},
                   {"rms_norm_eps", 1e-5},
                   {"rope_theta", theta}};
    part.fields = part.stored;
    CHECK(rules::published_values(part, rules::OwnValues::allowed).empty());
  }
  part.stored["rms_norm_eps"] = 1e-6;
  part.fields = part.stored;
  CHECK(rules::published_values(part, rules::OwnValues::allowed).size() == 1);
}

TEST_CASE("a rotation of another kind, on a shape that nobody published") {
  SoundCopy copy("llama");
  spoil(copy, "config.json", "rope_parameters.rope_theta", 1000000000.0);
  auto report = headers(copy.path);
  CAPTURE(all_of(report));
  CHECK(report.verdict == Verdict::sound);
  CHECK(std::ranges::any_of(report.findings, [](const auto& one) {
    return one.id == "config.unknown-size" && one.severity == Severity::note;
  }));
}

TEST_CASE("SmolVLM's videos: both bounds of the frames are looked up") {
  for (const auto* name : {"fps", "max_frames"}) {
    CAPTURE(name);
    SoundCopy copy("smolvlm");
    auto file = copy.path / "processor_config.json";
    auto document = parse_json(read_text(file), "processor_config.json");
    REQUIRE(document["video_processor"]["video_sampling"].erase(name) == 1);
    write_text(file, to_text(document));
    names(copy, "config.missing-field");
  }
}
