#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "assay/check/adapter.h"

// Names of diffusers' UNet and transformers in the code bases that these come
// from, which kohya's and XLabs' adapters keep. Held against
// kohya-ss/sd-scripts (library/sdxl_model_util.py, networks/lora.py,
// lora_sd3.py and convert_flux_lora.py, whose head lists the tensors of such
// adapters), XLabs-AI/x-flux (src/flux/modules/layers.py) and
// huggingface/diffusers (src/diffusers/loaders/single_file_utils.py: FLUX,
// Stable Diffusion 3, Lumina 2, OpenCLIP).
namespace assay::rules {
namespace {

struct Renamed {
  std::string_view diffusers, original;
};

// "down_blocks.1." to 1 and what follows.
std::optional<std::pair<int64_t, std::string_view>> numbered(
    std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) {
    return std::nullopt;
  }
  name.remove_prefix(prefix.size());
  int64_t number = 0;
  auto end = std::from_chars(name.data(), name.data() + name.size(), number);
  auto length = static_cast<size_t>(end.ptr - name.data());
  constexpr int64_t kMost = 1000;
  bool whole = end.ec == std::errc() && number >= 0 && number < kMost &&
               length < name.size() && name[length] == '.';
  return whole ? std::optional(std::pair(number, name.substr(length + 1)))
               : std::nullopt;
}

template <typename Table>
std::string renamed(std::string_view name, const Table& table) {
  for (const auto& one : table) {
    if (name == one.diffusers) {
      return std::string(one.original);
    }
  }
  return std::string(name);
}

constexpr std::array kResnet = {
    Renamed{"norm1", "in_layers.0"},
    Renamed{"conv1", "in_layers.2"},
    Renamed{"time_emb_proj", "emb_layers.1"},
    Renamed{"norm2", "out_layers.0"},
    Renamed{"conv2", "out_layers.3"},
    Renamed{"conv_shortcut", "skip_connection"},
};

constexpr std::array kUnet = {
    Renamed{"conv_in", "input_blocks.0.0"},
    Renamed{"conv_norm_out", "out.0"},
    Renamed{"conv_out", "out.2"},
    Renamed{"time_embedding.linear_1", "time_embed.0"},
    Renamed{"time_embedding.linear_2", "time_embed.2"},
    Renamed{"add_embedding.linear_1", "label_emb.0.0"},
    Renamed{"add_embedding.linear_2", "label_emb.0.2"},
};

/** The blocks of one UNet. */
class Unet {
 public:
  Unet(const BaseModules& modules, std::string_view prefix) {
    for (const auto& [name, shape] : modules) {
      std::string_view rest = name;
      if (!rest.starts_with(prefix)) {
        continue;
      }
      rest.remove_prefix(prefix.size());
      if (auto block = numbered(rest, "down_blocks.")) {
        if (auto resnet = numbered(block->second, "resnets.")) {
          layers_ = std::max(layers_, resnet->first + 1);
        }
      } else if (auto up = numbered(rest, "up_blocks.")) {
        attends_[up->first] |= up->second.starts_with("attentions.");
      }
    }
  }

  bool found() const { return layers_ > 0; }

  std::string original(std::string_view name) const {
    if (auto down = numbered(name, "down_blocks.")) {
      return in_block(
          "input_blocks", 1 + down->first * (layers_ + 1), layers_, *down);
    }
    if (auto up = numbered(name, "up_blocks.")) {
      return in_block("output_blocks", up->first * (layers_ + 1), layers_, *up);
    }
    constexpr std::string_view kMiddle = "mid_block.";
    if (name.starts_with(kMiddle)) {
      auto rest = name.substr(kMiddle.size());
      if (auto resnet = numbered(rest, "resnets.")) {
        return fmt::format("middle_block.{}.{}",
                           2 * resnet->first,
                           renamed(resnet->second, kResnet));
      }
      if (auto attention = numbered(rest, "attentions.")) {
        return fmt::format("middle_block.1.{}", attention->second);
      }
      return "";
    }
    auto whole = renamed(name, kUnet);
    return whole == name ? "" : whole;
  }

 private:
  using Block = std::pair<int64_t, std::string_view>;

  std::string in_block(std::string_view stack,
                       int64_t first,
                       int64_t last,
                       const Block& block) const {
    const auto& [number, rest] = block;
    if (auto resnet = numbered(rest, "resnets.")) {
      return fmt::format("{}.{}.0.{}",
                         stack,
                         first + resnet->first,
                         renamed(resnet->second, kResnet));
    }
    if (auto attention = numbered(rest, "attentions.")) {
      return fmt::format(
          "{}.{}.1.{}", stack, first + attention->first, attention->second);
    }
    if (rest == "downsamplers.0.conv") {
      return fmt::format("{}.{}.0.op", stack, first + last);
    }
    if (rest == "upsamplers.0.conv") {
      auto attends = attends_.find(number);
      bool after = attends != attends_.end() && attends->second;
      return fmt::format("{}.{}.{}.conv", stack, first + last, after ? 2 : 1);
    }
    return "";
  }

