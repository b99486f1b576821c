// Pipelines saved by diffusers pass; then one field at a time is spoiled, and
// check names it.

#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/formats/safetensors.h"

#include "sound_copy.h"
#include "torch_twin.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

TEST_CASE("pipelines as diffusers saves them are sound by their headers") {
  for (const auto* name : {"sd1",
                           "sd1-inpaint",
                           "sd2",
                           "sdxl",
                           "sd3",
                           "flux",
                           "pixart"}) {  // its scheduler holds -Infinity
    auto report = headers(fs::path(ASSAY_TEST_DIR) / "sound" / name);
    CAPTURE(all_of(report));
    CHECK(report.verdict == Verdict::sound);
  }
}

TEST_CASE("a pipeline that cannot be run here is not called sound") {
  auto report = checked(fs::path(ASSAY_TEST_DIR) / "sound/sd1", {});
  CHECK(report.verdict == Verdict::undecided);
}

TEST_CASE("each size of a config is held against the tensor that shows it") {
  struct Case {
    const char *model, *file, *field;
  };
  for (auto one : std::vector<Case>{
           {"sd1", "unet/config.json", "in_channels"},
           {"sd1", "unet/config.json", "cross_attention_dim"},
           {"sd1", "vae/config.json", "latent_channels"},
           {"sd1", "text_encoder/config.json", "vocab_size"},
           {"sd1", "text_encoder/config.json", "max_position_embeddings"},
           {"sd1", "text_encoder/config.json", "num_hidden_layers"},
           {"sdxl", "text_encoder_2/config.json", "projection_dim"},
           {"sd3", "transformer/config.json", "joint_attention_dim"},
           {"sd3", "transformer/config.json", "num_layers"},
           {"flux", "transformer/config.json", "num_single_layers"},
           {"flux", "transformer/config.json", "pooled_projection_dim"},
           {"flux", "text_encoder_2/config.json", "d_model"}}) {
    CAPTURE(one.model);
    CAPTURE(one.file);
    CAPTURE(one.field);
    SoundCopy copy(one.model);
    copy.set(one.file, one.field, 1000);
    names(copy, "component.shape-mismatch");
  }
}

TEST_CASE("components of two models do not make a pipeline") {
  SoundCopy copy("sd1");
  fs::remove_all(copy.path / "vae");
  fs::copy(fs::path(ASSAY_TEST_DIR) / "sound/sd3/vae",
           copy.path / "vae",
           fs::copy_options::recursive);
  names(copy, "pipeline.disagreement");
}

TEST_CASE("the index, its classes and its folders") {
  SoundCopy swapped("sd1");
  swapped.set("unet/config.json", "_class_name", "UNet3DConditionModel");
  names(swapped, "component.class-mismatch");
  SoundCopy incomplete("sd1");
  fs::remove_all(incomplete.path / "vae");
  names(incomplete, "component.missing");
  SoundCopy unlisted("sd1");
  unlisted.erase("model_index.json", "scheduler");
  names(unlisted, "pipeline.component-absent");
  SoundCopy hollow("sd1");
  fs::remove(hollow.path / "unet/diffusion_pytorch_model.safetensors");
  names(hollow, "component.no-weights");
  SoundCopy hostile("sd1");
  hostile.set("model_index.json", "../../etc", Json::array({"a", "b"}));
  names(hostile, "pipeline.malformed");
  SoundCopy nameless("sd1");
  nameless.set("model_index.json", "_class_name", 3);
  names(nameless, "pipeline.malformed");
}

TEST_CASE("factors of the latents are told by the family") {
  SoundCopy factor("sd1");
  factor.set("vae/config.json", "scaling_factor", 0.13025);
  names(factor, "pipeline.unpublished-value");
  SoundCopy absent("sdxl");
  absent.erase("vae/config.json", "scaling_factor");
  names(absent, "vae.factor-missing");
  SoundCopy shift("flux");
  shift.set("vae/config.json", "shift_factor", nullptr);
  names(shift, "vae.factor-missing");
  SoundCopy old("sd1");  // as the first configs of Stable Diffusion are
  old.erase("vae/config.json", "scaling_factor");
  CHECK(headers(old.path).verdict == Verdict::sound);
}

