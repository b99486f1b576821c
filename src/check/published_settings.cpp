#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/pipeline.h"
#include "assay/check/published.h"
#include "assay/core/file.h"
#include "assay/formats/quote.h"

// Settings that no tensor shows and that decide what comes out: what the
// published models of a family have, and what diffusers takes where a config
// is silent. Families by their own configs: Stable Diffusion 1.x, 2.x, XL, 3,
// 3.5, FLUX.1, PixArt alpha and sigma, the four TAESD; defaults by diffusers
// 0.42 and transformers 5.23.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

constexpr size_t kLargestConfig = 16u << 20;
constexpr std::string_view kLatent = "StableDiffusion";  // diffuses latents

struct Setting {
  std::string_view component;  ///< how its class's name begins
  std::string_view field;
  std::string_view published;  ///< a JSON list
  std::string_view absent;     ///< what an absent field means, JSON
};

constexpr auto kParts = std::to_array<Setting>({
    {"UNet2DCond", "act_fn", R"(["silu"])", R"("silu")"},
    {"UNet2DCond", "flip_sin_to_cos", "[true]", "true"},
    {"UNet2DCond", "freq_shift", "[0]", "0"},
    {"UNet2DCond", "norm_eps", "[1e-5]", "1e-5"},
    {"UNet2DCond", "mid_block_scale_factor", "[1]", "1"},
    {"UNet2DCond", "downsample_padding", "[1]", "1"},
    {"UNet2DCond", "center_input_sample", "[false]", "false"},
    {"UNet2DCond", "resnet_time_scale_shift", R"(["default"])", R"("default")"},
    {"UNet2DCond", "resnet_skip_time_act", "[false]", "false"},
    {"UNet2DCond", "resnet_out_scale_factor", "[1]", "1"},
    {"UNet2DCond",
     "time_embedding_type",
     R"(["positional"])",
     R"("positional")"},
    {"UNet2DCond", "time_embedding_act_fn", "[null]", "null"},
    {"UNet2DCond", "time_embedding_dim", "[null]", "null"},
    {"UNet2DCond", "timestep_post_act", "[null]", "null"},
    {"UNet2DCond", "only_cross_attention", "[false]", "false"},
    {"UNet2DCond", "mid_block_only_cross_attention", "[null, false]", "null"},
    {"UNet2DCond", "dual_cross_attention", "[false]", "false"},
    {"UNet2DCond", "cross_attention_norm", "[null]", "null"},
    {"UNet2DCond", "class_embed_type", "[null]", "null"},
    {"UNet2DCond", "num_class_embeds", "[null]", "null"},
    {"UNet2DCond", "class_embeddings_concat", "[false]", "false"},
    {"UNet2DCond", "encoder_hid_dim", "[null]", "null"},
    {"UNet2DCond", "encoder_hid_dim_type", "[null]", "null"},
    {"UNet2DCond", "reverse_transformer_layers_per_block", "[null]", "null"},
    {"UNet2DCond", "attention_type", R"(["default"])", R"("default")"},
    {"UNet2DCond", "upcast_attention", "[false, true, null]", "false"},
    {"UNet2DCond",
     "mid_block_type",  // of distilled ones without attention, or none
     R"(["UNetMidBlock2DCrossAttn", "UNetMidBlock2D", null])",
     R"("UNetMidBlock2DCrossAttn")"},
    {"UNet2DCond", "addition_embed_type", R"([null, "text_time"])", "null"},
    {"AutoencoderKL", "act_fn", R"(["silu"])", R"("silu")"},
    {"AutoencoderKL", "force_upcast", "[false, true]", "true"},
    {"AutoencoderTiny", "act_fn", R"(["relu"])", R"("relu")"},
    {"AutoencoderTiny", "upsample_fn", R"(["nearest"])", R"("nearest")"},
    {"AutoencoderTiny", "upsampling_scaling_factor", "[2]", "2"},
    {"AutoencoderTiny", "latent_magnitude", "[3]", "3"},
    {"AutoencoderTiny", "latent_shift", "[0.5]", "0.5"},
    {"CLIPText", "layer_norm_eps", "[1e-5]", "1e-5"},
    {"T5Encoder", "feed_forward_proj", R"(["gated-gelu"])", R"("relu")"},
    {"T5Encoder", "dense_act_fn", R"(["gelu_new"])", R"("gelu_new")"},
    {"T5Encoder", "is_gated_act", "[true]", "true"},
    {"T5Encoder", "relative_attention_max_distance", "[128]", "128"},
    {"T5Encoder", "layer_norm_epsilon", "[1e-6]", "1e-6"},
    {"PixArt",
     "activation_fn",
     R"(["gelu-approximate"])",
     R"("gelu-approximate")"},
    {"PixArt", "norm_eps", "[1e-6]", "1e-6"},
    {"PixArt", "norm_elementwise_affine", "[false]", "false"},
    {"PixArt", "norm_type", R"(["ada_norm_single"])", R"("ada_norm_single")"},
    {"PixArt", "upcast_attention", "[false]", "false"},
    {"PixArt", "attention_type", R"(["default"])", R"("default")"},
});

