#include "assay/check/checkpoint_parts.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <map>
#include <vector>

#include <fmt/format.h>

namespace assay::rules {
namespace {

using Alternatives = std::initializer_list<std::string_view>;
using Levels = std::set<int64_t>;

/** Lists what a part needs, by what it has. */
class PartLister {
 public:
  explicit PartLister(const CheckpointPart& part) : part_(part) {}

  bool any(std::string_view prefix) const {
    // The names are sorted.
    auto at = std::ranges::lower_bound(
        part_.tensors, prefix, {}, [](const auto& one) { return one.first; });
    return at != part_.tensors.end() && at->first.starts_with(prefix);
  }
  bool has(std::string_view name) const { return part_.find(name) != nullptr; }

  void tensor(std::string name) { found_.wanted.insert(std::move(name)); }
  void both(const std::string& path) {
    tensor(path + ".weight");
    tensor(path + ".bias");
  }
  void layers(const std::string& path, Alternatives names) {
    for (auto name : names) {
      both(path + std::string(name));
    }
  }
  void weights(const std::string& path, Alternatives names) {
    for (auto name : names) {
      tensor(fmt::format("{}{}.weight", path, name));
    }
  }
  void layers_if_any(const std::string& path, Alternatives names) {
    if (any(path)) {
      layers(path, names);
    }
  }

  /** The numbers that follow a prefix and are followed by a dot. */
  Levels numbers(std::string_view prefix) const {
    Levels found;
    for (const auto& [name, tensor] : part_.tensors) {
      if (!name.starts_with(prefix)) {
        continue;
      }
      auto rest = name.substr(prefix.size());
      int64_t number = 0;
      auto end =
          std::from_chars(rest.data(), rest.data() + rest.size(), number);
      auto length = static_cast<size_t>(end.ptr - rest.data());
      if (end.ec == std::errc() && length < rest.size() &&
          rest[length] == '.' && number >= 0) {
        found.insert(number);
      }
    }
    return found;
  }

  /** The same; names the first number that is left out. */
  Levels stack(const std::string& prefix) {
    auto found = numbers(prefix);
    int64_t next = 0;
    for (auto number : found) {
      if (number != next) {
        found_.blocks.push_back(fmt::format("{}{}", prefix, next));
        break;
      }
      ++next;
    }
    return found;
  }
  void lacks_block(std::string path) {
    if (std::ranges::find(found_.blocks, path) == found_.blocks.end()) {
      found_.blocks.push_back(std::move(path));
    }
  }
  bool lacks_blocks() const { return !found_.blocks.empty(); }

  /** True where a convolution or matrix has as many outputs as inputs, false
   * where not; nothing where there is none. */
  std::optional<bool> keeps_width(const std::string& name) const {
    auto out = part_.size(name, 0);
    auto in = part_.size(name, 1);
    return out && in ? std::optional(*out == *in) : std::nullopt;
  }

  const CheckpointPart& part() const { return part_; }
  PartTensors take() { return std::move(found_); }