  int64_t layers_ = 0;  ///< resnets of a block that goes down
  std::map<int64_t, bool> attends_;
};

template <typename Table>
std::string named_back(std::string_view name, const Table& table) {
  for (const auto& one : table) {
    if (name == one.original) {
      return std::string(one.diffusers);
    }
  }
  return std::string(name);
}

/** The other way: a UNet of a single file. */
class SingleFileUnet {
 public:
  SingleFileUnet(const BaseModules& modules, std::string_view prefix) {
    for (const auto& [name, shape] : modules) {
      std::string_view rest = name;
      if (!rest.starts_with(prefix)) {
        continue;
      }
      rest.remove_prefix(prefix.size());
      auto block = numbered(rest, "input_blocks.");
      if (block && block->second == "0.op" && block->first > 0) {
        stride_ = stride_ == 0 ? block->first : std::min(stride_, block->first);
      }
    }
  }

  bool found() const { return stride_ > 0; }

  std::string diffusers(std::string_view name) const {
    if (auto block = numbered(name, "input_blocks.");
        block && block->first > 0) {
      return in_block("down_blocks", block->first - 1, block->second);
    }
    if (auto block = numbered(name, "output_blocks.")) {
      return in_block("up_blocks", block->first, block->second);
    }
    if (auto block = numbered(name, "middle_block.")) {
      return block->first == 1
                 ? fmt::format("mid_block.attentions.0.{}", block->second)
                 : fmt::format("mid_block.resnets.{}.{}",
                               block->first / 2,
                               named_back(block->second, kResnet));
    }
    auto whole = named_back(name, kUnet);
    return whole == name ? "" : whole;
  }

 private:
  std::string in_block(std::string_view stack,
                       int64_t place,
                       std::string_view rest) const {
    auto block = place / stride_;
    auto layer = place % stride_;
    if (rest == "0.op") {
      return fmt::format("{}.{}.downsamplers.0.conv", stack, block);
    }
    if (rest == "1.conv" || rest == "2.conv") {
      return fmt::format("{}.{}.upsamplers.0.conv", stack, block);
    }
    auto inner = rest.substr(std::min<size_t>(2, rest.size()));
    if (rest.starts_with("0.")) {
      return fmt::format("{}.{}.resnets.{}.{}",
                         stack,
                         block,
                         layer,
                         named_back(inner, kResnet));
    }
    return rest.starts_with("1.")
               ? fmt::format(
                     "{}.{}.attentions.{}.{}", stack, block, layer, inner)
               : "";
  }

