#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/pipeline.h"
#include "assay/check/published.h"
#include "assay/core/file.h"

// What the components of one pipeline must share, and the values that nothing
// in the files contradicts: those are held against published models.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::string field_of(const Component& component, std::string_view field) {
  return fmt::format("{}: {}", component.config_path.string(), field);
}

std::optional<int64_t> size_of(const Pipeline& pipeline,
                               std::string_view component,
                               std::string_view field) {
  const auto* found = pipeline.find(component);
  return found == nullptr ? std::nullopt : found->size(field);
}

void agree(Findings& findings,
           const Component& component,
           std::string_view field,
           std::optional<int64_t> wanted,
           std::string_view source) {
  auto has = component.size(field);
  if (has && wanted && *has != *wanted) {
    findings.push_back(make_finding("pipeline.disagreement",
                                    field_of(component, field),
                                    fmt::format("{}, {}", *wanted, source),
                                    fmt::format("{}", *has)));
  }
}

std::optional<int64_t> sum(std::optional<int64_t> a, std::optional<int64_t> b) {
  return a && b ? std::optional(*a + *b) : std::nullopt;
}

// Channels that the denoiser takes: the latents, and for some tasks an image
// and a mask beside them.
void latents(const Pipeline& pipeline, Findings& findings) {
  auto latent = size_of(pipeline, "vae", "latent_channels");
  const auto* unet = pipeline.find("unet");
  const auto* transformer = pipeline.find("transformer");
  const auto& name = pipeline.class_name;
  if (!latent) {
    return;
  }
  bool extra = contains(name, "Pix2Pix") || contains(name, "Upscale") ||
               contains(name, "Depth") || contains(name, "Control") ||
               contains(name, "Fill");
  if (extra) {
    return;
  }
  constexpr auto kSource = "the VAE's latent_channels";
  bool inpaint = contains(name, "Inpaint");
  if (unet != nullptr && name.starts_with("StableDiffusion")) {
    bool masked = inpaint && unet->size("in_channels") == 2 * *latent + 1;
    agree(findings,
          *unet,
          "in_channels",
          masked ? 2 * *latent + 1 : *latent,
          kSource);
    agree(findings, *unet, "out_channels", latent, kSource);
  }
  if (transformer != nullptr && name.starts_with("StableDiffusion3") &&
      !inpaint) {
    agree(findings, *transformer, "in_channels", latent, kSource);
  }
  if (transformer != nullptr && name.starts_with("Flux")) {
    agree(findings,
          *transformer,
          "in_channels",
          4 * *latent,
          "four times the VAE's latent_channels");
  }
}

// The pooled text and six numbers (five for a refiner) of picture and crop,
// each embedded.
void time_ids(const Component& unet,
              std::optional<int64_t> pooled,
              bool refiner,
              Findings& findings) {
  auto each = unet.size("addition_time_embed_dim");
  if (pooled && each) {
    agree(findings,
          unet,
          "projection_class_embeddings_input_dim",
          *pooled + (refiner ? 5 : 6) * *each,
          "pooled text and embedded sizes together");
  }
}

void text_widths(const Pipeline& pipeline, Findings& findings) {
  const auto& name = pipeline.class_name;
  const auto* unet = pipeline.find("unet");
  const auto* transformer = pipeline.find("transformer");
  auto first = size_of(pipeline, "text_encoder", "hidden_size");
  auto second = size_of(pipeline, "text_encoder_2", "hidden_size");
  if (unet != nullptr && name.starts_with("StableDiffusionXL")) {
    bool refiner = pipeline.find("text_encoder") == nullptr;
    agree(findings,
          *unet,
          "cross_attention_dim",
          refiner ? second : sum(first, second),
          "the text encoders' widths together");
    time_ids(*unet, second, refiner, findings);
  } else if (unet != nullptr && name.starts_with("StableDiffusion")) {
    agree(findings,
          *unet,
          "cross_attention_dim",
          first,
          "the text encoder's hidden_size");
  }
  if (transformer == nullptr) {
    return;
  }
  if (name.starts_with("StableDiffusion3")) {
    agree(findings,
          *transformer,
          "joint_attention_dim",
          size_of(pipeline, "text_encoder_3", "d_model"),
          "text_encoder_3's d_model");
    agree(findings,
          *transformer,
          "pooled_projection_dim",
          sum(size_of(pipeline, "text_encoder", "projection_dim"),
              size_of(pipeline, "text_encoder_2", "projection_dim")),
          "the text encoders' projection_dim together");
  } else if (name.starts_with("PixArt")) {
    agree(findings,
          *transformer,
          "caption_channels",
          size_of(pipeline, "text_encoder", "d_model"),
          "the text encoder's d_model");
  } else if (name.starts_with("Flux")) {
    agree(findings,
          *transformer,
          "joint_attention_dim",
          size_of(pipeline, "text_encoder_2", "d_model"),
          "text_encoder_2's d_model");
    agree(findings,
          *transformer,
          "pooled_projection_dim",
          first,
          "the text encoder's hidden_size");
  }
}