TEST_CASE("the noise schedule") {
  const auto* file = "scheduler/scheduler_config.json";
  SoundCopy prediction("sd1");
  prediction.set(file, "prediction_type", "v-prediction");
  names(prediction, "scheduler.invalid-value");
  SoundCopy betas("sd1");
  betas.set(file, "beta_start", 0.5);
  names(betas, "scheduler.invalid-value");
  SoundCopy linear("sd1");
  linear.set(file, "beta_end", 0.02);
  names(linear, "pipeline.unpublished-value");
  SoundCopy family("sd3");
  family.set(file, "_class_name", "DDIMScheduler");
  family.set("model_index.json",
             "scheduler",
             Json::array({"diffusers", "DDIMScheduler"}));
  names(family, "scheduler.wrong-family");
}

TEST_CASE("a tokenizer may not give more tokens than there are positions") {
  SoundCopy copy("sd1");
  copy.set("tokenizer/tokenizer_config.json", "model_max_length", 78);
  names(copy, "text-encoder.too-long");
}

TEST_CASE("PyTorch's files are held to the same rules as safetensors") {
  for (const auto* name : {"sd1", "sd3", "vae"}) {
    SoundCopy copy(name);
    all_to_torch(copy.path);
    auto report = headers(copy.path);
    CAPTURE(name);
    CAPTURE(all_of(report));
    CHECK(report.verdict == Verdict::sound);
    REQUIRE(!report.steps.empty());
    CHECK(report.steps.front().name == "safety");
  }
  SoundCopy size("sd1");
  all_to_torch(size.path);
  size.set("unet/config.json", "cross_attention_dim", 1000);
  names(size, "component.shape-mismatch");
  SoundCopy variant("sd1");  // as `variant="fp16"` saves it
  all_to_torch(variant.path);
  fs::rename(variant.path / "unet/diffusion_pytorch_model.bin",
             variant.path / "unet/diffusion_pytorch_model.fp16.bin");
  is_sound(variant.path);
}

TEST_CASE("PyTorch's files of a component that are no sound weights") {
  SoundCopy hollow("sd1");
  all_to_torch(hollow.path);
  auto file = hollow.path / "vae/diffusion_pytorch_model.bin";
  auto bytes = read_text(file);
  write_text(file, bytes.substr(0, bytes.size() / 2));
  names(hollow, "zip.malformed");
  fs::remove(file);
  names(hollow, "component.no-weights");
  fs::copy_file(fs::path(ASSAY_TEST_DIR) / "corpus/safety/op_inst.bin", file);
  names(hollow, "pickle.unsafe");
  SoundCopy foreign("sd1");
  auto unet = foreign.path / "unet";
  fs::rename(unet / "diffusion_pytorch_model.safetensors",
             unet / "diffusion_flax_model.msgpack");
  auto unread = headers(foreign.path);
  CHECK(all_of(unread).find("model.not-read") != std::string::npos);
  CHECK(unread.verdict == Verdict::undecided);
  CHECK(headers(unet).verdict == Verdict::undecided);
}

TEST_CASE("shards of a component against their index") {
  SoundCopy copy("sd1");
  all_to_torch(copy.path);
  auto unet = copy.path / "unet";
  auto shard = "diffusion_pytorch_model-00001-of-00002.bin";
  fs::rename(unet / "diffusion_pytorch_model.bin", unet / shard);
  auto index = Json{{"metadata", Json::object()},
                    {"weight_map", {{"conv_in.weight", shard}}}};
  write_text(unet / "diffusion_pytorch_model.bin.index.json", index.dump());
  is_sound(copy.path);
  index["weight_map"]["conv_out.weight"] =
      "diffusion_pytorch_model-00002-of-00002.bin";
  write_text(unet / "diffusion_pytorch_model.bin.index.json", index.dump());
  names(copy, "index.missing-shard");
  index["weight_map"]["conv_out.weight"] = "../../secret.bin";
  write_text(unet / "diffusion_pytorch_model.bin.index.json", index.dump());
  names(copy, "index.unsafe-path");
}

