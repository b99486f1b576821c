// Single files in the layouts of the original code: sound as converted, each
// planted defect named.

#include <fmt/format.h>

#include "sound_copy.h"
#include "weights.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

const std::string kSd1 = "checkpoint-sd1/sd1.safetensors";
const std::string kFlux = "checkpoint-flux/flux1-tiny-dev.safetensors";

struct Spoiled {
  explicit Spoiled(const std::string& name) : copy(name), file(copy.path) {}
  void is(std::string_view id) const {
    file.save();
    names(copy.path, id);
  }
  SoundCopy copy;
  Weights file;
};

std::string architecture(const fs::path& path) {
  return headers(path).architecture;
}

}  // namespace

TEST_CASE(
    "checkpoints in one file are sound by headers, alone or in a folder") {
  for (const auto& name : {std::string("checkpoint-sd1"),
                           std::string("checkpoint-flux"),
                           std::string("checkpoint-vae"),
                           kSd1,
                           kFlux}) {
    is_sound(sound(name));
  }
  CHECK(checked(sound(kSd1)).verdict == Verdict::undecided);
}

TEST_CASE("the family is told by parts and shapes") {
  CHECK(architecture(sound(kSd1)) == "Stable Diffusion 1");
  CHECK(architecture(sound(kFlux)) == "FLUX.1 dev");
  Spoiled schnell(kFlux);
  std::erase_if(schnell.file.tensors, [](const auto& one) {
    return one.first.starts_with("guidance_in.");
  });
  schnell.file.metadata.clear();
  schnell.file.save();
  CHECK(architecture(schnell.copy.path) == "FLUX.1 schnell");
  is_sound(schnell.copy.path);
}

TEST_CASE("a UNet by itself is a part, and sound") {
  Spoiled alone(kSd1);
  std::erase_if(alone.file.tensors, [](const auto& one) {
    return !one.first.starts_with("model.diffusion_model.");
  });
  alone.file.save();
  is_sound(alone.copy.path);
  CHECK(all_of(headers(alone.copy.path)).find("checkpoint.part-absent") !=
        std::string::npos);
}

TEST_CASE("tensors and blocks that are not there") {
  Spoiled time(kSd1);
  time.file.tensors.erase("model.diffusion_model.time_embed.2.weight");
  time.is("checkpoint.tensor-missing");
  Spoiled decoder(kSd1);
  decoder.file.tensors.erase("first_stage_model.decoder.conv_out.weight");
  decoder.is("checkpoint.tensor-missing");
  Spoiled up(kSd1);
  std::erase_if(up.file.tensors, [](const auto& one) {
    return one.first.starts_with("model.diffusion_model.output_blocks.3.");
  });
  up.is("checkpoint.block-missing");
  Spoiled hole(kFlux);
  std::erase_if(hole.file.tensors, [](const auto& one) {
    return one.first.starts_with("single_blocks.0.");
  });
  hole.is("checkpoint.block-missing");
  Spoiled text(kSd1);
  const std::string kLayers =
      "cond_stage_model.transformer.text_model.encoder.layers.";
  // A third layer that lacks what the two others have.
  text.file.tensors[kLayers + "2.mlp.fc1.weight"] =
      text.file.tensors[kLayers + "1.mlp.fc1.weight"];
  text.is("checkpoint.tensor-missing");
}

TEST_CASE("each tensor by itself is missed") {
  for (const auto& name :
       {kSd1, kFlux, std::string("checkpoint-vae/vae.safetensors")}) {
    SoundCopy copy(name);
    const Weights whole(copy.path);
    for (const auto& [tensor, stored] : whole.tensors) {
      if (tensor == "betas") {
        continue;  // computed anew from the settings of the schedule
      }
      auto file = whole;
      file.tensors.erase(tensor);
      file.save();
      CAPTURE(tensor);
      CHECK(has_errors(headers(copy.path).findings));
    }
  }
}

TEST_CASE("parts with fewer blocks are whole, and other names are let be") {
  Spoiled shallow(kFlux);
  std::erase_if(shallow.file.tensors, [](const auto& one) {
    return one.first.starts_with("single_blocks.1.");
  });
  shallow.file.save();
  is_sound(shallow.copy.path);
  Spoiled scales(kFlux);
  for (const auto* norm : {"query_norm", "key_norm"}) {
    for (const auto* path :
         {"single_blocks.0.norm.", "single_blocks.1.norm."}) {
      auto old = fmt::format("{}{}", path, norm);
      scales.file.rename(old + ".scale", old + ".weight");
    }
  }
  scales.file.save();
  is_sound(scales.copy.path);
  Spoiled decoder("checkpoint-vae/vae.safetensors");
  std::erase_if(decoder.file.tensors, [](const auto& one) {
    return one.first.starts_with("encoder.") ||
           one.first.starts_with("quant_conv.");
  });
  decoder.file.save();
  is_sound(decoder.copy.path);
}

TEST_CASE("a level of a VAE that is not there") {
  Spoiled vae("checkpoint-vae/vae.safetensors");
  std::erase_if(vae.file.tensors, [](const auto& one) {
    return one.first.starts_with("decoder.up.1.");
  });
  vae.is("checkpoint.block-missing");
}

TEST_CASE("parts of two families") {
  Spoiled latents(kSd1);
  latents.file.reshape("first_stage_model.decoder.conv_in.weight",
                       {4, 16, 3, 3});
  latents.is("checkpoint.disagreement");
  Spoiled text(kSd1);
  text.file.reshape(
      "cond_stage_model.transformer.text_model.embeddings.token_embedding."
      "weight",
      {194, 24});
  text.is("checkpoint.disagreement");
}

TEST_CASE("published widths have published depths") {
  Spoiled shallow(kFlux);
  shallow.file.reshape("img_in.weight", {3072, 64});
  shallow.is("checkpoint.depth");
}

TEST_CASE("metadata against contents") {
  Spoiled family(kSd1);
  family.file.metadata["modelspec.architecture"] =
      "stable-diffusion-xl-v1-base";
  family.is("checkpoint.metadata");
  Spoiled newer(kSd1);
  newer.file.metadata["modelspec.architecture"] = "something-new";
  newer.file.save();
  is_sound(newer.copy.path);
  Spoiled velocity(kSd1);
  velocity.file.tensors["v_pred"] = {DType::f32, {1}, std::string(4, '\0')};
  velocity.is("checkpoint.metadata");  // it says epsilon
}

TEST_CASE("a prediction that only the metadata names") {
  Spoiled velocity(kSd1);
  velocity.file.metadata["modelspec.prediction_type"] = "v";
  velocity.file.save();
  CHECK(all_of(headers(velocity.copy.path)).find("checkpoint.prediction") !=
        std::string::npos);
  velocity.file.tensors["v_pred"] = {DType::f32, {1}, std::string(4, '\0')};
  velocity.file.save();
  CHECK(all_of(headers(velocity.copy.path)).find("checkpoint.prediction") ==
        std::string::npos);
}
