// The tensors of vision towers, projectors, and of language models that have
// no module tree here, as transformers names them.

#include <array>

#include "assay/check/declared_shapes.h"

namespace assay::rules {
namespace {

constexpr std::string_view kClip = R"(
embeddings.class_embedding hidden_size
embeddings.patch_embedding.weight hidden_size num_channels patch_size patch_size
embeddings.position_embedding.weight patches+1 hidden_size
embeddings.position_ids? 1 patches+1
{pre_layrnorm,post_layernorm}.{weight,bias} hidden_size
encoder.layers.#num_hidden_layers.{layer_norm1,layer_norm2}.{weight,bias} hidden_size
encoder.layers.#num_hidden_layers.self_attn.{q_proj,k_proj,v_proj,out_proj}.weight hidden_size hidden_size
encoder.layers.#num_hidden_layers.self_attn.{q_proj,k_proj,v_proj,out_proj}.bias hidden_size
encoder.layers.#num_hidden_layers.mlp.fc1.weight intermediate_size hidden_size
encoder.layers.#num_hidden_layers.mlp.fc1.bias intermediate_size
encoder.layers.#num_hidden_layers.mlp.fc2.weight hidden_size intermediate_size
encoder.layers.#num_hidden_layers.mlp.fc2.bias hidden_size
)";

constexpr std::string_view kSiglip = R"(
embeddings.patch_embedding.weight hidden_size num_channels patch_size patch_size
embeddings.patch_embedding.bias hidden_size
embeddings.position_embedding.weight patches hidden_size
embeddings.position_ids? 1 patches
post_layernorm.{weight,bias} hidden_size
encoder.layers.#num_hidden_layers.{layer_norm1,layer_norm2}.{weight,bias} hidden_size
encoder.layers.#num_hidden_layers.self_attn.{q_proj,k_proj,v_proj,out_proj}.weight hidden_size hidden_size
encoder.layers.#num_hidden_layers.self_attn.{q_proj,k_proj,v_proj,out_proj}.bias hidden_size
encoder.layers.#num_hidden_layers.mlp.fc1.weight intermediate_size hidden_size
encoder.layers.#num_hidden_layers.mlp.fc1.bias intermediate_size
encoder.layers.#num_hidden_layers.mlp.fc2.weight hidden_size intermediate_size
encoder.layers.#num_hidden_layers.mlp.fc2.bias hidden_size
head.probe?head.* 1 1 hidden_size
head.attention.in_proj_weight?head.* 3*hidden_size hidden_size
head.attention.in_proj_bias?head.* 3*hidden_size
head.attention.out_proj.weight?head.* hidden_size hidden_size
head.attention.out_proj.bias?head.* hidden_size
head.layernorm.{weight,bias}?head.* hidden_size
head.mlp.fc1.weight?head.* intermediate_size hidden_size
head.mlp.fc1.bias?head.* intermediate_size
head.mlp.fc2.weight?head.* hidden_size intermediate_size
head.mlp.fc2.bias?head.* hidden_size
)";

constexpr std::string_view kPixtral = R"(
patch_conv.weight hidden_size num_channels patch_size patch_size
ln_pre.weight hidden_size
transformer.layers.#num_hidden_layers.{attention_norm,ffn_norm}.weight hidden_size
transformer.layers.#num_hidden_layers.attention.{q_proj,k_proj,v_proj}.weight q_width hidden_size
transformer.layers.#num_hidden_layers.attention.o_proj.weight hidden_size q_width
transformer.layers.#num_hidden_layers.feed_forward.{gate_proj,up_proj}.weight intermediate_size hidden_size
transformer.layers.#num_hidden_layers.feed_forward.down_proj.weight hidden_size intermediate_size
)";