  int64_t stride_ = 0;  ///< blocks of one resolution, its downsampler counted
};

constexpr std::array kFlux = {
    Renamed{"x_embedder", "img_in"},
    Renamed{"context_embedder", "txt_in"},
    Renamed{"time_text_embed.timestep_embedder.linear_1", "time_in.in_layer"},
    Renamed{"time_text_embed.timestep_embedder.linear_2", "time_in.out_layer"},
    Renamed{"time_text_embed.text_embedder.linear_1", "vector_in.in_layer"},
    Renamed{"time_text_embed.text_embedder.linear_2", "vector_in.out_layer"},
    Renamed{"time_text_embed.guidance_embedder.linear_1",
            "guidance_in.in_layer"},
    Renamed{"time_text_embed.guidance_embedder.linear_2",
            "guidance_in.out_layer"},
    Renamed{"norm_out.linear", "final_layer.adaLN_modulation.1"},
    Renamed{"proj_out", "final_layer.linear"},
};

// Of two modules with one name the original has both in one.
constexpr std::array kDouble = {
    Renamed{"norm1.linear", "img_mod.lin"},
    Renamed{"norm1_context.linear", "txt_mod.lin"},
    Renamed{"attn.to_q", "img_attn.qkv"},
    Renamed{"attn.to_k", "img_attn.qkv"},
    Renamed{"attn.to_v", "img_attn.qkv"},
    Renamed{"attn.to_out.0", "img_attn.proj"},
    Renamed{"attn.add_q_proj", "txt_attn.qkv"},
    Renamed{"attn.add_k_proj", "txt_attn.qkv"},
    Renamed{"attn.add_v_proj", "txt_attn.qkv"},
    Renamed{"attn.to_add_out", "txt_attn.proj"},
    Renamed{"ff.net.0.proj", "img_mlp.0"},
    Renamed{"ff.net.2", "img_mlp.2"},
    Renamed{"ff_context.net.0.proj", "txt_mlp.0"},
    Renamed{"ff_context.net.2", "txt_mlp.2"},
};

constexpr std::array kSingle = {
    Renamed{"norm.linear", "modulation.lin"},
    Renamed{"attn.to_q", "linear1"},
    Renamed{"attn.to_k", "linear1"},
    Renamed{"attn.to_v", "linear1"},
    Renamed{"proj_mlp", "linear1"},
    Renamed{"proj_out", "linear2"},
};

// Stable Diffusion 3's blocks have an image and a text half.
constexpr std::array kJoint = {
    Renamed{"norm1.linear", "x_block.adaLN_modulation.1"},
    Renamed{"norm1_context.linear", "context_block.adaLN_modulation.1"},
    Renamed{"attn.to_q", "x_block.attn.qkv"},
    Renamed{"attn.to_k", "x_block.attn.qkv"},
    Renamed{"attn.to_v", "x_block.attn.qkv"},
    Renamed{"attn.to_out.0", "x_block.attn.proj"},
    Renamed{"attn.add_q_proj", "context_block.attn.qkv"},
    Renamed{"attn.add_k_proj", "context_block.attn.qkv"},
    Renamed{"attn.add_v_proj", "context_block.attn.qkv"},
    Renamed{"attn.to_add_out", "context_block.attn.proj"},
    Renamed{"attn2.to_q", "x_block.attn2.qkv"},
    Renamed{"attn2.to_k", "x_block.attn2.qkv"},
    Renamed{"attn2.to_v", "x_block.attn2.qkv"},
    Renamed{"attn2.to_out.0", "x_block.attn2.proj"},
    Renamed{"ff.net.0.proj", "x_block.mlp.fc1"},
    Renamed{"ff.net.2", "x_block.mlp.fc2"},
    Renamed{"ff_context.net.0.proj", "context_block.mlp.fc1"},
    Renamed{"ff_context.net.2", "context_block.mlp.fc2"},
};

constexpr std::array kSd3 = {
    Renamed{"pos_embed.proj", "x_embedder.proj"},
    Renamed{"time_text_embed.timestep_embedder.linear_1", "t_embedder.mlp.0"},
    Renamed{"time_text_embed.timestep_embedder.linear_2", "t_embedder.mlp.2"},
    Renamed{"time_text_embed.text_embedder.linear_1", "y_embedder.mlp.0"},
    Renamed{"time_text_embed.text_embedder.linear_2", "y_embedder.mlp.2"},
    Renamed{"norm_out.linear", "final_layer.adaLN_modulation.1"},
    Renamed{"proj_out", "final_layer.linear"},
};

// Lumina 2: layers, noise_refiner and context_refiner keep their names.
constexpr std::array kLuminaBlock = {
    Renamed{"attn.to_q", "attention.qkv"},
    Renamed{"attn.to_k", "attention.qkv"},
    Renamed{"attn.to_v", "attention.qkv"},
    Renamed{"attn.to_out.0", "attention.out"},
    Renamed{"feed_forward.linear_1", "feed_forward.w1"},
    Renamed{"feed_forward.linear_2", "feed_forward.w2"},
    Renamed{"feed_forward.linear_3", "feed_forward.w3"},
    Renamed{"norm1.linear", "adaLN_modulation.1"},
};

constexpr std::array kLumina = {
    Renamed{"norm_out.linear_1", "final_layer.adaLN_modulation.1"},
    Renamed{"norm_out.linear_2", "final_layer.linear"},
    Renamed{"time_caption_embed.timestep_embedder.linear_1",
            "t_embedder.mlp.0"},
    Renamed{"time_caption_embed.timestep_embedder.linear_2",
            "t_embedder.mlp.2"},
    Renamed{"time_caption_embed.caption_embedder.1", "cap_embedder.1"},
};

template <typename Table>
std::string in_stack(const std::pair<int64_t, std::string_view>& block,
                     std::string_view stack,
                     const Table& table) {
  auto inner = renamed(block.second, table);
  return inner == block.second
             ? ""
             : fmt::format("{}.{}.{}", stack, block.first, inner);
}

std::string flux_name(std::string_view name) {
  if (auto block = numbered(name, "transformer_blocks.")) {
    return in_stack(*block, "double_blocks", kDouble);
  }
  if (auto block = numbered(name, "single_transformer_blocks.")) {
    return in_stack(*block, "single_blocks", kSingle);
  }
  auto whole = renamed(name, kFlux);
  return whole == name ? "" : whole;
}

std::string sd3_name(std::string_view name) {
  if (auto block = numbered(name, "transformer_blocks.")) {
    return in_stack(*block, "joint_blocks", kJoint);
  }
  auto whole = renamed(name, kSd3);
  return whole == name ? "" : whole;
}

std::string lumina_name(std::string_view name) {
  for (std::string_view stack :
       {"layers", "noise_refiner", "context_refiner"}) {
    if (auto block = numbered(name, fmt::format("{}.", stack))) {
      return in_stack(*block, stack, kLuminaBlock);
    }
  }
  auto whole = renamed(name, kLumina);
  return whole == name ? "" : whole;
}

using Rename = std::string (*)(std::string_view);

/** A transformer of diffusers by a module that only it has. */
Rename transformer_names(const BaseModules& modules, std::string_view prefix) {
  auto has = [&](std::string_view name) {
    return modules.contains(fmt::format("{}{}", prefix, name));
  };
  if (has("single_transformer_blocks.0.proj_mlp")) {
    return flux_name;
  }
  if (has("transformer_blocks.0.attn.add_q_proj") && has("pos_embed.proj")) {
    return sd3_name;
  }
  return has("time_caption_embed.caption_embedder.1") ? lumina_name : nullptr;
}

// Modules that the original has as one are one above the other in it.
void add(BaseModules& more,
         const std::string& name,
         std::optional<Shape> shape) {
  auto [entry, fresh] = more.emplace(name, shape);
  if (fresh) {
    return;
  }
  auto& whole = entry->second;
  bool fits = whole && shape && whole->size() == shape->size() &&
              !shape->empty() && (*shape)[0] < int64_t{1} << 40 &&
              (*whole)[0] < int64_t{1} << 40;
  if (fits) {
    (*whole)[0] += (*shape)[0];
  } else {
    whole.reset();
  }
}

}  // namespace

