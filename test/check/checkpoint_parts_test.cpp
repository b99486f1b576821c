// Parts of single files that no small model holds: names as the code bases of
// the published ones have them, in files of tiny tensors. Each is whole as it
// stands, and lacks each of its tensors that is taken away.

#include "assay/check/checkpoint_parts.h"

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "assay/formats/safetensors.h"

#include "sound_copy.h"

using namespace assay;
using namespace assay::testing;
namespace fs = std::filesystem;

namespace {

using PartShapes = std::map<std::string, Shape>;

void weight_and_bias(PartShapes& shapes,
                     const std::string& path,
                     const Shape& weight) {
  shapes[path + ".weight"] = weight;
  shapes[path + ".bias"] = {weight[0]};
}

// Stability-AI/sd3-ref, mmdit.py: MMDiT, JointBlock, DismantledBlock; the
// second attention and the norms of SD3.5 as in mmditx.py of its release.
PartShapes sd3_part(int64_t width, int64_t depth, bool norms, int64_t second) {
  PartShapes shapes = {{"pos_embed", {1, 16, width}}};
  weight_and_bias(shapes, "x_embedder.proj", {width, 16, 2, 2});
  weight_and_bias(shapes, "context_embedder", {width, 32});
  weight_and_bias(shapes, "t_embedder.mlp.0", {width, 256});
  weight_and_bias(shapes, "t_embedder.mlp.2", {width, width});
  weight_and_bias(shapes, "y_embedder.mlp.0", {width, 48});
  weight_and_bias(shapes, "y_embedder.mlp.2", {width, width});
  weight_and_bias(shapes, "final_layer.linear", {64, width});
  weight_and_bias(shapes, "final_layer.adaLN_modulation.1", {2 * width, width});
  auto attention = [&](const std::string& path, bool ends) {
    weight_and_bias(shapes, path + ".qkv", {3 * width, width});
    if (!ends) {
      weight_and_bias(shapes, path + ".proj", {width, width});
    }
    if (norms) {
      shapes[path + ".ln_q.weight"] = {64};
      shapes[path + ".ln_k.weight"] = {64};
    }
  };
  for (int64_t i = 0; i < depth; ++i) {
    for (const auto* side : {"context_block", "x_block"}) {
      auto path = fmt::format("joint_blocks.{}.{}.", i, side);
      bool image = std::string_view(side) == "x_block";
      bool ends = !image && i == depth - 1;
      bool twice = image && i < second;
      attention(path + "attn", ends);
      if (twice) {
        attention(path + "attn2", false);
      }
      weight_and_bias(shapes,
                      path + "adaLN_modulation.1",
                      {(ends ? 2 : (twice ? 9 : 6)) * width, width});
      if (!ends) {
        weight_and_bias(shapes, path + "mlp.fc1", {4 * width, width});
        weight_and_bias(shapes, path + "mlp.fc2", {width, 4 * width});
      }
    }
  }
  return shapes;
}

// mlfoundations/open_clip, src/open_clip/transformer.py: TextTransformer,
// ResidualAttentionBlock.
PartShapes open_clip_part(int64_t width, int64_t depth) {
  PartShapes shapes = {{"token_embedding.weight", {100, width}},
                       {"positional_embedding", {77, width}},
                       {"text_projection", {width, width}},
                       {"logit_scale", {}}};
  weight_and_bias(shapes, "ln_final", {width});
  for (int64_t i = 0; i < depth; ++i) {
    auto path = fmt::format("transformer.resblocks.{}.", i);
    weight_and_bias(shapes, path + "ln_1", {width});
    weight_and_bias(shapes, path + "ln_2", {width});
    shapes[path + "attn.in_proj_weight"] = {3 * width, width};
    shapes[path + "attn.in_proj_bias"] = {3 * width};
    weight_and_bias(shapes, path + "attn.out_proj", {width, width});
    weight_and_bias(shapes, path + "mlp.c_fc", {4 * width, width});
    weight_and_bias(shapes, path + "mlp.c_proj", {width, 4 * width});
  }
  return shapes;
}

// huggingface/transformers, models/t5/modeling_t5.py: T5EncoderModel with
// gated feed-forward layers, as T5 1.1 is.
PartShapes t5_part(int64_t width, int64_t depth) {
  PartShapes shapes = {{"shared.weight", {100, width}},
                       {"encoder.final_layer_norm.weight", {width}}};
  for (int64_t i = 0; i < depth; ++i) {
    auto path = fmt::format("encoder.block.{}.layer.", i);
    for (const auto* name : {"q", "k", "v", "o"}) {
      shapes[fmt::format("{}0.SelfAttention.{}.weight", path, name)] = {width,
                                                                        width};
    }
    shapes[path + "0.layer_norm.weight"] = {width};
    shapes[path + "1.layer_norm.weight"] = {width};
    shapes[path + "1.DenseReluDense.wi_0.weight"] = {2 * width, width};
    shapes[path + "1.DenseReluDense.wi_1.weight"] = {2 * width, width};
    shapes[path + "1.DenseReluDense.wo.weight"] = {width, 2 * width};
  }
  shapes
      ["encoder.block.0.layer.0.SelfAttention.relative_attention_bias."
       "weight"] = {32, 4};
  return shapes;
}

/** Of CompVis/stable-diffusion, ldm/modules/diffusionmodules/openaimodel.py:
 * UNetModel. `attends`: layers of the transformers at each level. */
struct UnetShape {
  int64_t width, blocks;
  std::vector<int64_t> attends;
  int64_t middle;  ///< modules of the middle: 3, 1 or 0
};

// Channels stay as they are: what is held here are names.
PartShapes unet_part(const UnetShape& shape) {
  PartShapes shapes;
  const auto width = shape.width;
  auto residual = [&](const std::string& path, int64_t in) {
    weight_and_bias(shapes, path + "in_layers.0", {in});
    weight_and_bias(shapes, path + "in_layers.2", {width, in, 3, 3});
    weight_and_bias(shapes, path + "emb_layers.1", {width, width});
    weight_and_bias(shapes, path + "out_layers.0", {width});
    weight_and_bias(shapes, path + "out_layers.3", {width, width, 3, 3});
    if (in != width) {
      weight_and_bias(shapes, path + "skip_connection", {width, in, 1, 1});
    }
  };
  auto transformer = [&](const std::string& path, int64_t layers) {
    weight_and_bias(shapes, path + "norm", {width});
    weight_and_bias(shapes, path + "proj_in", {width, width});
    weight_and_bias(shapes, path + "proj_out", {width, width});
    for (int64_t i = 0; i < layers; ++i) {
      auto block = fmt::format("{}transformer_blocks.{}.", path, i);
      for (const auto* attention : {"attn1", "attn2"}) {
        for (const auto* name : {"to_q", "to_k", "to_v"}) {
          shapes[fmt::format("{}{}.{}.weight", block, attention, name)] = {
              width, width};
        }
        weight_and_bias(shapes,
                        fmt::format("{}{}.to_out.0", block, attention),
                        {width, width});
      }
      weight_and_bias(shapes, block + "ff.net.0.proj", {8 * width, width});
      weight_and_bias(shapes, block + "ff.net.2", {width, 4 * width});
      for (const auto* name : {"norm1", "norm2", "norm3"}) {
        weight_and_bias(shapes, block + name, {width});
      }
    }
  };
  weight_and_bias(shapes, "time_embed.0", {width, width});
  weight_and_bias(shapes, "time_embed.2", {width, width});
  weight_and_bias(shapes, "label_emb.0.0", {width, 2816});
  weight_and_bias(shapes, "label_emb.0.2", {width, width});
  weight_and_bias(shapes, "input_blocks.0.0", {width, 4, 3, 3});
  weight_and_bias(shapes, "out.0", {width});
  weight_and_bias(shapes, "out.2", {4, width, 3, 3});
  int64_t input = 0;
  auto levels = static_cast<int64_t>(shape.attends.size());
  for (int64_t level = 0; level < levels; ++level) {
    auto layers = shape.attends[static_cast<size_t>(level)];
    if (level > 0) {
      weight_and_bias(shapes,
                      fmt::format("input_blocks.{}.0.op", ++input),
                      {width, width, 3, 3});
    }
    for (int64_t i = 0; i < shape.blocks; ++i) {
      auto path = fmt::format("input_blocks.{}.", ++input);
      residual(path + "0.", width);
      if (layers > 0) {
        transformer(path + "1.", layers);
      }
    }
  }
  int64_t output = 0;
  for (int64_t level = levels - 1; level >= 0; --level) {
    auto layers = shape.attends[static_cast<size_t>(level)];
    for (int64_t i = 0; i <= shape.blocks; ++i) {
      auto path = fmt::format("output_blocks.{}.", output++);
      residual(path + "0.", 2 * width);
      if (layers > 0) {
        transformer(path + "1.", layers);
      }
      if (level > 0 && i == shape.blocks) {
        weight_and_bias(shapes,
                        fmt::format("{}{}.conv", path, layers > 0 ? 2 : 1),
                        {width, width, 3, 3});
      }
    }
  }
  for (int64_t i = 0; i < shape.middle; i += 2) {
    residual(fmt::format("middle_block.{}.", i), width);
  }
  if (shape.middle > 1) {
    transformer("middle_block.1.", *std::ranges::max_element(shape.attends));
  }
  return shapes;
}

/** A part by its headers alone: nothing of its values is needed. */
class PartHeaders {
 public:
  PartHeaders(PartKind kind, const PartShapes& shapes) {
    part.kind = kind;
    for (const auto& [name, shape] : shapes) {
      infos_.push_back({.name = name, .dtype = DType::f16, .shape = shape});
    }
    for (const auto& info : infos_) {
      part.tensors.emplace_back(info.name, &info);
    }
  }
  rules::PartTensors lists(std::string family) const {
    Checkpoint checkpoint;
    checkpoint.family = std::move(family);
    auto list = rules::part_tensors(checkpoint, part);
    REQUIRE(list);
    return *list;
  }
  /** What is wanted and not there, blocks first. */
  std::vector<std::string> lacks(const std::string& family) const {
    auto list = lists(family);
    auto lacking = list.blocks;
    for (const auto& name : list.wanted) {
      if (part.find(name) == nullptr) {
        lacking.push_back(name);
      }
    }
    return lacking;
  }