constexpr std::string_view kQwen2 = R"(
patch_embed.proj.weight embed_dim in_channels temporal_patch_size patch_size patch_size
blocks.#depth.{norm1,norm2}.{weight,bias} embed_dim
blocks.#depth.attn.qkv.weight 3*embed_dim embed_dim
blocks.#depth.attn.qkv.bias 3*embed_dim
blocks.#depth.attn.proj.weight embed_dim embed_dim
blocks.#depth.attn.proj.bias embed_dim
blocks.#depth.mlp.fc1.weight mlp embed_dim
blocks.#depth.mlp.fc1.bias mlp
blocks.#depth.mlp.fc2.weight embed_dim mlp
blocks.#depth.mlp.fc2.bias embed_dim
)";

constexpr std::string_view kQwen25 = R"(
patch_embed.proj.weight hidden_size in_channels temporal_patch_size patch_size patch_size
blocks.#depth.{norm1,norm2}.weight hidden_size
blocks.#depth.attn.qkv.weight 3*hidden_size hidden_size
blocks.#depth.attn.qkv.bias 3*hidden_size
blocks.#depth.attn.proj.weight hidden_size hidden_size
blocks.#depth.attn.proj.bias hidden_size
blocks.#depth.mlp.{gate_proj,up_proj}.weight intermediate_size hidden_size
blocks.#depth.mlp.{gate_proj,up_proj}.bias intermediate_size
blocks.#depth.mlp.down_proj.weight hidden_size intermediate_size
blocks.#depth.mlp.down_proj.bias hidden_size
)";

constexpr std::string_view kQwen3 = R"(
patch_embed.proj.weight hidden_size in_channels temporal_patch_size patch_size patch_size
patch_embed.proj.bias hidden_size
pos_embed.weight num_position_embeddings hidden_size
blocks.#depth.{norm1,norm2}.{weight,bias} hidden_size
blocks.#depth.attn.qkv.weight 3*hidden_size hidden_size
blocks.#depth.attn.qkv.bias 3*hidden_size
blocks.#depth.attn.proj.weight hidden_size hidden_size
blocks.#depth.attn.proj.bias hidden_size
blocks.#depth.mlp.linear_fc1.weight intermediate_size hidden_size
blocks.#depth.mlp.linear_fc1.bias intermediate_size
blocks.#depth.mlp.linear_fc2.weight hidden_size intermediate_size
blocks.#depth.mlp.linear_fc2.bias hidden_size
)";

constexpr std::string_view kInternVlFields = R"(
embeddings.cls_token 1 1 hidden_size
embeddings.mask_token? 1 1 hidden_size
embeddings.patch_embeddings.projection.weight hidden_size num_channels patch_height patch_width
embeddings.patch_embeddings.projection.bias hidden_size
embeddings.position_embeddings 1 patches+1 hidden_size
encoder.layer.#num_hidden_layers.{lambda_1,lambda_2} hidden_size
encoder.layer.#num_hidden_layers.{layernorm_before,layernorm_after}.weight hidden_size
encoder.layer.#num_hidden_layers.{layernorm_before,layernorm_after}.bias? hidden_size
encoder.layer.#num_hidden_layers.attention.{q_norm,k_norm}.weight? hidden_size
encoder.layer.#num_hidden_layers.attention.{q_proj,k_proj,v_proj,projection_layer}.weight hidden_size hidden_size
encoder.layer.#num_hidden_layers.attention.{q_proj,k_proj,v_proj}.bias? hidden_size
encoder.layer.#num_hidden_layers.attention.projection_layer.bias hidden_size
encoder.layer.#num_hidden_layers.mlp.fc1.weight intermediate_size hidden_size
encoder.layer.#num_hidden_layers.mlp.fc1.bias intermediate_size
encoder.layer.#num_hidden_layers.mlp.fc2.weight hidden_size intermediate_size
encoder.layer.#num_hidden_layers.mlp.fc2.bias hidden_size
layernorm.{weight,bias}?!use_mean_pooling hidden_size
)";