// A tokenizer that pads to more positions than the encoder has.
void positions(const Pipeline& pipeline, Findings& findings) {
  constexpr std::array kPairs = {
      std::pair("tokenizer", "text_encoder"),
      std::pair("tokenizer_2", "text_encoder_2"),
  };
  for (auto [tokenizer, encoder] : kPairs) {
    auto limit = size_of(pipeline, encoder, "max_position_embeddings");
    const auto* found = pipeline.find(tokenizer);
    if (!limit || found == nullptr) {
      continue;
    }
    auto path = found->folder / "tokenizer_config.json";
    if (!std::filesystem::exists(path)) {
      continue;
    }
    auto config = parse_json(read_text(path, 16u << 20), path.string());
    auto longest =
        config.is_object() ? config.value("model_max_length", Json()) : Json();
    if (longest.is_number() &&
        longest.get<double>() > static_cast<double>(*limit)) {
      findings.push_back(make_finding(
          "text-encoder.too-long",
          path.string() + ": model_max_length",
          fmt::format("at most {}, the positions of {}", *limit, encoder),
          longest.dump()));
    }
  }
}

bool near(double a, double b) {
  return std::abs(a - b) <= 1e-4 * std::abs(b);
}

void hold_published(Findings& findings,
                    const Component& component,
                    std::string_view field,
                    double published) {
  auto value = component.number(field);
  if (value && !near(*value, published)) {
    findings.push_back(make_finding("pipeline.unpublished-value",
                                    field_of(component, field),
                                    fmt::format("{}", published),
                                    fmt::format("{}", *value)));
  }
}

// A model with means of its own for each channel scales by other numbers.
bool has_means(const Component& vae) {
  return vae.config.is_object() &&
         !vae.config.value("latents_mean", Json()).is_null();
}

constexpr std::string_view kTinyVae = "AutoencoderTiny";

// They are trained on latents as the denoiser has them, whichever family's:
// huggingface/diffusers, models/autoencoders/autoencoder_tiny.py ("no such
// scaling factor was used, hence the value of 1.0").
std::vector<Finding> tiny_scaling(const Component& vae) {
  Findings findings;
  hold_published(findings, vae, "scaling_factor", 1);
  hold_published(findings, vae, "shift_factor", 0);
  return findings;
}

}  // namespace

std::vector<Finding> component_agreement(const Pipeline& pipeline) {
  Findings findings;
  latents(pipeline, findings);
  text_widths(pipeline, findings);
  positions(pipeline, findings);
  return findings;
}