  CheckpointPart part;

 private:
  std::vector<TensorInfo> infos_;
};

void whole_and_each_missed(PartKind kind,
                           const PartShapes& shapes,
                           const std::string& family,
                           const std::vector<std::string>& spare = {}) {
  CHECK(PartHeaders(kind, shapes).lacks(family) == std::vector<std::string>{});
  for (const auto& [name, shape] : shapes) {
    auto fewer = shapes;
    fewer.erase(name);
    auto lacking = PartHeaders(kind, fewer).lacks(family);
    CAPTURE(name);
    bool needed = std::ranges::find(spare, name) == spare.end();
    CHECK(needed == !lacking.empty());
  }
}

/** The same with every tensor that begins so taken away. */
std::vector<std::string> without(PartKind kind,
                                 PartShapes shapes,
                                 std::string_view prefix,
                                 const std::string& family = "") {
  auto before = shapes.size();
  std::erase_if(shapes,
                [&](const auto& one) { return one.first.starts_with(prefix); });
  REQUIRE(shapes.size() < before);
  return PartHeaders(kind, shapes).lacks(family);
}

constexpr auto kXl = "Stable Diffusion XL";

}  // namespace

TEST_CASE("the transformer of Stable Diffusion 3 and 3.5, tensor by tensor") {
  whole_and_each_missed(PartKind::sd3, sd3_part(64, 3, false, 0), "");
  whole_and_each_missed(PartKind::sd3, sd3_part(64, 3, true, 2), "");
  // A second attention that is lost whole shows in the modulation.
  auto lacking = without(
      PartKind::sd3, sd3_part(64, 3, true, 2), "joint_blocks.1.x_block.attn2.");
  CHECK(lacking.size() == 6);
}