void add_original_names(BaseModules& modules) {
  BaseModules more;
  for (std::string_view prefix : {"", "unet.", "transformer."}) {
    Unet unet(modules, prefix);
    auto rename = transformer_names(modules, prefix);
    if (!unet.found() && rename == nullptr) {
      continue;
    }
    for (const auto& [name, shape] : modules) {
      std::string_view own = name;
      if (!own.starts_with(prefix)) {
        continue;
      }
      own.remove_prefix(prefix.size());
      auto original = rename != nullptr ? rename(own) : unet.original(own);
      if (!original.empty()) {
        add(more, original, shape);
      }
    }
  }
  modules.merge(more);
}

void add_diffusers_names(BaseModules& modules) {
  BaseModules more;
  for (std::string_view prefix : {"", "model.diffusion_model."}) {
    SingleFileUnet unet(modules, prefix);
    if (!unet.found()) {
      continue;
    }
    for (const auto& [name, shape] : modules) {
      std::string_view own = name;
      if (own.starts_with(prefix)) {
        auto known = unet.diffusers(own.substr(prefix.size()));
        if (!known.empty()) {
          more.emplace("unet." + known, shape);
        }
      }
    }
  }
  constexpr std::array kEncoders = {
      Renamed{"text_encoder.", "cond_stage_model.transformer."},
      Renamed{"text_encoder.", "cond_stage_model.model."},
      Renamed{"text_encoder.", "conditioner.embedders.0.transformer."},
      Renamed{"text_encoder_2.", "conditioner.embedders.1.model."},
  };
  for (const auto& [name, shape] : modules) {
    for (const auto& one : kEncoders) {
      if (!name.starts_with(one.original)) {
        continue;
      }
      auto rest = name.substr(one.original.size());
      more.emplace(std::string(one.diffusers) + rest, shape);
      // transformers 5 leaves the class's name out.
      constexpr std::string_view kInner = "text_model.";
      if (rest.starts_with(kInner)) {
        more.emplace(std::string(one.diffusers) + rest.substr(kInner.size()),
                     shape);
      }
    }
  }
  modules.merge(more);
}

void add_clip_names(BaseModules& modules,
                    std::string_view tensor,
                    const Shape& shape) {
  constexpr std::string_view kBlocks = "model.transformer.resblocks.";
  auto at = tensor.find(kBlocks);
  auto block = at == std::string_view::npos
                   ? std::nullopt
                   : numbered(tensor.substr(at), kBlocks);
  if (!block) {
    return;
  }
  auto layer = fmt::format("{}model.text_model.encoder.layers.{}.",
                           tensor.substr(0, at),
                           block->first);
  if (block->second == "attn.in_proj_weight" && shape.size() == 2) {
    for (const auto* part : {"q_proj", "k_proj", "v_proj"}) {
      modules[layer + "self_attn." + part] = Shape{shape[0] / 3, shape[1]};
    }
  }
  constexpr std::array kParts = {
      Renamed{"self_attn.out_proj", "attn.out_proj.weight"},
      Renamed{"mlp.fc1", "mlp.c_fc.weight"},
      Renamed{"mlp.fc2", "mlp.c_proj.weight"},
  };
  for (const auto& part : kParts) {
    if (block->second == part.original) {
      modules[layer + std::string(part.diffusers)] = shape;
    }
  }
}

}  // namespace assay::rules