std::vector<Finding> latent_scaling(const Pipeline& pipeline) {
  const auto* vae = pipeline.find("vae");
  auto table = published_scaling();
  auto family = std::ranges::find_if(table, [&](const auto& one) {
    return !one.pipeline.empty() &&
           pipeline.class_name.starts_with(one.pipeline);
  });
  if (vae != nullptr && vae->class_name == kTinyVae) {
    return tiny_scaling(*vae);
  }
  bool known = vae != nullptr && family != table.end() &&
               vae->class_name == "AutoencoderKL" &&
               !contains(pipeline.class_name, "Upscale") && !has_means(*vae);
  if (!known) {
    return {};
  }
  Findings findings;
  // diffusers' default is the factor of Stable Diffusion 1 and 2, whose first
  // configs have none.
  constexpr double kDefault = 0.18215;
  if (!vae->number("scaling_factor") && !near(family->factor, kDefault)) {
    findings.push_back(make_finding("vae.factor-missing",
                                    field_of(*vae, "scaling_factor"),
                                    fmt::format("{}", family->factor),
                                    "none"));
  }
  hold_published(findings, *vae, "scaling_factor", family->factor);
  if (family->shift > 0) {
    if (!vae->number("shift_factor")) {
      findings.push_back(make_finding("vae.factor-missing",
                                      field_of(*vae, "shift_factor"),
                                      fmt::format("{}", family->shift),
                                      "none"));
    }
    hold_published(findings, *vae, "shift_factor", family->shift);
  }
  return findings;
}

namespace {

// "0.18215, 0.13025", "1.5305 with shift 0.0609": each once.
std::string factors_of(int64_t channels) {
  std::vector<std::string> list;
  for (const auto& one : published_scaling()) {
    auto text = fmt::format("{}", one.factor);
    text += one.shift > 0 ? fmt::format(" with shift {}", one.shift) : "";
    if (one.channels == channels &&
        std::ranges::find(list, text) == list.end()) {
      list.push_back(std::move(text));
    }
  }
  return fmt::format("{}", fmt::join(list, " or "));
}

}  // namespace

std::vector<Finding> lone_scaling(const Component& vae) {
  if (vae.class_name == kTinyVae) {
    return tiny_scaling(vae);
  }
  auto channels = vae.size("latent_channels");
  auto table = published_scaling();
  bool known = channels && std::ranges::any_of(table, [&](const auto& one) {
                 return one.channels == *channels;
               });
  if (vae.class_name != "AutoencoderKL" || !known || has_means(vae)) {
    return {};
  }
  Findings findings;
  auto factor = vae.number("scaling_factor");
  auto shift = vae.number("shift_factor").value_or(0);
  constexpr int64_t kFirst = 4;  // whose factor is the class's own default
  if (!factor) {
    if (*channels != kFirst) {
      findings.push_back(make_finding("vae.factor-missing",
                                      field_of(vae, "scaling_factor"),
                                      factors_of(*channels),
                                      "none"));
    }
    return findings;
  }
  bool published = std::ranges::any_of(table, [&](const auto& one) {
    return one.channels == *channels && near(*factor, one.factor) &&
           near(shift, one.shift);
  });
  if (!published) {
    findings.push_back(
        make_finding("pipeline.unpublished-value",
                     field_of(vae, "scaling_factor, shift_factor"),
                     factors_of(*channels),
                     fmt::format("{}, shift {}", *factor, shift)));
  }
  return findings;
}

std::vector<Finding> noise_schedule(const Pipeline& pipeline) {
  const auto* scheduler = pipeline.find("scheduler");
  if (scheduler == nullptr || !scheduler->config.is_object()) {
    return {};
  }
  Findings findings;
  const auto& name = pipeline.class_name;
  bool flow_model =
      name.starts_with("StableDiffusion3") || name.starts_with("Flux");
  auto uses_flow = scheduler->config.find("use_flow_sigmas");
  bool flow = contains(scheduler->class_name, "FlowMatch") ||
              (uses_flow != scheduler->config.end() && *uses_flow == true);
  if (flow != flow_model && (flow_model || name.starts_with("StableDiff"))) {
    findings.push_back(make_finding(
        "scheduler.wrong-family",
        scheduler->config_path.string(),
        flow_model ? "a flow matching scheduler" : "a diffusion scheduler",
        scheduler->class_name));
  }
  std::ranges::move(schedule_values(*scheduler), std::back_inserter(findings));
  const auto* betas = published_betas(name);
  if (name.starts_with("PixArt") && betas != nullptr && findings.empty()) {
    hold_published(findings, *scheduler, "beta_start", betas->start);
    hold_published(findings, *scheduler, "beta_end", betas->end);
  }
  return findings;
}

}  // namespace assay::rules