 private:
  const CheckpointPart& part_;
  PartTensors found_;
};

// ---- UNets of ldm and sgm ----

void residual_block(PartLister& list, const std::string& path) {
  list.layers(path,
              {"in_layers.0",
               "in_layers.2",
               "emb_layers.1",
               "out_layers.0",
               "out_layers.3"});
  if (list.any(path + "skip_connection.") ||
      list.keeps_width(path + "in_layers.2.weight") == false) {
    list.both(path + "skip_connection");
  }
}

void spatial_transformer(PartLister& list, const std::string& path) {
  list.layers(path, {"norm", "proj_in", "proj_out"});
  auto layers = list.stack(path + "transformer_blocks.");
  if (layers.empty()) {
    list.lacks_block(path + "transformer_blocks.0");
  }
  for (auto number : layers) {
    auto block = fmt::format("{}transformer_blocks.{}.", path, number);
    list.weights(block,
                 {"attn1.to_q",
                  "attn1.to_k",
                  "attn1.to_v",
                  "attn2.to_q",
                  "attn2.to_k",
                  "attn2.to_v"});
    list.layers(block,
                {"attn1.to_out.0",
                 "attn2.to_out.0",
                 "ff.net.0.proj",
                 "ff.net.2",
                 "norm1",
                 "norm2",
                 "norm3"});
  }
}

// What lies in a block: each module is told by the tensors that it has.
void unet_modules(PartLister& list, const std::string& block) {
  for (auto number : list.stack(block)) {
    auto path = fmt::format("{}{}.", block, number);
    if (list.any(path + "in_layers.") || list.any(path + "out_layers.")) {
      residual_block(list, path);
    } else if (list.any(path + "transformer_blocks.") ||
               list.any(path + "proj_in.")) {
      spatial_transformer(list, path);
    } else if (list.any(path + "op.")) {
      list.both(path + "op");
    } else if (list.any(path + "conv.")) {
      list.both(path + "conv");
    }
  }
}

/** A published UNet that was distilled with fewer blocks in its middle. */
struct Distilled {
  size_t input_blocks;
  size_t depth;  ///< transformer layers where the channels are most
  size_t middle;
};

// Segmind's SSD-1B and Vega keep the first block of three, KOALA-700M and the
// two of SDXS none: comfyanonymous/ComfyUI, comfy/model_detection.py
// (transformer_depth_middle -1 and -2), which takes any UNet so, as diffusers
// does (loaders/single_file_utils.py). None in BK-SDM's small and tiny either:
// Nota-NetsPresso/BK-SDM, src/unet_config (mid_block_type null).
constexpr auto kDistilled = std::to_array<Distilled>(
    {{9, 4, 1}, {9, 2, 1}, {6, 5, 0}, {6, 1, 0}, {8, 1, 0}});
constexpr int64_t kDistilledWidth = 320;

size_t unet_depth(const PartLister& list, size_t input_blocks) {
  size_t depth = 0;
  for (size_t i = 0; i < input_blocks; ++i) {
    auto layers =
        list.numbers(fmt::format("input_blocks.{}.1.transformer_blocks.", i));
    depth = std::max(depth, layers.size());
  }
  return depth;
}

/** How many of the three blocks of the middle there must be. */
size_t middle_of_unet(const PartLister& list) {
  bool attends = list.any("middle_block.1.") || list.any("middle_block.2.");
  if (!attends &&
      list.part().size("input_blocks.0.0.weight", 0) == kDistilledWidth) {
    auto blocks = list.numbers("input_blocks.").size();
    auto depth = unet_depth(list, blocks);
    for (const auto& one : kDistilled) {
      if (one.input_blocks == blocks && one.depth == depth) {
        return one.middle;
      }
    }
  }
  return 3;
}

/** Whether a block has a module with tensors that begin so. */
bool block_has(const PartLister& list,
               const std::string& block,
               std::string_view module) {
  return std::ranges::any_of(list.numbers(block), [&](int64_t number) {
    return list.any(fmt::format("{}{}.{}", block, number, module));
  });
}

// Blocks of one resolution attend all of them, on the way down and up, or
// none; the last on the way up of each but the first makes pictures larger.
// The n-th output block takes what the n-th input block from the end gave
// (CompVis/stable-diffusion, ldm/modules/diffusionmodules/openaimodel.py).
void unet_levels(PartLister& list) {
  auto count = static_cast<int64_t>(list.numbers("input_blocks.").size());
  if (list.lacks_blocks() ||
      count != static_cast<int64_t>(list.numbers("output_blocks.").size())) {
    return;
  }
  auto in = [](int64_t i) { return fmt::format("input_blocks.{}.", i); };
  auto out = [](int64_t i) { return fmt::format("output_blocks.{}.", i); };
  constexpr std::string_view kAttends = "transformer_blocks.";
  std::vector<int64_t> level;
  Levels attending;
  for (int64_t i = 0; i < count; ++i) {
    level.push_back((level.empty() ? 0 : level.back()) +
                    (block_has(list, in(i), "op.") ? 1 : 0));
  }
  for (int64_t i = 0; i < count; ++i) {
    if (block_has(list, in(i), kAttends) ||
        block_has(list, out(count - 1 - i), kAttends)) {
      attending.insert(level[static_cast<size_t>(i)]);
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    auto here = level[static_cast<size_t>(i)];
    bool attends = attending.contains(here);
    bool residual = block_has(list, in(i), "in_layers.");
    if (attends && residual && !block_has(list, in(i), kAttends)) {
      list.lacks_block(in(i) + "1");
    }
    auto up = out(count - 1 - i);
    if (attends && !block_has(list, up, kAttends)) {
      list.lacks_block(up + "1");
    }
    bool last = i > 0 && level[static_cast<size_t>(i - 1)] < here;
    if (last && !block_has(list, up, "conv.")) {
      list.lacks_block(up + (attends ? "2" : "1"));
    }
  }
}

void list_unet(PartLister& list, const Checkpoint& checkpoint) {
  list.layers("", {"time_embed.0", "time_embed.2", "input_blocks.0.0"});
  list.layers("", {"out.0", "out.2"});
  // Told by the text encoders too.
  if (list.any("label_emb.0.") ||
      checkpoint.family.starts_with("Stable Diffusion XL")) {
    list.layers("label_emb.0.", {"0", "2"});
  }
  for (const auto* side : {"input_blocks.", "output_blocks."}) {
    for (auto number : list.stack(side)) {
      bool first = std::string_view(side) == "input_blocks." && number == 0;
      if (!first) {
        unet_modules(list, fmt::format("{}{}.", side, number));
      }
    }
  }
  unet_modules(list, "middle_block.");
  unet_levels(list);
  for (size_t i = 0; i < middle_of_unet(list); ++i) {
    auto block = fmt::format("middle_block.{}", i);
    if (!list.any(block + ".")) {
      list.lacks_block(std::move(block));
    }
  }
}

// ---- VAEs ----

void vae_residual(PartLister& list, const std::string& path) {
  list.layers(path, {"norm1", "conv1", "norm2", "conv2"});
  if (list.any(path + "nin_shortcut.") ||
      (list.keeps_width(path + "conv1.weight") == false &&
       !list.any(path + "conv_shortcut."))) {
    list.both(path + "nin_shortcut");
  }
}

// Attention may be of another implementation with names of its own.
void vae_attention(PartLister& list, const std::string& path) {
  bool known =
      list.any(path + "q.") || list.any(path + "k.") || list.any(path + "v.");
  if (known) {
    list.layers(path, {"norm", "q", "k", "v", "proj_out"});
  }
}

void vae_levels(PartLister& list,
                const std::string& stack,
                std::string_view scaling,
                const Levels& levels) {
  size_t deepest = 0;
  for (auto level : levels) {
    deepest = std::max(
        deepest, list.numbers(fmt::format("{}{}.block.", stack, level)).size());
  }
  // Encoders scale after all levels but the last, decoders before all but the
  // first; where levels are counted the other way round, it is the last.
  auto last = *levels.rbegin();
  bool last_has = list.any(fmt::format("{}{}.{}.", stack, last, scaling));
  auto without = last_has ? *levels.begin() : last;
  for (auto level : levels) {
    auto path = fmt::format("{}{}.", stack, level);
    auto blocks = list.stack(path + "block.");
    for (size_t i = blocks.size(); i < deepest; ++i) {
      list.lacks_block(fmt::format("{}block.{}", path, i));
    }
    for (auto block : blocks) {
      vae_residual(list, fmt::format("{}block.{}.", path, block));
    }
    for (auto attention : list.numbers(path + "attn.")) {
      vae_attention(list, fmt::format("{}attn.{}.", path, attention));
    }
    if (level != without) {
      list.both(fmt::format("{}{}.conv", path, scaling));
    }
  }
}

void vae_side(PartLister& list, std::string_view side) {
  bool in = side == "encoder.";
  std::string path(side);
  list.layers(path, {"conv_in", "norm_out", "conv_out"});
  vae_residual(list, path + "mid.block_1.");
  vae_residual(list, path + "mid.block_2.");
  auto attention = path + "mid.attn_1";
  vae_attention(list, attention + ".");
  if (!list.any(attention + ".")) {
    list.lacks_block(std::move(attention));
  }
  auto stack = path + (in ? "down." : "up.");
  auto levels = list.stack(stack);
  if (levels.empty()) {
    list.lacks_block(stack + "0");
  } else {
    vae_levels(list, stack, in ? "downsample" : "upsample", levels);
  }
}

void list_vae(PartLister& list) {
  bool encoder = list.any("encoder.");
  bool decoder = list.any("decoder.");
  if (encoder) {
    vae_side(list, "encoder.");
  }
  if (decoder) {
    vae_side(list, "decoder.");
  }
  // Those of four channels are Stable Diffusion's, which all have them.
  constexpr int64_t kFirst = 4;
  bool convolved = list.any("quant_conv.") || list.any("post_quant_conv.") ||
                   list.part().size("decoder.conv_in.weight", 1) == kFirst ||
                   list.part().size("encoder.conv_out.weight", 0) == 2 * kFirst;
  if (convolved && encoder) {
    list.both("quant_conv");
  }
  if (convolved && decoder) {
    list.both("post_quant_conv");
  }
}

// Norms without a bias are those of other VAEs.
bool is_ldm_vae(const PartLister& list) {
  return list.any("decoder.mid.block_1.norm1.weight") ||
         list.any("encoder.mid.block_1.norm1.weight");
}

// ---- Text encoders ----

void list_clip(PartLister& list) {
  list.weights("text_model.embeddings.",
               {"token_embedding", "position_embedding"});
  list.both("text_model.final_layer_norm");
  const std::string stack = "text_model.encoder.layers.";
  for (auto number : list.stack(stack)) {
    list.layers(fmt::format("{}{}.", stack, number),
                {"layer_norm1",
                 "layer_norm2",
                 "self_attn.q_proj",
                 "self_attn.k_proj",
                 "self_attn.v_proj",
                 "self_attn.out_proj",
                 "mlp.fc1",
                 "mlp.fc2"});
  }
}

// Of OpenCLIP's own code (open_clip/transformer.py). Stable Diffusion XL takes
// the pooled text through its projection.
void list_open_clip(PartLister& list, const Checkpoint& checkpoint) {
  if (checkpoint.family.starts_with("Stable Diffusion XL") &&
      !list.has("text_projection.weight")) {
    list.tensor("text_projection");
  }
  list.tensor("positional_embedding");
  list.tensor("token_embedding.weight");
  list.both("ln_final");
  const std::string stack = "transformer.resblocks.";
  for (auto number : list.stack(stack)) {
    auto path = fmt::format("{}{}.", stack, number);
    list.layers(path,
                {"ln_1", "ln_2", "attn.out_proj", "mlp.c_fc", "mlp.c_proj"});
    list.tensor(path + "attn.in_proj_weight");
    list.tensor(path + "attn.in_proj_bias");
  }
}

void list_t5(PartLister& list) {
  list.tensor("encoder.final_layer_norm.weight");
  list.tensor(list.has("encoder.embed_tokens.weight")
                  ? "encoder.embed_tokens.weight"
                  : "shared.weight");
  const std::string stack = "encoder.block.";
  list.tensor(stack + "0.layer.0.SelfAttention.relative_attention_bias.weight");
  bool gated = std::ranges::any_of(list.part().tensors, [](const auto& one) {
    return one.first.ends_with("DenseReluDense.wi_0.weight") ||
           one.first.ends_with("DenseReluDense.wi_1.weight");
  });
  for (auto number : list.stack(stack)) {
    auto path = fmt::format("{}{}.layer.", stack, number);
    list.weights(path,
                 {"0.SelfAttention.q",
                  "0.SelfAttention.k",
                  "0.SelfAttention.v",
                  "0.SelfAttention.o",
                  "0.layer_norm",
                  "1.DenseReluDense.wo",
                  "1.layer_norm"});
    if (gated) {
      list.weights(path, {"1.DenseReluDense.wi_0", "1.DenseReluDense.wi_1"});
    } else {
      list.weights(path, {"1.DenseReluDense.wi"});
    }
  }
}

// ---- FLUX.1 and Stable Diffusion 3 ----

// Files of other programs name the scale of a norm its weight.
void flux_norms(PartLister& list, const std::string& path) {
  for (const auto* name : {"query_norm", "key_norm"}) {
    auto norm = fmt::format("{}.norm.{}", path, name);
    bool weight = list.has(norm + ".weight");
    list.tensor(fmt::format("{}.{}", norm, weight ? "weight" : "scale"));
  }
}

void list_flux(PartLister& list) {
  list.layers("",
              {"img_in",
               "txt_in",
               "time_in.in_layer",
               "time_in.out_layer",
               "vector_in.in_layer",
               "vector_in.out_layer",
               "final_layer.linear",
               "final_layer.adaLN_modulation.1"});
  list.layers_if_any("guidance_in.", {"in_layer", "out_layer"});
  for (auto number : list.stack("double_blocks.")) {
    for (const auto* side : {"img", "txt"}) {
      auto path = fmt::format("double_blocks.{}.{}", number, side);
      list.layers(path,
                  {"_mod.lin", "_attn.qkv", "_attn.proj", "_mlp.0", "_mlp.2"});
      flux_norms(list, path + "_attn");
    }
  }
  for (auto number : list.stack("single_blocks.")) {
    auto path = fmt::format("single_blocks.{}", number);
    list.layers(path, {".linear1", ".linear2", ".modulation.lin"});
    flux_norms(list, path);
  }
}

// The last block has no context to go on with.
void list_sd3(PartLister& list) {
  list.tensor("pos_embed");
  list.layers("",
              {"x_embedder.proj",
               "context_embedder",
               "t_embedder.mlp.0",
               "t_embedder.mlp.2",
               "y_embedder.mlp.0",
               "y_embedder.mlp.2",
               "final_layer.linear",
               "final_layer.adaLN_modulation.1"});
  bool norms = std::ranges::any_of(list.part().tensors, [](const auto& one) {
    return one.first.ends_with("block.attn.ln_q.weight") ||
           one.first.ends_with("block.attn.ln_k.weight");
  });
  auto blocks = list.stack("joint_blocks.");
  for (auto number : blocks) {
    for (const auto* side : {"x_block.", "context_block."}) {
      auto path = fmt::format("joint_blocks.{}.{}", number, side);
      list.layers(path, {"attn.qkv", "adaLN_modulation.1"});
      if (norms) {
        list.weights(path, {"attn.ln_q", "attn.ln_k"});
      }
      bool whole =
          std::string_view(side) == "x_block." || number != *blocks.rbegin();
      if (whole) {
        list.layers(path, {"attn.proj", "mlp.fc1", "mlp.fc2"});
      }
    }
    // A second attention has shift, scale and gate too: nine of width, not six
    // (DismantledBlock of SD3.5, mmditx.py).
    auto path = fmt::format("joint_blocks.{}.x_block.", number);
    auto modulation = path + "adaLN_modulation.1.weight";
    auto rows = list.part().size(modulation, 0);
    auto width = list.part().size(modulation, 1);
    constexpr int64_t kMost = int64_t{1} << 32;
    if (list.any(path + "attn2.") ||
        (rows && width && *width < kMost && *rows == 9 * *width)) {
      list.layers(path, {"attn2.qkv", "attn2.proj"});
      if (norms) {
        list.weights(path, {"attn2.ln_q", "attn2.ln_k"});
      }
    }
  }
}

// Weights of 4 bits lie under other names.
bool is_packed(const CheckpointPart& part) {
  return std::ranges::any_of(part.tensors, [](const auto& one) {
    return one.first.ends_with(".qweight");
  });
}

bool list_part(PartLister& list, const Checkpoint& checkpoint) {
  switch (list.part().kind) {
    case PartKind::unet:
      list_unet(list, checkpoint);
      return true;
    case PartKind::vae:
      if (is_ldm_vae(list)) {
        list_vae(list);
      }
      return is_ldm_vae(list);
    case PartKind::clip:
      list_clip(list);
      return true;
    case PartKind::open_clip:
      list_open_clip(list, checkpoint);
      return true;
    case PartKind::t5:
      list_t5(list);
      return true;
    case PartKind::flux:
      // Chroma and FLUX.2 have other blocks.
      if (checkpoint.family.starts_with("FLUX.1")) {
        list_flux(list);
        return true;
      }
      return false;
    case PartKind::sd3:
      list_sd3(list);
      return true;
    default:
      return false;
  }
}

}  // namespace

std::optional<PartTensors> part_tensors(const Checkpoint& checkpoint,
                                        const CheckpointPart& part) {
  PartLister list(part);
  if (is_packed(part) || !list_part(list, checkpoint)) {
    return std::nullopt;
  }
  return list.take();
}

}  // namespace assay::rules