// Of schedulers for latents that diffuse.
constexpr auto kNoise = std::to_array<Setting>({
    {"", "num_train_timesteps", "[1000]", "1000"},
    {"", "trained_betas", "[null]", "null"},
    {"", "thresholding", "[false]", "false"},
    {"", "interpolation_type", R"(["linear"])", R"("linear")"},
    {"", "timestep_type", R"(["discrete"])", R"("discrete")"},
    {"", "use_flow_sigmas", "[false]", "false"},
    {"DPMSolver", "lambda_min_clipped", "[null]", "null"},  // -Infinity
    {"", "predict_x0", "[true]", "true"},
    {"", "sigma_min", "[null]", "null"},
    {"", "sigma_max", "[null]", "null"},
    {"PNDM", "skip_prk_steps", "[true]", "false"},
    {"PNDM", "set_alpha_to_one", "[false]", "false"},
    {"PNDM", "steps_offset", "[1]", "0"},
    {"DDIMScheduler", "set_alpha_to_one", "[false]", "true"},
    {"DDIMScheduler", "steps_offset", "[1]", "0"},
    {"DDIMScheduler", "clip_sample", "[false]", "true"},
    {"DDPMScheduler", "clip_sample", "[false]", "true"},
    {"LCMScheduler", "clip_sample", "[false]", "false"},
});

constexpr auto kFlow = std::to_array<Setting>({
    {"FlowMatchEuler", "num_train_timesteps", "[1000]", "1000"},
    {"FlowMatchEuler", "base_shift", "[0.5]", "0.5"},
    {"FlowMatchEuler", "max_shift", "[1.15]", "1.15"},
    {"FlowMatchEuler", "base_image_seq_len", "[256]", "256"},
    {"FlowMatchEuler", "max_image_seq_len", "[4096]", "4096"},
    {"FlowMatchEuler", "invert_sigmas", "[false]", "false"},
    {"FlowMatchEuler", "shift_terminal", "[null]", "null"},
    {"FlowMatchEuler", "stochastic_sampling", "[false]", "false"},
    {"FlowMatchEuler",
     "time_shift_type",
     R"(["exponential"])",
     R"("exponential")"},
});

// What samplers may be set to; another choice than the release's own changes
// pictures and is none the worse.
constexpr auto kChoices = std::to_array<Setting>({
    {"EulerDiscrete", "timestep_spacing", R"(["leading"])", R"("linspace")"},
    {"PNDM", "timestep_spacing", R"(["leading"])", R"("leading")"},
    {"DDIMScheduler", "timestep_spacing", R"(["leading"])", R"("leading")"},
    {"EulerDiscrete", "steps_offset", "[1]", "0"},
    {"EulerDiscrete", "final_sigmas_type", R"(["zero"])", R"("zero")"},
    {"", "use_karras_sigmas", "[false]", "false"},
    {"", "use_exponential_sigmas", "[false]", "false"},
    {"", "use_beta_sigmas", "[false]", "false"},
});