TEST_CASE("text encoders of single files, tensor by tensor") {
  whole_and_each_missed(PartKind::open_clip,
                        open_clip_part(64, 3),
                        "Stable Diffusion 2",
                        {"logit_scale", "text_projection"});
  whole_and_each_missed(
      PartKind::open_clip, open_clip_part(64, 3), kXl, {"logit_scale"});
  whole_and_each_missed(PartKind::t5, t5_part(64, 3), "");
  auto tied = t5_part(64, 2);  // one table under two names
  tied["encoder.embed_tokens.weight"] = {100, 64};
  CHECK(PartHeaders(PartKind::t5, tied).lacks("").empty());
  auto plain = t5_part(64, 2);  // the first T5 has no gates
  for (int64_t i = 0; i < 2; ++i) {
    auto path = fmt::format("encoder.block.{}.layer.1.DenseReluDense.", i);
    plain.erase(path + "wi_1.weight");
    auto gate = plain.extract(path + "wi_0.weight");
    gate.key() = path + "wi.weight";
    plain.insert(std::move(gate));
  }
  CHECK(PartHeaders(PartKind::t5, plain).lacks("").empty());
}

TEST_CASE("UNets: tensor by tensor, and as they were distilled") {
  // Stable Diffusion 1 and XL, narrow.
  whole_and_each_missed(PartKind::unet,
                        unet_part({32, 2, {1, 1, 1, 0}, 3}),
                        "Stable Diffusion 1");
  auto xl = unet_part({320, 2, {0, 2, 10}, 3});
  CHECK(PartHeaders(PartKind::unet, xl).lacks(kXl).empty());
  // comfyanonymous/ComfyUI, comfy/model_detection.py: SSD-1B, Vega,
  // KOALA-700M, SDXS; Nota-NetsPresso/BK-SDM, src/unet_config: small.
  for (const auto& shape : {UnetShape{320, 2, {0, 2, 4}, 1},
                            UnetShape{320, 2, {0, 1, 2}, 1},
                            UnetShape{320, 1, {0, 2, 5}, 0},
                            UnetShape{320, 1, {0, 1, 1}, 0},
                            UnetShape{320, 1, {1, 1, 1, 0}, 0}}) {
    CAPTURE(shape.attends.back());
    auto shapes = unet_part(shape);
    CHECK(PartHeaders(PartKind::unet, shapes).lacks(kXl).empty());
    if (shape.middle > 0) {
      CHECK(!without(PartKind::unet, shapes, "middle_block.").empty());
    }
  }
  // KOALA-1B kept its middle; so did every other.
  auto koala = unet_part({320, 1, {0, 2, 6}, 3});
  for (const auto* lost :
       {"middle_block.", "middle_block.1.", "middle_block.2."}) {
    CAPTURE(lost);
    CHECK(!without(PartKind::unet, koala, lost).empty());
    CHECK(!without(PartKind::unet, xl, lost).empty());
  }
}

