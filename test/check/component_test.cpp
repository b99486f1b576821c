// Components and schedulers that lie alone, as diffusers saves them.

#include "sound_copy.h"

using namespace assay;
using namespace assay::testing;

TEST_CASE("components and schedulers by themselves are sound") {
  for (const auto* name : {"vae",
                           "vae-tiny",
                           "scheduler-ddim",
                           "scheduler-dpm",
                           "sd1/unet",
                           "flux/transformer",
                           "pixart/transformer",
                           "sd1/scheduler",
                           "flux/scheduler",
                           "flux/vae",
                           "sdxl/vae"}) {
    is_sound(sound(name));
  }
}

TEST_CASE("a component that cannot be run is undecided, a scheduler is not") {
  CHECK(checked(sound("vae")).verdict == Verdict::undecided);
  CHECK(checked(sound("scheduler-ddim")).verdict == Verdict::sound);
}

TEST_CASE("a component's config is held against its tensors") {
  SoundCopy shape("vae");
  shape.set("config.json", "latent_channels", 8);
  names(shape, "component.shape-mismatch");
  SoundCopy blocks("sd1/unet");
  blocks.set("config.json", "block_out_channels", {8, 8, 8});
  names(blocks, "component.shape-mismatch");
  SoundCopy hollow("vae");
  std::filesystem::remove(hollow.path / "diffusion_pytorch_model.safetensors");
  names(hollow, "component.no-weights");
}

TEST_CASE("a factor that no family with such latents has") {
  SoundCopy factor("vae");
  factor.set("config.json", "scaling_factor", 0.5);
  names(factor, "pipeline.unpublished-value");
  // Playground's VAE scales by means and deviations of its own.
  factor.set("config.json", "latents_mean", {0.1, 0.2, 0.3, 0.4});
  is_sound(factor.path);
  SoundCopy absent("flux/vae");
  absent.erase("config.json", "scaling_factor");
  names(absent, "vae.factor-missing");
}

TEST_CASE("a tiny VAE gives latents as they are") {
  SoundCopy factor("vae-tiny");
  factor.set("config.json", "scaling_factor", 0.18215);
  names(factor, "pipeline.unpublished-value");
  SoundCopy shift("vae-tiny");
  shift.set("config.json", "shift_factor", 0.1159);
  names(shift, "pipeline.unpublished-value");
  SoundCopy silent("vae-tiny");  // the class's own are these
  silent.erase("config.json", "scaling_factor");
  silent.erase("config.json", "shift_factor");
  is_sound(silent.path);
}

TEST_CASE("settings that no scheduler takes") {
  struct Case {
    const char* field;
    Json value;
  };
  for (const auto& one : {Case{"prediction_type", "v-prediction"},
                          Case{"prediction_type", 3},
                          Case{"timestep_spacing", "log"},
                          Case{"algorithm_type", "dpm"},
                          Case{"solver_type", "euler"},
                          Case{"beta_end", 0.00001},
                          Case{"num_train_timesteps", 0},
                          Case{"trained_betas", {0.1, 0.2}},
                          Case{"use_beta_sigmas", true}}) {  // beside Karras'
    CAPTURE(one.field);
    SoundCopy copy("scheduler-dpm");
    copy.rid_of_infinities("scheduler_config.json");
    copy.set("scheduler_config.json", one.field, one.value);
    names(copy, "scheduler.invalid-value");
  }
  SoundCopy shift("flux/scheduler");
  shift.set("scheduler_config.json", "base_shift", 2.0);
  names(shift, "scheduler.invalid-value");
  SoundCopy nameless("scheduler-dpm");
  nameless.rid_of_infinities("scheduler_config.json");
  nameless.erase("scheduler_config.json", "_class_name");
  names(nameless, "component.no-class");
}

TEST_CASE("a tiny VAE's layers are those of its config") {
  const auto* file = "config.json";
  struct Case {
    const char* field;
    Json value;
    const char* id;
  };
  for (const auto& one : {
           Case{"latent_channels", 8, "component.shape-mismatch"},
           Case{"encoder_block_out_channels",
                {16, 8},
                "component.shape-mismatch"},
           Case{"num_decoder_blocks", {2, 1}, "component.tensor-missing"},
           Case{"num_encoder_blocks", {1, 0}, "component.tensor-unexpected"},
           Case{"num_encoder_blocks", {1, 1, 1}, "component.invalid-value"},
           Case{"decoder_block_out_channels", "8", "component.invalid-value"},
           Case{"upsample_fn", "trilinear", "component.invalid-value"},
           Case{"upsampling_scaling_factor", 0, "component.invalid-value"},
           Case{"upsampling_scaling_factor", 4, "pipeline.unpublished-value"},
           Case{"latent_magnitude", 6, "pipeline.unpublished-value"},
           Case{"latent_shift", "half", "component.invalid-value"},
       }) {
    CAPTURE(one.field);
    SoundCopy copy("vae-tiny");
    copy.set(file, one.field, one.value);
    names(copy, one.id);
  }
  SoundCopy silent("vae-tiny");  // the class has four stages
  silent.erase(file, "num_encoder_blocks");
  names(silent, "component.invalid-value");
  silent.erase(file, "encoder_block_out_channels");
  names(silent, "component.tensor-missing");
}

TEST_CASE("a class without its first tensor is another") {
  for (const auto* name : {"vae", "vae-tiny"}) {
    SoundCopy copy(name);
    copy.set("config.json", "_class_name", "UNet2DModel");
    names(copy, "component.tensor-missing");
  }
}
