#include "assay/formats/checkpoint_layout.h"

#include <algorithm>
#include <array>
#include <map>

#include <fmt/format.h>

namespace assay {
namespace {

// Under which prefixes parts lie; longer ones before those they begin with.
constexpr std::array<std::string_view, 17> kPrefixes = {
    "model.diffusion_model.",
    "first_stage_model.",
    "vae.",
    "cond_stage_model.transformer.",
    "cond_stage_model.model.",
    "cond_stage_model.",
    "conditioner.embedders.0.transformer.",
    "conditioner.embedders.0.model.",
    "conditioner.embedders.1.model.",
    "text_encoders.clip_l.transformer.",
    "text_encoders.clip_g.transformer.",
    "text_encoders.t5xxl.transformer.",
    "text_encoders.clip_l.",
    "text_encoders.clip_g.",
    "text_encoders.t5xxl.",
    "control_model.",
    "model_ema.",
};

bool is_schedule(std::string_view name) {
  constexpr std::array<std::string_view, 6> kNames = {
      "betas", "v_pred", "ztsnr", "edm_mean", "edm_std", "logvar"};
  return std::ranges::find(kNames, name) != kNames.end() ||
         name.starts_with("alphas_cumprod") || name.starts_with("sqrt_") ||
         name.starts_with("log_one_minus_alphas") ||
         name.starts_with("posterior_") || name.starts_with("denoiser.") ||
         name.starts_with("model_sampling.") || name == "scale_factor";
}

/** A tensor that only one kind of part has; both where there are two. */
struct Marker {
  PartKind kind;
  std::string_view first;
  std::string_view second = {};
};

constexpr std::array kMarkers = {
    Marker{PartKind::control, "input_hint_block.0.weight"},
    Marker{PartKind::control, "controlnet_cond_embedding.conv_in.weight"},
    Marker{PartKind::control, "controlnet_x_embedder.weight"},
    Marker{PartKind::flux, "double_blocks.0.img_attn.qkv.weight"},
    Marker{PartKind::flux, "single_blocks.0.linear1.weight"},
    Marker{PartKind::sd3, "joint_blocks.0.x_block.attn.qkv.weight"},
    Marker{PartKind::unet, "input_blocks.0.0.weight"},
    Marker{PartKind::unet, "middle_block.0.in_layers.0.weight"},
    Marker{PartKind::wan, "blocks.0.self_attn.q.weight", "head.modulation"},
    Marker{PartKind::lumina, "cap_embedder.0.weight"},
    Marker{PartKind::pixart,
           "blocks.0.cross_attn.kv_linear.weight",
           "x_embedder.proj.weight"},
    Marker{PartKind::wan_vae, "decoder.middle.0.residual.0.gamma"},
    Marker{PartKind::vae, "decoder.mid.block_1.conv1.weight"},
    Marker{PartKind::vae, "encoder.mid.block_1.conv1.weight"},
    Marker{PartKind::clip, "text_model.embeddings.token_embedding.weight"},
    Marker{PartKind::clip, "text_model.encoder.layers.0.mlp.fc1.weight"},
    Marker{PartKind::open_clip, "transformer.resblocks.0.ln_1.weight"},
    Marker{PartKind::t5, "encoder.block.0.layer.0.SelfAttention.q.weight"},
    Marker{PartKind::diffusers_vae,
           "decoder.up_blocks.0.resnets.0.conv1.weight"},
    Marker{PartKind::diffusers_unet, "down_blocks.0.resnets.0.conv1.weight"},
    Marker{PartKind::diffusers_transformer,
           "transformer_blocks.0.attn.to_q.weight",
           "proj_out.weight"},
};

PartKind kind_of(const CheckpointPart& part) {
  for (const auto& marker : kMarkers) {
    if (part.find(marker.first) != nullptr &&
        (marker.second.empty() || part.find(marker.second) != nullptr)) {
      return marker.kind;
    }
  }
  return PartKind::other;
}

std::string unet_family(const Checkpoint& checkpoint,
                        const CheckpointPart& unet) {
  auto has = [&](std::string_view prefix) {
    return std::ranges::any_of(checkpoint.parts, [&](const auto& part) {
      return part.prefix == prefix;
    });
  };
  std::optional<int64_t> context;
  for (const auto& [name, tensor] : unet.tensors) {
    if (name.ends_with("attn2.to_k.weight") && tensor->shape.size() == 2) {
      context = tensor->shape[1];
      break;
    }
  }
  bool labels = unet.find("label_emb.0.0.weight") != nullptr;
  std::string family;
  if (has("conditioner.embedders.1.model.") || (labels && context == 2048)) {
    family = "Stable Diffusion XL";
  } else if (has("conditioner.embedders.0.model.") ||
             (labels && context == 1280)) {
    family = "Stable Diffusion XL refiner";
  } else if (has("cond_stage_model.transformer.") || context == 768) {
    family = "Stable Diffusion 1";
  } else if (has("cond_stage_model.model.") || context == 1024) {
    family = "Stable Diffusion 2";
  }
  auto channels = unet.size("input_blocks.0.0.weight", 1);
  if (channels == 9) {
    family += family.empty() ? "inpainting" : ", inpainting";
  } else if (channels == 8) {
    family += family.empty() ? "image to image" : ", edited by text";
  }
  return family;
}

std::string flux_family(const CheckpointPart& flux) {
  if (flux.find("distilled_guidance_layer.in_proj.weight") != nullptr) {
    return "Chroma";
  }
  if (flux.find("double_stream_modulation_img.lin.weight") != nullptr) {
    return "FLUX.2";
  }
  auto channels = flux.size("img_in.weight", 1);
  if (channels == 384) {
    return "FLUX.1 Fill";
  }
  if (channels == 128) {
    return "FLUX.1 with a control image";
  }
  return flux.find("guidance_in.in_layer.weight") != nullptr ? "FLUX.1 dev"
                                                             : "FLUX.1 schnell";
}

std::string family_of(const Checkpoint& checkpoint) {
  const auto* part = checkpoint.denoiser();
  if (part == nullptr) {
    return "";
  }
  switch (part->kind) {
    case PartKind::unet:
      return unet_family(checkpoint, *part);
    case PartKind::flux:
      return flux_family(*part);
    case PartKind::sd3:
      return part->find("joint_blocks.0.x_block.attn.ln_q.weight") != nullptr
                 ? "Stable Diffusion 3.5"
                 : "Stable Diffusion 3";
    case PartKind::wan:
      return "Wan";
    case PartKind::lumina:
      return "Lumina";
    case PartKind::pixart:
      return "PixArt";
    default:
      return "";
  }
}

}  // namespace

std::string_view name(PartKind kind) {
  switch (kind) {
    case PartKind::unet:
      return "UNet";
    case PartKind::sd3:
      return "SD3 transformer";
    case PartKind::flux:
      return "FLUX transformer";
    case PartKind::wan:
      return "Wan transformer";
    case PartKind::lumina:
      return "Lumina transformer";
    case PartKind::pixart:
      return "PixArt transformer";
    case PartKind::control:
      return "ControlNet";
    case PartKind::vae:
      return "VAE";
    case PartKind::wan_vae:
      return "Wan VAE";
    case PartKind::clip:
      return "CLIP text encoder";
    case PartKind::open_clip:
      return "OpenCLIP text encoder";
    case PartKind::t5:
      return "T5 encoder";
    case PartKind::diffusers_unet:
      return "UNet, diffusers' names";
    case PartKind::diffusers_transformer:
      return "transformer, diffusers' names";
    case PartKind::diffusers_vae:
      return "VAE, diffusers' names";
    case PartKind::average:
      return "moving average";
    case PartKind::schedule:
      return "noise schedule";
    case PartKind::other:
      return "other";
  }
  return "";
}

bool is_denoiser(PartKind kind) {
  switch (kind) {
    case PartKind::unet:
    case PartKind::sd3:
    case PartKind::flux:
    case PartKind::wan:
    case PartKind::lumina:
    case PartKind::pixart:
    case PartKind::diffusers_unet:
    case PartKind::diffusers_transformer:
      return true;
    default:
      return false;
  }
}

const TensorInfo* CheckpointPart::find(std::string_view tensor) const {
  auto entry = std::ranges::lower_bound(
      tensors, tensor, {}, [](const auto& one) { return one.first; });
  return entry != tensors.end() && entry->first == tensor ? entry->second
                                                          : nullptr;
}

std::optional<int64_t> CheckpointPart::size(std::string_view tensor,
                                            size_t dim) const {
  const auto* found = find(tensor);
  // Packed types have other widths than the layer.
  bool plain = found != nullptr &&
               (is_floating(found->dtype) || is_block_quantized(found->dtype));
  return plain && dim < found->shape.size() ? std::optional(found->shape[dim])
                                            : std::nullopt;
}

uint64_t CheckpointPart::parameters() const {
  uint64_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    count += element_count(tensor->shape).value_or(0);
  }
  return count;
}