TEST_CASE("the token that pads is read like the text") {
  auto file = [](const char* folder) {
    return fmt::format("{}/tokenizer_config.json", folder);
  };
  for (const auto& [model, folder, token] :
       {std::tuple("sd1", "tokenizer", "!"),
        std::tuple("sd2", "tokenizer", "<|endoftext|>"),
        std::tuple("sdxl", "tokenizer_2", "<|endoftext|>"),
        std::tuple("flux", "tokenizer_2", "</s>")}) {
    CAPTURE(model);
    SoundCopy copy(model);
    copy.set(file(folder), "pad_token", token);
    names(copy, "pipeline.unpublished-value");
  }
  SoundCopy spelled("sd2");  // as a token with its settings
  spelled.set(file("tokenizer"), "pad_token", {{"content", "!"}});
  is_sound(spelled.path);
  SoundCopy silent("sd1");
  silent.erase(file("tokenizer"), "pad_token");
  is_sound(silent.path);
}

TEST_CASE("the index of a component's shards") {
  SoundCopy copy("sd1");
  auto folder = copy.path / "unet";
  const std::string stem = "diffusion_pytorch_model";
  auto shard = stem + "-00001-of-00001.safetensors";
  fs::rename(folder / (stem + ".safetensors"), folder / shard);
  auto map = Json::object();
  uint64_t bytes = 0;
  for (const auto& tensor : read_safetensors(folder / shard).tensors) {
    map[tensor.name] = shard;
    bytes += tensor.bytes;
  }
  auto with = [&](const Json& metadata) {
    write_text(folder / (stem + ".safetensors.index.json"),
               to_text(Json{{"metadata", metadata}, {"weight_map", map}}));
  };
  with({{"total_size", bytes}});
  is_sound(copy.path);
  with({{"total_size", 5}});
  is_sound(copy.path);
  CHECK(all_of(headers(copy.path)).find("index.total-size") !=
        std::string::npos);
  with(nullptr);
  names(copy, "index.no-metadata");
}

TEST_CASE("components that cannot be built, or not as the tensors are") {
  struct Case {
    const char *model, *file, *field;
    Json value;  ///< null: left out
    const char* id;
  };
  for (const auto& one : {
           Case{"pixart",
                "transformer/config.json",
                "caption_channels",
                nullptr,
                "component.tensor-unexpected"},
           Case{"pixart",
                "scheduler/scheduler_config.json",
                "beta_schedule",
                "squaredcos_cap_v2",
                "pipeline.unpublished-value"},
           Case{"flux",
                "transformer/config.json",
                "axes_dims_rope",
                nullptr,
                "component.invalid-value"},
           Case{"flux",
                "text_encoder_2/config.json",
                "is_decoder",
                true,
                "component.invalid-value"},
           Case{"sd3",
                "transformer/config.json",
                "qk_norm",
                1,
                "component.invalid-value"},
           Case{"sd3",
                "model_index.json",
                "text_encoder_3",
                nullptr,
                "pipeline.component-absent"},
           Case{"sd1",
                "unet/config.json",
                "mid_block_type",
                "UNetMidBlock2D",
                "component.tensor-unexpected"},
           Case{"sdxl",
                "unet/config.json",
                "addition_time_embed_dim",
                0,
                "component.invalid-value"},
           Case{"sdxl",
                "unet/config.json",
                "transformer_layers_per_block",
                {1},
                "component.invalid-value"},
       }) {
    CAPTURE(one.field);
    SoundCopy copy(one.model);
    if (std::string_view(one.file).starts_with("scheduler")) {
      copy.rid_of_infinities(one.file);
    }
    one.value.is_null() ? copy.erase(one.file, one.field)
                        : copy.set(one.file, one.field, one.value);
    names(copy, one.id);
  }
}
