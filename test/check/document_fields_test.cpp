// The kind of value that each field of the small documents has, and what
// pipelines say outside of their components' configs.

#include "assay/check/document_fields.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "sound_copy.h"

namespace assay::testing {
namespace {

struct WrongKind {
  const char *model, *file, *field;
  Json value;
  const char* id;
};

void expect_named(const WrongKind& one) {
  CAPTURE(one.model);
  CAPTURE(one.file);
  CAPTURE(one.field);
  CAPTURE(to_text(one.value));
  SoundCopy copy(one.model);
  copy.set(one.file, one.field, one.value);
  names(copy, one.id);
}

bool is_wrong(const char* file, const Json& document) {
  return !rules::document_fields(document, file, "config.invalid-value")
              .empty();
}

}  // namespace

TEST_CASE("a field of the wrong kind is named, in every document") {
  const auto* config = "config.json";
  const auto* tokenizer = "tokenizer_config.json";
  const auto* adapter = "adapter_config.json";
  for (const auto& one : std::vector<WrongKind>{
           {"llama", config, "dtype", 7, "config.invalid-value"},
           {"llama", config, "model_type", "", "config.invalid-value"},
           {"llama", config, "architectures", "many", "config.invalid-value"},
           {"llama", config, "pad_token_id", -8, "config.invalid-value"},
           {"llama", tokenizer, "bos_token", 7, "tokenizer.invalid-value"},
           {"llama", tokenizer, "eos_token", "", "tokenizer.invalid-value"},
           {"llama",
            tokenizer,
            "tokenizer_class",
            7,
            "tokenizer.invalid-value"},
           {"llama",
            tokenizer,
            "model_max_length",
            "many",
            "tokenizer.invalid-value"},
           {"llama",
            tokenizer,
            "model_max_length",
            0,
            "tokenizer.invalid-value"},
           {"llama",
            "generation_config.json",
            "eos_token_id",
            -2,
            "generation.invalid-value"},
           {"llava",
            "processor_config.json",
            "image_token",
            7,
            "config.invalid-value"},
           {"peft-lora", adapter, "rank_pattern", 7, "adapter.invalid-value"},
           {"peft-lora", adapter, "lora_bias", "yes", "adapter.invalid-value"},
           {"mlx-lora", adapter, "model", 7, "adapter.invalid-value"},
           {"sentence-transformers",
            "config_sentence_transformers.json",
            "prompts",
            7,
            "embedding.invalid-value"},
           {"vae", config, "act_fn", 7, "component.invalid-value"},
           {"sd1",
            "text_encoder/config.json",
            "bos_token_id",
            "many",
            "component.invalid-value"},
           {"sd1",
            "tokenizer/tokenizer_config.json",
            "pad_token",
            7,
            "tokenizer.invalid-value"}}) {
    expect_named(one);
  }
}

TEST_CASE("a field is named once, and inside of objects too") {
  SoundCopy copy("gemma3");
  auto file = copy.path / "config.json";
  auto config = parse_json(read_text(file), "config.json");
  config["text_config"]["bos_token_id"] = "many";
  write_text(file, to_text(config));
  auto report = headers(copy.path);
  CAPTURE(all_of(report));
  CHECK(std::ranges::count_if(report.findings, [](const auto& one) {
          return one.where.ends_with("text_config.bos_token_id");
        }) == 1);
  SoundCopy twice("llama");
  twice.set("config.json", "bos_token_id", "many");
  report = headers(twice.path);
  CAPTURE(all_of(report));
  CHECK(std::ranges::count_if(report.findings, [](const auto& one) {
          return one.where.ends_with("config.json: bos_token_id");
        }) == 1);
}

TEST_CASE("a small document that cannot be read is named once") {
  for (const auto& [model, file] :
       {std::pair("llama", "generation_config.json"),
        std::pair("qwen2_vl-v4", "special_tokens_map.json"),
        std::pair("sd1", "tokenizer/tokenizer_config.json"),
        std::pair("sd1", "text_encoder/config.json"),
        std::pair("vae", "config.json"),
        std::pair("sentence-transformers", "sentence_bert_config.json")}) {
    CAPTURE(file);
    SoundCopy copy(model);
    write_text(copy.path / file, R"({"a": )");
    auto report = headers(copy.path);
    CAPTURE(all_of(report));
    CHECK(std::ranges::count_if(report.findings, [](const auto& one) {
            return one.id == "json.malformed";
          }) == 1);
  }
}

// Each is in files of published models.
TEST_CASE("spellings that libraries write are of the right kind") {
  const auto* tokenizer = "tokenizer_config.json";
  CHECK(!is_wrong(tokenizer, {{"pad_token", nullptr}}));
  CHECK(!is_wrong(tokenizer, {{"add_bos_token", true}}));
  CHECK(!is_wrong(tokenizer, {{"model_max_length", 1e30}}));
  CHECK(!is_wrong(
      tokenizer,
      {{"eos_token", {{"__type", "AddedToken"}, {"content", "</s>"}}}}));
  CHECK(is_wrong(tokenizer, {{"eos_token", {{"content", ""}}}}));
  CHECK(!is_wrong(tokenizer, {{"extra_special_tokens", Json::array()}}));
  const auto* config = "config.json";
  CHECK(!is_wrong(config, {{"pad_token_id", -1}}));
  CHECK(!is_wrong(config, {{"eos_token_id", Json::array({1, 2})}}));
  CHECK(!is_wrong(config, {{"torch_dtype", "torch.bfloat16"}}));
  CHECK(!is_wrong(config, {{"num_attention_heads", Json::array({5, 10})}}));
  CHECK(is_wrong(config, {{"num_attention_heads", Json::array()}}));
  CHECK(!is_wrong("weights.json", {{"dtype", 7}}));
}

// Each of the first stops a library, each of the second is in published files.
TEST_CASE("fields with values of a narrower kind") {
  const auto* config = "config.json";
  CHECK(is_wrong(config, {{"router_jitter_noise", 0}}));
  CHECK(!is_wrong(config, {{"router_jitter_noise", 0.0}}));
  CHECK(is_wrong(config, {{"final_logit_softcapping", 30}}));
  CHECK(!is_wrong(config, {{"final_logit_softcapping", 30.0}}));
  CHECK(is_wrong(config, {{"projection_dropout", 2}}));
  CHECK(is_wrong(config, {{"attention_dropout", "many"}}));
  CHECK(!is_wrong(config, {{"attention_dropout", 0}}));
  CHECK(!is_wrong(config, {{"classifier_dropout", nullptr}}));
  CHECK(is_wrong(config, {{"sliding_window_pattern", "many"}}));
  CHECK(!is_wrong(config, {{"sliding_window_pattern", "LLLG"}}));
  CHECK(!is_wrong(config, {{"sliding_window_pattern", 6}}));
  CHECK(is_wrong(config, {{"use_bidirectional_attention", "yes"}}));
  CHECK(!is_wrong(config, {{"use_bidirectional_attention", "vision"}}));
  auto quantized = [](const char* field, const Json& value) {
    return Json{{"quantization_config", {{field, value}}}};
  };
  CHECK(is_wrong(config, quantized("quant_method", "")));
  CHECK(is_wrong(config, quantized("ignore", "lm_head")));
  CHECK(!is_wrong(config, quantized("ignore", Json::array({"lm_head"}))));
  CHECK(is_wrong(config, quantized("damp_percent", 2)));
  CHECK(!is_wrong(config, quantized("bits", 4.65)));  // EXL2's
  const auto* map = "special_tokens_map.json";
  CHECK(is_wrong(map, {{"eos_token", {{"content", "</s>"}, {"lstrip", "y"}}}}));
  CHECK(!is_wrong(map,
                  {{"eos_token", {{"content", "</s>"}, {"lstrip", false}}}}));
  const auto* video = "video_preprocessor_config.json";
  CHECK(is_wrong(video, {{"video_metadata", 1}}));
  CHECK(is_wrong(video, {{"data_format", 1}}));
  CHECK(!is_wrong(video, {{"data_format", "channels_first"}}));
  CHECK(!is_wrong(video, {{"input_data_format", nullptr}}));
}

TEST_CASE("the index of a pipeline: libraries, classes and settings") {
  struct Entry {
    const char *model, *field;
    Json value;
  };
  for (const auto& one : std::vector<Entry>{
           {"sd1", "_class_name", ""},
           {"sd1", "_class_name", "UNet2DModel"},
           {"sd1", "feature_extractor", 1},
           {"sd1", "unet", Json::array({"other", "UNet2DConditionModel"})},
           {"sd1", "text_encoder", Json::array({"diffusers", "CLIPTextModel"})},
           {"sd1", "scheduler", Json::array({"transformers", "PNDMScheduler"})},
           {"sdxl", "force_zeros_for_empty_prompt", "yes"}}) {
    CAPTURE(one.field);
    SoundCopy copy(one.model);
    copy.set("model_index.json", one.field, one.value);
    names(copy, "pipeline.malformed");
  }
  SoundCopy own("sd1");  // a component's own code
  own.set("model_index.json",
          "unet",
          Json::array({"my_unet", "UNet2DConditionModel"}));
  write_text(own.path / "unet/my_unet.py", "# a class of its own\n");
  auto report = headers(own.path);
  CAPTURE(all_of(report));
  CHECK(!std::ranges::any_of(report.findings, [](const auto& one) {
    return one.id == "pipeline.malformed";
  }));
}

TEST_CASE("a pipeline's tokenizers: tokens that are none, and lengths") {
  const auto* file = "tokenizer/tokenizer_config.json";
  SoundCopy unknown("sd1");
  unknown.set(file, "pad_token", "<of another model>");
  names(unknown, "special-token.unknown");
  SoundCopy uncut("sd1");
  uncut.erase(file, "model_max_length");
  names(uncut, "text-encoder.too-long");
  SoundCopy shorter("sd1");
  shorter.set(file, "model_max_length", 38);
  names(shorter, "pipeline.unpublished-value");
  SoundCopy free("pixart");  // T5 has no positions; the pipeline cuts
  free.erase(file, "model_max_length");
  is_sound(free.path);
}

TEST_CASE("blocks that are left out are those of the class") {
  for (const auto* field :
       {"block_out_channels", "down_block_types", "norm_num_groups"}) {
    CAPTURE(field);
    SoundCopy unet("sd1");
    unet.erase("unet/config.json", field);
    names(unet, "component.invalid-value");
  }
  SoundCopy other("sd1");
  other.set("unet/config.json",
            "up_block_types",
            Json::array({"UpBlock2D", "AnyUpBlock2D"}));
  names(other, "component.invalid-value");
  SoundCopy old("sd1");
  auto blocks = Json::array({"UNetResUpBlock2D", "CrossAttnUpBlock2D"});
  old.set("unet/config.json", "up_block_types", blocks);
  auto report = headers(old.path);
  CHECK(!std::ranges::any_of(report.findings, [](const auto& one) {
    return one.id == "component.invalid-value";
  }));
}

TEST_CASE("a schedule by itself: one beta tells the other") {
  const auto* file = "scheduler_config.json";
  for (const auto* field : {"beta_start", "beta_end"}) {
    CAPTURE(field);
    SoundCopy copy("scheduler-ddim");
    copy.set(file, field, 0.011);
    names(copy, "pipeline.unpublished-value");
    SoundCopy absent("scheduler-ddim");
    absent.erase(file, field);
    names(absent, "pipeline.unpublished-value");
  }
  SoundCopy kolors("scheduler-ddim");
  kolors.set(file, "beta_end", 0.014);
  is_sound(kolors.path);
  SoundCopy other("scheduler-dpm");
  other.rid_of_infinities(file);
  other.set(file, "algorithm_type", "dpmsolver");
  names(other, "scheduler.invalid-value");
  SoundCopy unet("scheduler-ddim");
  unet.set(file, "_class_name", "UNet2DModel");
  names(unet, "scheduler.unknown-class");
}

TEST_CASE("a vision-language config of no kind, or of another") {
  SoundCopy none("llava");
  none.erase("config.json", "model_type");
  names(none, "config.missing-field");
  SoundCopy other("llava");
  other.set("config.json", "model_type", "gemma2");
  names(other, "config.class-mismatch");
}

TEST_CASE("what the published tower's class takes counts for that tower only") {
  for (const auto& [model, field] :
       {std::pair("idefics3", "num_attention_heads"),
        std::pair("mllama", "attention_heads"),
        std::pair("qwen2_5_vl", "window_size")}) {
    CAPTURE(model);
    SoundCopy copy(model);
    auto file = copy.path / "config.json";
    auto config = parse_json(read_text(file), "config.json");
    REQUIRE(config["vision_config"].erase(field) == 1);
    write_text(file, to_text(config));
    names(copy, "config.missing-field");
  }
}

TEST_CASE("tokens that a tokenizer names for itself") {
  const auto* file = "tokenizer_config.json";
  SoundCopy unknown("idefics3");
  unknown.set(file, "fake_image_token", "<none of the vocabulary>");
  names(unknown, "special-token.unknown");
  SoundCopy listed("idefics3");
  listed.set(file, "extra_special_tokens", Json::array({"<nor this>"}));
  names(listed, "special-token.unknown");
  for (const auto& [model, field] :
       {std::pair("gemma3", "boi_token"),
        std::pair("internvl", "context_image_token")}) {
    CAPTURE(model);
    SoundCopy copy(model);
    copy.erase(file, field);
    names(copy, "vision.token-id");
  }
  SoundCopy inside("gemma3-v4");  // under its other name
  inside.erase(file, "boi_token");
  is_sound(inside.path);
}

TEST_CASE("an end that the tokenizer does not name") {
  const auto* file = "tokenizer_config.json";
  SoundCopy end("llama");
  end.erase(file, "eos_token");
  names(end, "special-token.unnamed");
  SoundCopy own("llama");  // a class that names its own
  own.erase(file, "eos_token");
  own.set(file, "tokenizer_class", "LlamaTokenizer");
  CHECK(!std::ranges::any_of(headers(own.path).findings, [](const auto& one) {
    return one.id == "special-token.unnamed";
  }));
}

TEST_CASE("special_tokens_map.json is not read beside added_tokens_decoder") {
  const auto* file = "tokenizer_config.json";
  for (const auto* model : {"gemma3-v4", "qwen2_vl-v4"}) {
    CAPTURE(model);
    SoundCopy copy(model);
    copy.erase(file, "eos_token");
    names(copy, "special-token.unnamed");
    copy.erase(file, "added_tokens_decoder");
    CHECK(!std::ranges::any_of(
        headers(copy.path).findings,
        [](const auto& one) { return one.id == "special-token.unnamed"; }));
  }
}

TEST_CASE("settings of generation that transformers refuses") {
  const auto* file = "generation_config.json";
  const auto* id = "generation.invalid-value";
  SoundCopy cold("qwen2_5_vl");
  cold.set(file, "temperature", 0);
  names(cold, id);
  SoundCopy greedy("qwen2_5_vl");
  greedy.set(file, "temperature", 0);
  greedy.set(file, "do_sample", false);
  is_sound(greedy.path);
  SoundCopy cache("gemma3");
  cache.set(file, "cache_implementation", "other");
  names(cache, id);
}

TEST_CASE("adapters of another method than their tensors") {
  SoundCopy ada("peft-lora");
  ada.set("adapter_config.json", "peft_type", "ADALORA");
  names(ada, "adapter.invalid-value");
  SoundCopy whole("mlx-lora");
  whole.set("adapter_config.json", "fine_tune_type", "full");
  names(whole, "adapter.invalid-value");
  SoundCopy none("peft-lora");
  none.set("adapter_config.json", "target_modules", Json::array());
  names(none, "adapter.invalid-value");
}

}  // namespace assay::testing