Json parsed(std::string_view text) {
  return Json::parse(text);
}

bool same_setting(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) {
    auto x = a.get<double>(), y = b.get<double>();
    return std::abs(x - y) <= 1e-6 * std::abs(y);
  }
  return a == b;
}

std::string shown_setting(const Json& value) {
  return value.is_string() ? quote(value.get<std::string>())
                           : quote(value.dump(-1, ' ', true));
}

void hold(Findings& findings,
          const Component& component,
          std::string_view field,
          const Json& published,
          const Json& absent,
          const char* id = "pipeline.unpublished-value") {
  auto stated = component.config.find(field);
  bool is_there = stated != component.config.end();
  const auto& value = is_there ? *stated : absent;
  bool found = std::ranges::any_of(
      published, [&](const Json& one) { return same_setting(value, one); });
  if (found) {
    return;
  }
  std::vector<std::string> list;
  std::ranges::transform(published, std::back_inserter(list), shown_setting);
  findings.push_back(make_finding(
      id,
      fmt::format("{}: {}", component.config_path.string(), field),
      fmt::format("{}", fmt::join(list, " or ")),
      is_there ? shown_setting(value)
               : fmt::format("none, which means {}", shown_setting(value))));
}

template <size_t N>
void hold_all(Findings& findings,
              const Component& component,
              const std::array<Setting, N>& settings,
              const char* id = "pipeline.unpublished-value") {
  for (const auto& one : settings) {
    if (component.class_name.starts_with(one.component)) {
      hold(findings,
           component,
           one.field,
           parsed(one.published),
           parsed(one.absent),
           id);
    }
  }
}

bool is_true(const Component& component, std::string_view field) {
  return component.config.is_object() &&
         component.config.value(field, Json()) == true;
}

// Stable Diffusion 2 projects linearly and has OpenCLIP's encoder.
bool is_second(const Pipeline& pipeline) {
  const auto* unet = pipeline.find("unet");
  return unet != nullptr && is_true(*unet, "use_linear_projection");
}

bool diffuses(const Pipeline& pipeline) {
  const auto& name = pipeline.class_name;
  return name.starts_with("StableDiffusion") &&
         !name.starts_with("StableDiffusion3");
}

// Kinds with settings of their own are left out.
bool is_usual(const Pipeline& pipeline) {
  const auto& name = pipeline.class_name;
  auto begins = [&](std::string_view text) { return name.starts_with(text); };
  auto has = [&](std::string_view text) {
    return name.find(text) != std::string::npos;
  };
  bool known = begins("StableDiffusion") || begins("Flux") || begins("PixArt");
  return known && !has("Upscale") && !has("GLIGEN") && !has("LDM3D") &&
         !begins("StableDiffusionK");
}

// Which of the two is LAION's, and not OpenAI's: the second of a pair, and
// Stable Diffusion 2's.
bool is_open_clip(const Pipeline& pipeline, std::string_view component) {
  bool plain = pipeline.class_name.starts_with("StableDiffusion") &&
               !pipeline.class_name.starts_with("StableDiffusionXL") &&
               !pipeline.class_name.starts_with("StableDiffusion3");
  return component.ends_with("_2") || (plain && is_second(pipeline));
}