uint64_t CheckpointPart::bytes() const {
  uint64_t count = 0;
  for (const auto& [name, tensor] : tensors) {
    count += tensor->bytes;
  }
  return count;
}

const CheckpointPart* Checkpoint::find(PartKind kind) const {
  auto part = std::ranges::find(parts, kind, &CheckpointPart::kind);
  return part == parts.end() ? nullptr : &*part;
}

const CheckpointPart* Checkpoint::denoiser() const {
  auto part = std::ranges::find_if(
      parts, [](const auto& one) { return is_denoiser(one.kind); });
  return part == parts.end() ? nullptr : &*part;
}

std::optional<Checkpoint> checkpoint_layout(const ModelFiles& files) {
  std::map<std::string_view, CheckpointPart> groups;
  constexpr std::string_view kSchedule = "?schedule";
  for (const auto& tensor : files.tensors) {
    std::string_view name = tensor.name;
    auto prefix = std::ranges::find_if(
        kPrefixes, [&](auto one) { return name.starts_with(one); });
    std::string_view key = prefix == kPrefixes.end() ? "" : *prefix;
    if (key.empty() && is_schedule(name)) {
      key = kSchedule;
    }
    auto& part = groups[key];
    part.prefix = key == kSchedule ? "" : key;
    part.tensors.emplace_back(name.substr(part.prefix.size()), &tensor);
  }
  Checkpoint checkpoint;
  bool known = false;
  for (auto& [key, part] : groups) {
    std::ranges::sort(part.tensors);
    if (key == kSchedule) {
      part.kind = PartKind::schedule;
    } else if (key == "model_ema.") {
      part.kind = PartKind::average;
    } else {
      part.kind = kind_of(part);
      known = known || part.kind != PartKind::other;
    }
    checkpoint.parts.push_back(std::move(part));
  }
  if (!known) {
    return std::nullopt;
  }
  std::ranges::stable_sort(checkpoint.parts, {}, &CheckpointPart::kind);
  checkpoint.family = family_of(checkpoint);
  return checkpoint;
}

}  // namespace assay