TEST_CASE("modules of a UNet that are lost whole") {
  auto shapes = unet_part({32, 2, {1, 1, 0}, 3});
  using Lacking = std::vector<std::string>;
  for (const auto* lost : {"input_blocks.4.1",
                           "output_blocks.3.1",
                           "output_blocks.2.1",
                           "output_blocks.5.2",
                           "middle_block.1",
                           "middle_block.1.transformer_blocks.0"}) {
    CAPTURE(lost);
    CHECK(without(PartKind::unet, shapes, std::string(lost) + ".") ==
          Lacking{lost});
  }
  // That it takes sizes and pooled text, its text encoders say.
  CHECK(without(PartKind::unet, shapes, "label_emb.", kXl).size() == 4);
  CHECK(without(PartKind::unet, shapes, "label_emb.").empty());
}

TEST_CASE("a whole file of Stable Diffusion 3 is sound, less one tensor not") {
  auto folder = fs::path(ASSAY_BUILD_DIR) / "test-models/sd3-file";
  fs::create_directories(folder);
  auto file = folder / "sd3.safetensors";
  PartShapes all;
  auto add = [&](const std::string& prefix, const PartShapes& shapes) {
    for (const auto& [name, shape] : shapes) {
      all[prefix + name] = shape;
    }
  };
  add("model.diffusion_model.", sd3_part(64, 2, false, 0));
  add("text_encoders.t5xxl.transformer.", t5_part(32, 2));
  auto save = [&] {
    std::vector<SafetensorsWriter::Entry> entries;
    for (const auto& [name, shape] : all) {
      entries.push_back({name, DType::f16, shape});
    }
    SafetensorsWriter writer(file, entries, {{"format", "pt"}});
    for (const auto& entry : entries) {
      std::string zeros(*byte_size(entry.dtype, *element_count(entry.shape)),
                        '\0');
      writer.write(std::as_bytes(std::span(zeros)));
    }
    writer.commit();
  };
  save();
  is_sound(file);
  CHECK(headers(file).architecture == "Stable Diffusion 3");
  all.erase(
      "text_encoders.t5xxl.transformer.encoder.block.1.layer.1.layer_norm."
      "weight");
  save();
  names(file, "checkpoint.tensor-missing");
  fs::remove_all(folder);
}