constexpr std::string_view kMllamaFields = R"(
class_embedding hidden_size
patch_embedding.weight hidden_size num_channels patch_size patch_size
gated_positional_embedding.embedding patches+1 hidden_size
gated_positional_embedding.gate 1
gated_positional_embedding.tile_embedding.weight ratios+1 tiles
{pre,post}_tile_positional_embedding.embedding.weight ratios+1 tile_widths
{pre,post}_tile_positional_embedding.gate 1
{layernorm_pre,layernorm_post}.{weight,bias} hidden_size
{transformer.layers.#num_hidden_layers,global_transformer.layers.#num_global_layers}.{input_layernorm,post_attention_layernorm}.{weight,bias} hidden_size
{transformer.layers.#num_hidden_layers,global_transformer.layers.#num_global_layers}.self_attn.{q_proj,k_proj,v_proj,o_proj}.weight hidden_size hidden_size
{transformer.layers.#num_hidden_layers,global_transformer.layers.#num_global_layers}.mlp.fc1.weight intermediate_size hidden_size
{transformer.layers.#num_hidden_layers,global_transformer.layers.#num_global_layers}.mlp.fc1.bias intermediate_size
{transformer.layers.#num_hidden_layers,global_transformer.layers.#num_global_layers}.mlp.fc2.weight hidden_size intermediate_size
{transformer.layers.#num_hidden_layers,global_transformer.layers.#num_global_layers}.mlp.fc2.bias hidden_size
global_transformer.layers.#num_global_layers.{gate_attn,gate_ffn} 1
)";

constexpr std::string_view kTwoLayers = R"(
linear_1.weight text features
linear_1.bias? text
linear_2.weight text text
linear_2.bias? text
)";

// Between the rows of tiles: LlavaNextModel in transformers
// (models/llava_next/modeling_llava_next.py).
constexpr std::string_view kNewline = "image_newline text\n";

constexpr std::string_view kMerging = R"(
norm.weight vision
patch_merger.merging_layer.weight vision merged
linear_1.weight text features
linear_1.bias? text
linear_2.weight text text
linear_2.bias? text
)";

constexpr std::string_view kShuffled = R"(
layer_norm.{weight,bias} shuffled
linear_1.weight text shuffled
linear_1.bias text
linear_2.weight text text
linear_2.bias text
)";

constexpr std::string_view kQwen2Merger = R"(
merger.ln_q.{weight,bias} vision
merger.mlp.0.weight merged merged
merger.mlp.0.bias merged
merger.mlp.2.weight text merged
merger.mlp.2.bias text
)";

constexpr std::string_view kQwen25Merger = R"(
merger.ln_q.weight vision
merger.mlp.0.weight merged merged
merger.mlp.0.bias merged
merger.mlp.2.weight text merged
merger.mlp.2.bias text
)";

constexpr std::string_view kQwen3Merger = R"(
merger.norm.{weight,bias} vision
merger.linear_fc1.weight merged merged
merger.linear_fc1.bias merged
merger.linear_fc2.weight text merged
merger.linear_fc2.bias text
deepstack_merger_list.#deepstack_visual_indexes.norm.{weight,bias} merged
deepstack_merger_list.#deepstack_visual_indexes.linear_fc1.weight merged merged
deepstack_merger_list.#deepstack_visual_indexes.linear_fc1.bias merged
deepstack_merger_list.#deepstack_visual_indexes.linear_fc2.weight text merged
deepstack_merger_list.#deepstack_visual_indexes.linear_fc2.bias text
)";

// Separators of rows and pictures, then two layers.
constexpr std::string_view kPhi3 = R"(
glb_GN 1 1 4*vision
sub_GN 1 1 1 4*vision
img_projection.0.weight text 4*vision
img_projection.0.bias text
img_projection.2.weight text text
img_projection.2.bias text
wte.*
)";

constexpr std::string_view kPhi4 = R"(
glb_GN 1 1 vision
sub_GN 1 1 1 vision
img_projection.0.weight text vision
img_projection.0.bias text
img_projection.2.weight text text
img_projection.2.bias text
)";

