#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/component_tensors.h"

// Transformers that denoise, and encoders of text.
namespace assay::rules {
namespace {

constexpr int64_t kMostBlocks = 512;  // layers
constexpr int64_t kTime = 256;        // width of embedded times in transformers

bool flag(const Component& component, std::string_view field, bool absent) {
  auto value = component.config.value(field, Json());
  return value.is_boolean() ? value.get<bool>() : absent;
}

bool is_null(const Component& component, std::string_view field) {
  return component.config.value(field, Json()).is_null();
}

/** A size, and what its class takes where the config is silent. */
struct Field {
  std::string_view name;
  int64_t absent;
};

/** All of them; nothing where one is no size. */
std::optional<std::vector<int64_t>> sizes(const Component& component,
                                          std::initializer_list<Field> fields) {
  std::vector<int64_t> found;
  for (const auto& field : fields) {
    bool absent = !component.config.contains(field.name);
    auto size =
        absent ? std::optional(field.absent) : component.size(field.name);
    if (!size || *size <= 0) {
      return std::nullopt;
    }
    found.push_back(*size);
  }
  return found;
}

/** How many layers: zero, too. */
std::optional<int64_t> layers(const Component& component, Field field) {
  auto value = component.config.value(field.name, Json(field.absent));
  bool good = value.is_number_integer() && value.get<int64_t>() >= 0 &&
              value.get<int64_t>() <= kMostBlocks;
  return good ? std::optional(value.get<int64_t>()) : std::nullopt;
}

/** Attention over the picture and over the text beside it. */
struct JointAttention {
  TensorLister& list;
  int64_t width, head;
  bool norms;