// Texts are padded to the encoder's length without a mask, so the token that
// pads is read with them. OpenAI's CLIP ends and pads with one token
// (transformers, CLIPTokenizer); OpenCLIP fills with the id 0, which is "!" in
// CLIP's vocabulary (open_clip, tokenizer.py; diffusers, convert_from_ckpt.py:
// pad_token="!"; ComfyUI, text_encoders/sd2_clip.py: "pad": 0); T5 has a token
// of its own (transformers, T5Tokenizer).
void padding(Findings& findings,
             const Pipeline& pipeline,
             const Component& tokenizer) {
  // Others, as of unCLIP's prior, are of encoders of their own.
  bool known = tokenizer.name.starts_with("tokenizer");
  bool clip = known && tokenizer.class_name.starts_with("CLIPTokenizer");
  bool t5 = known && tokenizer.class_name.starts_with("T5Tokenizer");
  auto path = tokenizer.folder / "tokenizer_config.json";
  if ((!clip && !t5) || !std::filesystem::exists(path)) {
    return;
  }
  std::string_view published = t5 ? "<pad>"
                               : is_open_clip(pipeline, tokenizer.name)
                                   ? "!"
                                   : "<|endoftext|>";
  auto config = parse_json(read_text(path, kLargestConfig), path.string());
  auto stated = config.is_object() ? config.value("pad_token", Json()) : Json();
  const auto& text = stated.is_object() && stated.contains("content")
                         ? stated["content"]
                         : stated;
  if (!text.is_null() && text != published) {
    findings.push_back(make_finding("pipeline.unpublished-value",
                                    path.string() + ": pad_token",
                                    quote(published),
                                    shown_setting(text)));
  }
}

void clip(Findings& findings,
          const Pipeline& pipeline,
          const Component& encoder) {
  bool open = is_open_clip(pipeline, encoder.name);
  hold(findings,
       encoder,
       "hidden_act",
       Json::array({open ? "gelu" : "quick_gelu"}),
       "quick_gelu");
  // 2 is what old configs have; libraries then take the largest id.
  auto vocabulary = encoder.size("vocab_size");
  auto end = encoder.config.value("eos_token_id", Json(49407));
  if (vocabulary && end != 2 && end != *vocabulary - 1) {
    findings.push_back(make_finding(
        "special-token.disagrees",
        encoder.config_path.string() + ": eos_token_id",
        fmt::format("{}, the last id, with which CLIP ends texts; or 2",
                    *vocabulary - 1),
        shown_setting(end)));
  }
}

void without_signal(Findings& findings, const Component& scheduler) {
  bool zero = is_true(scheduler, "rescale_betas_zero_snr");
  if (zero &&
      scheduler.config.value("prediction_type", Json()) != "v_prediction") {
    findings.push_back(make_finding(
        "pipeline.unpublished-value",
        scheduler.config_path.string() + ": rescale_betas_zero_snr",
        "false, unless v_prediction: pure noise tells nothing of epsilon",
        "true"));
  }
}

void noise(Findings& findings,
           const Pipeline& pipeline,
           const Component& scheduler) {
  hold_all(findings, scheduler, kNoise);
  bool lcm = scheduler.class_name.starts_with("LCM");
  hold(findings,
       scheduler,
       "beta_schedule",
       Json::array({"scaled_linear"}),
       lcm ? "scaled_linear" : "linear");
  const auto* betas = published_betas(kLatent);
  for (auto [field, published, absent] :
       {std::tuple("beta_start", betas->start, 0.0001),
        std::tuple("beta_end", betas->end, 0.02)}) {
    hold(findings,
         scheduler,
         field,
         Json::array({published}),
         lcm ? published : absent);
  }
  auto prediction = Json::array({"epsilon"});
  const auto* unet = pipeline.find("unet");
  bool large = pipeline.class_name.starts_with("StableDiffusionXL");
  if (large) {
    prediction.push_back("v_prediction");
  } else if (is_second(pipeline) && unet != nullptr) {
    auto edge = unet->size("sample_size");
    if (edge == 96) {
      prediction = Json::array({"v_prediction"});  // 768 pixels
    } else if (edge != 64) {
      prediction.push_back("v_prediction");
    }
  }
  hold(findings, scheduler, "prediction_type", prediction, "epsilon");
  without_signal(findings, scheduler);
  hold_all(findings, scheduler, kChoices, "scheduler.other-choice");
}