constexpr std::string_view kGemma = R"(
model.embed_tokens.weight vocab_size hidden_size
lm_head.weight?!tie_word_embeddings vocab_size hidden_size
model.norm.weight hidden_size
model.layers.#num_hidden_layers.{input_layernorm,post_attention_layernorm}.weight hidden_size
model.layers.#num_hidden_layers.self_attn.q_proj.weight q_width hidden_size
model.layers.#num_hidden_layers.self_attn.{k_proj,v_proj}.weight kv_width hidden_size
model.layers.#num_hidden_layers.self_attn.o_proj.weight hidden_size q_width
model.layers.#num_hidden_layers.mlp.{gate_proj,up_proj}.weight intermediate_size hidden_size
model.layers.#num_hidden_layers.mlp.down_proj.weight hidden_size intermediate_size
)";

constexpr std::string_view kGemma2Norms =
    "model.layers.#num_hidden_layers."
    "{pre_feedforward_layernorm,post_feedforward_layernorm}.weight "
    "hidden_size\n";

constexpr std::string_view kMllamaText = R"(
model.embed_tokens.weight vocab_size+8 hidden_size
lm_head.weight vocab_size hidden_size
model.norm.weight hidden_size
model.layers.#num_hidden_layers.{input_layernorm,post_attention_layernorm}.weight hidden_size
model.layers.#num_hidden_layers.self_attn.q_proj.weight?!cross_attention_layers q_width hidden_size
model.layers.#num_hidden_layers.self_attn.{k_proj,v_proj}.weight?!cross_attention_layers kv_width hidden_size
model.layers.#num_hidden_layers.self_attn.o_proj.weight?!cross_attention_layers hidden_size q_width
model.layers.#num_hidden_layers.cross_attn.q_proj.weight?cross_attention_layers q_width hidden_size
model.layers.#num_hidden_layers.cross_attn.{k_proj,v_proj}.weight?cross_attention_layers kv_width hidden_size
model.layers.#num_hidden_layers.cross_attn.o_proj.weight?cross_attention_layers hidden_size q_width
model.layers.#num_hidden_layers.cross_attn.{q_norm,k_norm}.weight?cross_attention_layers head
model.layers.#num_hidden_layers.{cross_attn_attn_gate,cross_attn_mlp_gate}?cross_attention_layers 1
model.layers.#num_hidden_layers.mlp.{gate_proj,up_proj}.weight intermediate_size hidden_size
model.layers.#num_hidden_layers.mlp.down_proj.weight hidden_size intermediate_size
)";

constexpr auto kTowerParts = std::to_array<DeclaredPart>({
    {"clip_vision_model", kClip},
    {"siglip_vision_model", kSiglip},
    {"idefics3_vision", kSiglip},
    {"smolvlm_vision", kSiglip},
    {"pixtral", kPixtral},
    {"qwen2_vl_vision", kQwen2},
    {"qwen2_5_vl_vision", kQwen25},
    {"qwen3_vl_vision", kQwen3},
    {"internvl_vision", kInternVlFields},
    {"mllama_vision_model", kMllamaFields},
    {"projector of llava", kTwoLayers},
    {"projector of llava_next", kTwoLayers},
    {"beside the projector of llava_next", kNewline},
    {"projector of mistral3", kMerging},
    {"projector of gemma3",
     "mm_input_projection_weight vision text\n"
     "mm_soft_emb_norm.weight vision\n"},
    {"projector of paligemma",
     "linear.weight projection_dim vision\nlinear.bias projection_dim\n"},
    {"projector of idefics3", "modality_projection.proj.weight text shuffled"},
    {"projector of smolvlm", "modality_projection.proj.weight text shuffled"},
    {"projector of internvl", kShuffled},
    {"projector of mllama", "weight text features\nbias text\n"},
    {"projector of qwen2_vl", kQwen2Merger},
    {"projector of qwen2_5_vl", kQwen25Merger},
    {"projector of qwen3_vl", kQwen3Merger},
    {"projector of phi3_v", kPhi3},
    {"projector of phi4mm", kPhi4},
    {"gemma", kGemma},
    {"gemma2", kGemma, kGemma2Norms},
    {"mllama_text_model", kMllamaText},
});

}  // namespace

std::string declared_part(std::string_view name) {
  for (const auto& part : kTowerParts) {
    if (part.name == name) {
      return std::string(part.lines) + std::string(part.more);
    }
  }
  return {};
}

}  // namespace assay::rules