  void own(const std::string& path) const {
    for (const auto* name : {".to_q", ".to_k", ".to_v"}) {
      list.linear(path + name, width, width, true);
    }
    scales(path, {".norm_q", ".norm_k"});
  }
  void text(const std::string& path) const {
    for (const auto* name : {".add_q_proj", ".add_k_proj", ".add_v_proj"}) {
      list.linear(path + name, width, width, true);
    }
    scales(path, {".norm_added_q", ".norm_added_k"});
  }
  void scales(const std::string& path,
              std::initializer_list<const char*> names) const {
    for (const auto* name : names) {
      if (norms) {
        list.add(path + name + ".weight", {head});
      }
    }
  }
};

void flux_block(const JointAttention& attention, const std::string& path) {
  auto& list = attention.list;
  auto width = attention.width;
  list.linear(path + ".norm1.linear", width, 6 * width, true);
  list.linear(path + ".norm1_context.linear", width, 6 * width, true);
  attention.own(path + ".attn");
  attention.text(path + ".attn");
  list.linear(path + ".attn.to_out.0", width, width, true);
  list.linear(path + ".attn.to_add_out", width, width, true);
  list.feed_forward(path + ".ff", width, 4 * width);
  list.feed_forward(path + ".ff_context", width, 4 * width);
}

void flux_single_block(const JointAttention& attention,
                       const std::string& path) {
  auto& list = attention.list;
  auto width = attention.width;
  list.linear(path + ".norm.linear", width, 3 * width, true);
  list.linear(path + ".proj_mlp", width, 4 * width, true);
  list.linear(path + ".proj_out", 5 * width, width, true);
  attention.own(path + ".attn");
}

void sd3_block(const JointAttention& attention,
               const std::string& path,
               bool last,
               bool dual) {
  auto& list = attention.list;
  auto width = attention.width;
  list.linear(path + ".norm1.linear", width, (dual ? 9 : 6) * width, true);
  list.linear(
      path + ".norm1_context.linear", width, (last ? 2 : 6) * width, true);
  attention.own(path + ".attn");
  attention.text(path + ".attn");
  list.linear(path + ".attn.to_out.0", width, width, true);
  if (dual) {
    attention.own(path + ".attn2");
    list.linear(path + ".attn2.to_out.0", width, width, true);
  }
  list.feed_forward(path + ".ff", width, 4 * width);
  if (!last) {
    list.linear(path + ".attn.to_add_out", width, width, true);
    list.feed_forward(path + ".ff_context", width, 4 * width);
  }
}

}  // namespace

std::optional<TensorList> tensors_of_flux(const Component& transformer) {
  auto found = sizes(transformer,
                     {{"num_attention_heads", 24},
                      {"attention_head_dim", 128},
                      {"in_channels", 64},
                      {"joint_attention_dim", 4096},
                      {"pooled_projection_dim", 768}});
  auto doubles = layers(transformer, {"num_layers", 19});
  auto singles = layers(transformer, {"num_single_layers", 38});
  if (!found || !doubles || !singles) {
    return std::nullopt;
  }
  auto [heads, head, in, text, pooled] = std::array{
      (*found)[0], (*found)[1], (*found)[2], (*found)[3], (*found)[4]};
  auto width = heads * head;
  auto patch = transformer.size("patch_size").value_or(1);
  auto out = transformer.size("out_channels").value_or(in);
  TensorLister list;
  const std::string times = "time_text_embed.";
  list.linear("x_embedder", in, width, true);
  list.linear("context_embedder", text, width, true);
  list.embedder(times + "timestep_embedder", kTime, width);
  list.embedder(times + "text_embedder", pooled, width);
  if (flag(transformer, "guidance_embeds", false)) {
    list.embedder(times + "guidance_embedder", kTime, width);
  }
  JointAttention attention{list, width, head, true};
  for (int64_t i = 0; i < *doubles; ++i) {
    flux_block(attention, fmt::format("transformer_blocks.{}", i));
  }
  for (int64_t i = 0; i < *singles; ++i) {
    flux_single_block(attention,
                      fmt::format("single_transformer_blocks.{}", i));
  }
  list.linear("norm_out.linear", width, 2 * width, true);
  list.linear("proj_out", width, patch * patch * out, true);
  return std::move(list.tensors);
}

std::optional<TensorList> tensors_of_sd3(const Component& transformer) {
  auto found = sizes(transformer,
                     {{"num_attention_heads", 18},
                      {"attention_head_dim", 64},
                      {"in_channels", 16},
                      {"joint_attention_dim", 4096},
                      {"pooled_projection_dim", 2048},
                      {"caption_projection_dim", 1152},
                      {"patch_size", 2},
                      {"pos_embed_max_size", 96}});
  auto count = layers(transformer, {"num_layers", 18});
  auto norm = transformer.config.value("qk_norm", Json());
  if (!found || !count || !(norm.is_null() || norm == "rms_norm")) {
    return std::nullopt;
  }
  const auto& size = *found;
  auto width = size[0] * size[1];
  auto patch = size[6];
  auto out = transformer.size("out_channels").value_or(size[2]);
  TensorLister list;
  list.conv("pos_embed.proj", size[2], width, patch);
  list.add("pos_embed.pos_embed", {1, size[7] * size[7], width});
  list.embedder("time_text_embed.timestep_embedder", kTime, width);
  list.embedder("time_text_embed.text_embedder", size[4], width);
  list.linear("context_embedder", size[3], size[5], true);
  JointAttention attention{list, width, size[1], !norm.is_null()};
  auto dual = transformer.config.value("dual_attention_layers", Json());
  for (int64_t i = 0; i < *count; ++i) {
    bool is_dual =
        dual.is_array() && std::ranges::find(dual, Json(i)) != dual.end();
    sd3_block(attention,
              fmt::format("transformer_blocks.{}", i),
              i + 1 == *count,
              is_dual);
  }
  list.linear("norm_out.linear", width, 2 * width, true);
  list.linear("proj_out", width, patch * patch * out, true);
  return std::move(list.tensors);
}

std::optional<TensorList> tensors_of_pixart(const Component& transformer) {
  auto found = sizes(transformer,
                     {{"num_attention_heads", 16},
                      {"attention_head_dim", 72},
                      {"in_channels", 4},
                      {"out_channels", 8},
                      {"cross_attention_dim", 1152},
                      {"patch_size", 2}});
  auto caption = transformer.size("caption_channels");  // none: no projection
  auto count = layers(transformer, {"num_layers", 28});
  bool usual = transformer.config.value("norm_type", Json("ada_norm_single")) ==
                   "ada_norm_single" &&
               !flag(transformer, "norm_elementwise_affine", false);
  if (!found || !count || !usual) {
    return std::nullopt;
  }
  const auto& size = *found;
  auto width = size[0] * size[1];
  auto patch = size[5];
  bool bias = flag(transformer, "attention_bias", true);
  // diffusers decides by the size of pictures where the config is silent.
  auto more = is_null(transformer, "use_additional_conditions")
                  ? transformer.size("sample_size") == 128
                  : flag(transformer, "use_additional_conditions", false);
  TensorLister list;
  list.conv("pos_embed.proj", size[2], width, patch);
  list.embedder("adaln_single.emb.timestep_embedder", kTime, width);
  if (more) {
    list.embedder("adaln_single.emb.resolution_embedder", kTime, width / 3);
    list.embedder("adaln_single.emb.aspect_ratio_embedder", kTime, width / 3);
  }
  list.linear("adaln_single.linear", width, 6 * width, true);
  if (caption) {
    list.embedder("caption_projection", *caption, width);
  }
  for (int64_t i = 0; i < *count; ++i) {
    auto block = fmt::format("transformer_blocks.{}", i);
    list.add(block + ".scale_shift_table", {6, width});
    for (auto [name, text] :
         {std::pair(".attn1", width), std::pair(".attn2", size[4])}) {
      list.linear(block + name + ".to_q", width, width, bias);
      list.linear(block + name + ".to_k", text, width, bias);
      list.linear(block + name + ".to_v", text, width, bias);
      list.linear(block + name + ".to_out.0", width, width, true);
    }
    list.feed_forward(block + ".ff", width, 4 * width);
  }
  list.add("scale_shift_table", {2, width});
  list.linear("proj_out", width, patch * patch * size[3], true);
  return std::move(list.tensors);
}

std::optional<TensorList> tensors_of_clip(const Component& encoder) {
  auto found = sizes(encoder,
                     {{"vocab_size", 49408},
                      {"hidden_size", 512},
                      {"max_position_embeddings", 77},
                      {"intermediate_size", 2048}});
  auto count = layers(encoder, {"num_hidden_layers", 12});
  if (!found || !count) {
    return std::nullopt;
  }
  const auto& size = *found;
  auto width = size[1];
  TensorLister list;
  list.add("embeddings.token_embedding.weight", {size[0], width});
  list.add("embeddings.position_embedding.weight", {size[2], width});
  for (int64_t i = 0; i < *count; ++i) {
    auto layer = fmt::format("encoder.layers.{}", i);
    for (const auto* name : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      list.linear(layer + ".self_attn." + name, width, width, true);
    }
    list.norm(layer + ".layer_norm1", width);
    list.norm(layer + ".layer_norm2", width);
    list.linear(layer + ".mlp.fc1", width, size[3], true);
    list.linear(layer + ".mlp.fc2", size[3], width, true);
  }
  list.norm("final_layer_norm", width);
  if (encoder.class_name == "CLIPTextModelWithProjection") {
    auto projection = sizes(encoder, {{"projection_dim", 512}});
    if (!projection) {
      return std::nullopt;
    }
    list.linear("text_projection", width, projection->front(), false);
  }
  return std::move(list.tensors);
}

std::optional<TensorList> tensors_of_t5(const Component& encoder) {
  auto found = sizes(encoder,
                     {{"vocab_size", 32128},
                      {"d_model", 512},
                      {"d_ff", 2048},
                      {"d_kv", 64},
                      {"num_heads", 8}});
  auto count = layers(encoder, {"num_layers", 6});
  auto kind = encoder.config.value("feed_forward_proj", Json("relu"));
  if (!found || !count || !kind.is_string()) {
    return std::nullopt;
  }
  const auto& size = *found;
  auto width = size[1];
  auto inner = size[3] * size[4];
  bool gated = kind.get<std::string>().starts_with("gated-");
  TensorLister list;
  list.add("shared.weight", {size[0], width});
  for (int64_t i = 0; i < *count; ++i) {
    auto attention = fmt::format("encoder.block.{}.layer.0.", i);
    auto dense = fmt::format("encoder.block.{}.layer.1.", i);
    for (const auto* name : {"q", "k", "v"}) {
      list.linear(attention + "SelfAttention." + name, width, inner, false);
    }
    list.linear(attention + "SelfAttention.o", inner, width, false);
    if (i == 0) {
      list.add(attention + "SelfAttention.relative_attention_bias.weight",
               {encoder.size("relative_attention_num_buckets").value_or(32),
                size[4]});
    }
    list.add(attention + "layer_norm.weight", {width});
    list.add(dense + "layer_norm.weight", {width});
    const std::string products = dense + "DenseReluDense.";
    if (gated) {
      list.linear(products + "wi_0", width, size[2], false);
      list.linear(products + "wi_1", width, size[2], false);
    } else {
      list.linear(products + "wi", width, size[2], false);
    }
    list.linear(products + "wo", size[2], width, false);
  }
  list.add("encoder.final_layer_norm.weight", {width});
  return std::move(list.tensors);
}

std::optional<TensorList> tensors_of_bert(const Component& encoder) {
  auto found = sizes(encoder,
                     {{"vocab_size", 30522},
                      {"hidden_size", 768},
                      {"max_position_embeddings", 512},
                      {"intermediate_size", 3072}});
  auto count = layers(encoder, {"num_hidden_layers", 12});
  constexpr const char* kKinds = "type_vocab_size";  // 0 is a size too
  auto stated = encoder.config.value(kKinds, Json(2));
  auto kinds = stated.is_number_integer() ? stated.get<int64_t>() : -1;
  if (!found || !count || kinds < 0 ||
      encoder.config.value("position_embedding_type", Json("absolute")) !=
          "absolute") {
    return std::nullopt;
  }
  const auto& size = *found;
  auto width = size[1];
  TensorLister list;
  list.add("embeddings.word_embeddings.weight", {size[0], width});
  list.add("embeddings.position_embeddings.weight", {size[2], width});
  list.add("embeddings.token_type_embeddings.weight", {kinds, width});
  list.norm("embeddings.LayerNorm", width);
  for (int64_t i = 0; i < *count; ++i) {
    auto layer = fmt::format("encoder.layer.{}", i);
    for (const auto* name : {"query", "key", "value"}) {
      list.linear(layer + ".attention.self." + name, width, width, true);
    }
    list.linear(layer + ".attention.output.dense", width, width, true);
    list.norm(layer + ".attention.output.LayerNorm", width);
    list.linear(layer + ".intermediate.dense", width, size[3], true);
    list.linear(layer + ".output.dense", size[3], width, true);
    list.norm(layer + ".output.LayerNorm", width);
  }
  return std::move(list.tensors);
}

}  // namespace assay::rules
