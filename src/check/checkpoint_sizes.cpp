#include "assay/check/checkpoint_sizes.h"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/formats/quote.h"

namespace assay::rules {

using Findings = std::vector<Finding>;

std::string where(const ModelFiles& files, const CheckpointPart& part) {
  return fmt::format(
      "{}: {}", files.files.front().string(), std::string(name(part.kind)));
}

void missing_tensor(Findings& findings,
                    const ModelFiles& files,
                    const CheckpointPart& part,
                    const std::string& tensor) {
  findings.push_back(make_finding("checkpoint.tensor-missing",
                                  where(files, part),
                                  quote(part.prefix + tensor),
                                  "no such tensor"));
}

size_t count_blocks(const CheckpointPart& part, std::string_view prefix) {
  std::set<std::string_view> numbers;
  for (const auto& [name, tensor] : part.tensors) {
    if (name.starts_with(prefix)) {
      auto rest = name.substr(prefix.size());
      numbers.insert(rest.substr(0, rest.find('.')));
    }
  }
  return numbers.size();
}

namespace {

/** Tensors that a part cannot work without. */
struct Needs {
  PartKind kind;
  std::vector<std::string_view> tensors;
};

const std::vector<Needs>& needs() {
  static const std::vector<Needs> list = {
      {PartKind::unet,
       {"time_embed.0.weight",
        "time_embed.2.weight",
        "input_blocks.0.0.weight",
        "out.0.weight",
        "out.2.weight"}},
      {PartKind::sd3,
       {"x_embedder.proj.weight",
        "context_embedder.weight",
        "t_embedder.mlp.0.weight",
        "t_embedder.mlp.2.weight",
        "y_embedder.mlp.0.weight",
        "pos_embed",
        "final_layer.linear.weight"}},
      {PartKind::flux,
       {"img_in.weight",
        "txt_in.weight",
        "time_in.in_layer.weight",
        "time_in.out_layer.weight",
        "vector_in.in_layer.weight",
        "vector_in.out_layer.weight",
        "double_blocks.0.img_attn.qkv.weight",
        "single_blocks.0.linear1.weight",
        "final_layer.linear.weight",
        "final_layer.adaLN_modulation.1.weight"}},
      {PartKind::vae,
       {"decoder.conv_in.weight",
        "decoder.mid.block_1.conv1.weight",
        "decoder.mid.block_2.conv1.weight",
        "decoder.norm_out.weight",
        "decoder.conv_out.weight"}},
      {PartKind::clip,
       {"text_model.embeddings.token_embedding.weight",
        "text_model.embeddings.position_embedding.weight",
        "text_model.final_layer_norm.weight"}},
      {PartKind::open_clip,
       {"token_embedding.weight", "positional_embedding", "ln_final.weight"}},
      {PartKind::t5, {"encoder.final_layer_norm.weight"}},
      {PartKind::wan,
       {"patch_embedding.weight",
        "text_embedding.0.weight",
        "text_embedding.2.weight",
        "time_embedding.0.weight",
        "time_embedding.2.weight",
        "time_projection.1.weight",
        "head.head.weight",
        "head.modulation"}},
      {PartKind::lumina,
       {"x_embedder.weight",
        "t_embedder.mlp.0.weight",
        "t_embedder.mlp.2.weight",
        "cap_embedder.1.weight",
        "final_layer.linear.weight"}},
      {PartKind::pixart,
       {"x_embedder.proj.weight",
        "t_embedder.mlp.0.weight",
        "t_embedder.mlp.2.weight",
        "t_block.1.weight",
        "y_embedder.y_proj.fc1.weight",
        "y_embedder.y_proj.fc2.weight",
        "final_layer.linear.weight",
        "final_layer.scale_shift_table"}},
  };
  return list;
}

void needed(Findings& findings,
            const ModelFiles& files,
            const Checkpoint& checkpoint,
            const CheckpointPart& part) {
  bool other_flux =
      part.kind == PartKind::flux && !checkpoint.family.starts_with("FLUX.1");
  auto entry = std::ranges::find(needs(), part.kind, &Needs::kind);
  if (entry == needs().end() || other_flux) {
    return;
  }
  for (auto tensor : entry->tensors) {
    if (part.find(tensor) == nullptr) {
      missing_tensor(findings, files, part, std::string(tensor));
    }
  }
}

/** How deep published models of one width are. */
struct Depth {
  PartKind kind;
  std::string_view tensor;  ///< its first dimension is the width
  int64_t width;
  std::string_view prefix;
  std::vector<size_t> depths;
};

// Sources: configs of FLUX.1 (19 and 38; Freepik's lite 8, mini 5 and 10),
// SD3 medium 24, SD3.5 large 38; OpenAI's CLIP-L 12; LAION's CLIP-H 24 (23 as
// SD2 keeps it), CLIP-G 32; T5-XXL 24; Wan2.1 30 and 40, read in a
// copy of its configs in ml-explore/mlx-examples; Lumina's 2B and 3B, each
// with two refiners of both kinds, in Alpha-VLLM/Lumina-Image-2.0
// (models/model.py); PixArt-XL/2 in PixArt-alpha/PixArt-alpha
// (diffusion/model/nets/PixArt.py); UNets of 12 and 9 input blocks, distilled
// 8 and 6 as in checkpoint_parts.cpp.
const std::vector<Depth>& depths() {
  static const std::vector<Depth> list = {
      {PartKind::flux, "img_in.weight", 3072, "double_blocks.", {19, 8, 5}},
      {PartKind::flux, "img_in.weight", 3072, "single_blocks.", {38, 10}},
      {PartKind::sd3, "x_embedder.proj.weight", 1536, "joint_blocks.", {24}},
      {PartKind::sd3, "x_embedder.proj.weight", 2432, "joint_blocks.", {38}},
      {PartKind::clip,
       "text_model.final_layer_norm.weight",
       768,
       "text_model.encoder.layers.",
       {12}},
      {PartKind::clip,
       "text_model.final_layer_norm.weight",
       1280,
       "text_model.encoder.layers.",
       {32}},
      {PartKind::open_clip,
       "ln_final.weight",
       1024,
       "transformer.resblocks.",
       {24, 23}},
      {PartKind::open_clip,
       "ln_final.weight",
       1280,
       "transformer.resblocks.",
       {32}},
      {PartKind::t5,
       "encoder.final_layer_norm.weight",
       4096,
       "encoder.block.",
       {24}},
      {PartKind::wan, "patch_embedding.weight", 1536, "blocks.", {30}},
      {PartKind::wan, "patch_embedding.weight", 5120, "blocks.", {40}},
      {PartKind::lumina, "x_embedder.weight", 2304, "layers.", {26, 24}},
      {PartKind::lumina, "x_embedder.weight", 2592, "layers.", {30}},
      {PartKind::lumina, "x_embedder.weight", 2304, "noise_refiner.", {2, 0}},
      {PartKind::lumina, "x_embedder.weight", 2304, "context_refiner.", {2, 0}},
      {PartKind::pixart, "x_embedder.proj.weight", 1152, "blocks.", {28}},
      {PartKind::unet,
       "input_blocks.0.0.weight",
       320,
       "input_blocks.",
       {12, 9, 8, 6}},
  };
  return list;
}

void deep_enough(Findings& findings,
                 const ModelFiles& files,
                 const Checkpoint& checkpoint,
                 const CheckpointPart& part) {
  bool other_flux =
      part.kind == PartKind::flux && !checkpoint.family.starts_with("FLUX.1");
  for (const auto& rule : depths()) {
    if (rule.kind != part.kind || part.size(rule.tensor, 0) != rule.width ||
        other_flux) {
      continue;
    }
    auto count = count_blocks(part, rule.prefix);
    if (std::ranges::find(rule.depths, count) == rule.depths.end()) {
      findings.push_back(make_finding(
          "checkpoint.depth",
          where(files, part),
          fmt::format("{} {}", fmt::join(rule.depths, " or "), rule.prefix),
          fmt::format("{}", count)));
    }
  }
}

/** A tensor's dimension is another's, or a multiple of it: the width that runs
 * through a transformer. "#" stands for the number of each block. */
struct Width {
  PartKind kind;
  std::string_view tensor;
  size_t dim;
  std::string_view as;  ///< whose first dimension
  int64_t factor = 1;
};

// What each builds of its one width, read in Wan-Video/Wan2.1
// (wan/modules/model.py), Alpha-VLLM/Lumina-Image-2.0 (models/model.py: w1 and
// w3 go to the inner width, w2 comes back) and PixArt-alpha/PixArt-alpha
// (diffusion/model/nets), whose fc1 and fc2 are those of Mlp in
// huggingface/pytorch-image-models (timm/layers/mlp.py) and whose qkv is that
// of Attention there (timm/layers/attention.py).
constexpr std::array kWidths = {
    Width{
        PartKind::wan, "text_embedding.2.weight", 0, "patch_embedding.weight"},
    Width{
        PartKind::wan, "time_embedding.0.weight", 0, "patch_embedding.weight"},
    Width{PartKind::wan,
          "time_projection.1.weight",
          0,
          "patch_embedding.weight",
          6},
    Width{PartKind::wan, "head.head.weight", 1, "patch_embedding.weight"},
    Width{PartKind::wan, "head.modulation", 2, "patch_embedding.weight"},
    Width{PartKind::wan,
          "blocks.#.self_attn.q.weight",
          1,
          "patch_embedding.weight"},
    Width{PartKind::wan,
          "blocks.#.self_attn.o.weight",
          0,
          "patch_embedding.weight"},
    Width{PartKind::wan,
          "blocks.#.cross_attn.k.weight",
          0,
          "patch_embedding.weight"},
    Width{PartKind::wan, "blocks.#.ffn.0.weight", 1, "patch_embedding.weight"},
    Width{PartKind::wan, "blocks.#.ffn.2.weight", 0, "patch_embedding.weight"},
    Width{PartKind::wan, "blocks.#.ffn.2.weight", 1, "blocks.#.ffn.0.weight"},
    Width{PartKind::lumina, "cap_embedder.1.weight", 0, "x_embedder.weight"},
    Width{
        PartKind::lumina, "final_layer.linear.weight", 1, "x_embedder.weight"},
    Width{PartKind::lumina,
          "layers.#.attention.qkv.weight",
          1,
          "x_embedder.weight"},
    Width{PartKind::lumina,
          "layers.#.attention.out.weight",
          0,
          "x_embedder.weight"},
    Width{PartKind::lumina,
          "layers.#.feed_forward.w1.weight",
          1,
          "x_embedder.weight"},
    Width{PartKind::lumina,
          "layers.#.feed_forward.w3.weight",
          0,
          "layers.#.feed_forward.w1.weight"},
    Width{PartKind::lumina,
          "layers.#.feed_forward.w2.weight",
          0,
          "x_embedder.weight"},
    Width{PartKind::lumina,
          "layers.#.feed_forward.w2.weight",
          1,
          "layers.#.feed_forward.w1.weight"},
    Width{PartKind::pixart,
          "t_embedder.mlp.2.weight",
          0,
          "x_embedder.proj.weight"},
    Width{PartKind::pixart, "t_block.1.weight", 0, "x_embedder.proj.weight", 6},
    Width{PartKind::pixart,
          "y_embedder.y_proj.fc1.weight",
          0,
          "x_embedder.proj.weight"},
    Width{PartKind::pixart,
          "final_layer.linear.weight",
          1,
          "x_embedder.proj.weight"},
    Width{PartKind::pixart,
          "blocks.#.attn.qkv.weight",
          0,
          "x_embedder.proj.weight",
          3},
    Width{PartKind::pixart,
          "blocks.#.cross_attn.q_linear.weight",
          0,
          "x_embedder.proj.weight"},
    Width{PartKind::pixart,
          "blocks.#.cross_attn.kv_linear.weight",
          0,
          "x_embedder.proj.weight",
          2},
    Width{PartKind::pixart,
          "blocks.#.mlp.fc1.weight",
          1,
          "x_embedder.proj.weight"},
    Width{PartKind::pixart,
          "blocks.#.mlp.fc2.weight",
          1,
          "blocks.#.mlp.fc1.weight"},
};

std::string of_block(std::string_view name, size_t block) {
  auto text = std::string(name);
  auto at = text.find('#');
  return at == std::string::npos ? text
                                 : text.replace(at, 1, std::to_string(block));
}

void widths(Findings& findings,
            const ModelFiles& files,
            const CheckpointPart& part) {
  for (const auto& rule : kWidths) {
    if (rule.kind != part.kind) {
      continue;
    }
    auto mark = rule.tensor.find('#');
    bool each = mark != std::string_view::npos;
    auto count = each ? count_blocks(part, rule.tensor.substr(0, mark)) : 1;
    for (size_t i = 0; i < count; ++i) {
      auto tensor = of_block(rule.tensor, i);
      auto as = of_block(rule.as, i);
      auto shows = part.size(tensor, rule.dim);
      auto wanted = part.size(as, 0);
      if (shows && wanted && *wanted < int64_t{1} << 32 &&
          *shows != *wanted * rule.factor) {
        findings.push_back(make_finding(
            "checkpoint.disagreement",
            fmt::format("{}: {}", where(files, part), quote(tensor)),
            fmt::format("{} in dimension {}, by {}",
                        *wanted * rule.factor,
                        rule.dim,
                        quote(as)),
            fmt::format("{}", *shows)));
      }
    }
  }
}

}  // namespace

void part_sizes(Findings& findings,
                const ModelFiles& files,
                const Checkpoint& checkpoint,
                const CheckpointPart& part) {
  needed(findings, files, checkpoint, part);
  deep_enough(findings, files, checkpoint, part);
  widths(findings, files, part);
}

}  // namespace assay::rules