// PixArt's, of alpha and sigma alike.
void plain_noise(Findings& findings, const Component& scheduler) {
  if (!is_scheduler_of_diffusers(scheduler.class_name) ||
      scheduler.class_name.starts_with("FlowMatch") ||
      scheduler.class_name.starts_with("LCM")) {
    return;
  }
  hold_all(findings, scheduler, kNoise);
  hold(findings, scheduler, "beta_schedule", Json::array({"linear"}), "linear");
  without_signal(findings, scheduler);
  hold_all(findings, scheduler, kChoices, "scheduler.other-choice");
}

void flow(Findings& findings,
          const Pipeline& pipeline,
          const Component& scheduler) {
  hold_all(findings, scheduler, kFlow);
  const auto* transformer = pipeline.find("transformer");
  bool flux = pipeline.class_name.starts_with("Flux");
  if (!scheduler.class_name.starts_with("FlowMatchEuler") ||
      transformer == nullptr) {
    return;
  }
  // FLUX.1 schnell has no guidance; dev and its kin have.
  bool guided = flux && is_true(*transformer, "guidance_embeds");
  hold(findings,
       scheduler,
       "use_dynamic_shifting",
       Json::array({guided}),
       false);
  if (!guided) {
    hold(findings, scheduler, "shift", Json::array({flux ? 1.0 : 3.0}), 1.0);
  }
  hold_all(findings, scheduler, kChoices, "scheduler.other-choice");
}

void pixart(Findings& findings, const Component& transformer) {
  auto edge = transformer.size("sample_size");
  auto scale = transformer.number("interpolation_scale");
  int64_t whole = edge.value_or(0) / 64;  // Python's //
  if (scale && whole >= 1 && *scale != static_cast<double>(whole)) {
    findings.push_back(
        make_finding("pipeline.unpublished-value",
                     transformer.config_path.string() + ": interpolation_scale",
                     fmt::format("{}, a sixty-fourth of sample_size", whole),
                     fmt::format("{}", *scale)));
  }
}

// The widths of published UNets and CLIP encoders; no tensor shows into how
// many heads or groups they are cut.
void published_heads(Findings& findings, const Component& component) {
  const auto& kind = component.class_name;
  auto widths = component.config.value("block_out_channels", Json());
  auto width = component.size("hidden_size");
  bool published = width == 768 || width == 1024 || width == 1280;
  if (kind.starts_with("CLIPText") && published) {
    constexpr int64_t kHead = 64;  // of CLIP and OpenCLIP alike
    hold(findings,
         component,
         "num_attention_heads",
         Json::array({*width / kHead}),
         8);
  } else if (kind.starts_with("UNet2DCond") &&
             (widths == Json{320, 640, 1280} ||
              widths == Json{320, 640, 1280, 1280})) {
    auto wide = Json{5, 10, 20};
    if (widths.size() == 4) {
      wide.push_back(20);
    }
    const auto* field =
        component.config.value("num_attention_heads", Json()).is_null()
            ? "attention_head_dim"
            : "num_attention_heads";
    hold(findings, component, field, Json::array({8, wide}), 8);
    hold(findings, component, "norm_num_groups", Json::array({32}), 32);
  } else if (kind == "AutoencoderKL" && widths == Json{128, 256, 512, 512}) {
    hold(findings, component, "norm_num_groups", Json::array({32}), 32);
  }
}

}  // namespace

std::vector<Finding> lone_settings(const Component& component) {
  Findings findings;
  // UNets and transformers by themselves may be of any kind of model.
  bool vae = component.class_name == "AutoencoderKL" ||
             component.class_name == "AutoencoderTiny";
  if (component.config.is_object() && vae) {
    hold_all(findings, component, kParts);
    published_heads(findings, component);
  }
  return findings;
}

std::vector<Finding> published_settings(const Pipeline& pipeline) {
  Findings findings;
  if (!is_usual(pipeline)) {
    return findings;
  }
  for (const auto& component : pipeline.components) {
    padding(findings, pipeline, component);
    if (!component.config.is_object()) {
      continue;
    }
    hold_all(findings, component, kParts);
    published_heads(findings, component);
    if (component.class_name.starts_with("CLIPText")) {
      clip(findings, pipeline, component);
    } else if (component.class_name.starts_with("PixArt")) {
      pixart(findings, component);
    }
  }
  const auto* scheduler = pipeline.find("scheduler");
  if (scheduler == nullptr || !scheduler->config.is_object()) {
    return findings;
  }
  if (diffuses(pipeline)) {
    noise(findings, pipeline, *scheduler);
  } else if (pipeline.class_name.starts_with("PixArt")) {
    plain_noise(findings, *scheduler);
  } else {
    flow(findings, pipeline, *scheduler);
  }
  return findings;
}

namespace {

// A first beta that published schedules have, and the last ones beside it.
struct Spread {
  double start;
  std::vector<double> ends;
};

// Stable Diffusion's, PixArt's and diffusers' own default are published_betas;
// Kolors ends at 0.014, HunyuanDiT at 0.03 (modelscope/DiffSynth-Studio,
// diffsynth/pipelines/sdxl_image.py and hunyuan_image.py), HunyuanDiT 1.2 at
// 0.018 (load_scheduler_sigmas of its scripts for kohya's sd-scripts).
std::vector<Spread> known_spreads() {
  std::vector<Spread> spreads;
  for (const auto& betas : published_betas()) {
    spreads.push_back({betas.start, {betas.end}});
  }
  spreads.push_back({published_betas(kLatent)->start, {0.014, 0.018, 0.03}});
  return spreads;
}

// A schedule by itself has both betas of one model: with one of them known, the
// other is told.
void lone_betas(Findings& findings, const Component& scheduler) {
  constexpr double kFirst = 0.0001, kLast = 0.02;  // where the config is silent
  auto stated = [&](const char* field, double absent) {
    return scheduler.config.contains(field) ? scheduler.number(field)
                                            : std::optional(absent);
  };
  auto start = stated("beta_start", kFirst);
  auto end = stated("beta_end", kLast);
  auto trained = scheduler.config.value("trained_betas", Json());
  if (!start || !end || trained.is_array() ||
      !(scheduler.config.contains("beta_start") ||
        scheduler.config.contains("beta_end"))) {
    return;
  }
  std::vector<double> ends, starts;
  for (const auto& spread : known_spreads()) {
    bool here = same_setting(*start, spread.start);
    for (double last : spread.ends) {
      bool there = same_setting(*end, last);
      if (here && there) {
        return;
      }
      if (here) {
        ends.push_back(last);
      }
      if (there) {
        starts.push_back(spread.start);
      }
    }
  }
  if (!ends.empty()) {
    hold(findings, scheduler, "beta_end", Json(ends), kLast);
  } else if (!starts.empty()) {
    hold(findings, scheduler, "beta_start", Json(starts), kFirst);
  }
}

}  // namespace

std::vector<Finding> lone_schedule(const Component& scheduler) {
  Findings findings;
  lone_betas(findings, scheduler);
  without_signal(findings, scheduler);
  const auto* betas = published_betas(kLatent);
  bool latent = scheduler.number("beta_start") == betas->start &&
                scheduler.number("beta_end") == betas->end;
  if (latent) {
    hold_all(findings, scheduler, kNoise);
    hold(findings,
         scheduler,
         "beta_schedule",
         Json::array({"scaled_linear"}),
         "linear");
  }
  return findings;
}

}  // namespace assay::rules
