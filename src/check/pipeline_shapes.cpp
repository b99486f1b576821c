#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/check/component_tensors.h"
#include "assay/check/pipeline.h"

// What tensors show of a config, for the classes of published pipelines. The
// fields and names are those of diffusers' and transformers' own modules.
namespace assay::rules {
namespace {

/** `field` of the config (of a list, its first or last entry) is the size of
 * `tensor` in `dim`, divided by `divide`. */
struct ShownBy {
  enum class Entry { whole, first, last };
  std::string_view class_prefix;
  std::string_view field;
  std::string_view tensor;  ///< or the end of its name, after a dot
  size_t dim;
  int64_t divide = 1;
  Entry entry = Entry::whole;
};

using enum ShownBy::Entry;

constexpr std::array kShown = {
    ShownBy{"UNet2DCond", "in_channels", "conv_in.weight", 1},
    ShownBy{"UNet2DCond", "out_channels", "conv_out.weight", 0},
    ShownBy{"UNet2DCond", "block_out_channels", "conv_in.weight", 0, 1, first},
    ShownBy{"UNet2DCond", "cross_attention_dim", "attn2.to_k.weight", 1},
    ShownBy{"AutoencoderKL", "in_channels", "encoder.conv_in.weight", 1},
    ShownBy{"AutoencoderKL", "out_channels", "decoder.conv_out.weight", 0},
    ShownBy{"AutoencoderKL", "latent_channels", "decoder.conv_in.weight", 1},
    ShownBy{"AutoencoderKL",
            "block_out_channels",
            "encoder.conv_in.weight",
            0,
            1,
            first},
    ShownBy{"AutoencoderKL",
            "block_out_channels",
            "decoder.conv_in.weight",
            0,
            1,
            last},
    ShownBy{"CLIPText", "vocab_size", "token_embedding.weight", 0},
    ShownBy{"CLIPText", "hidden_size", "token_embedding.weight", 1},
    ShownBy{
        "CLIPText", "max_position_embeddings", "position_embedding.weight", 0},
    ShownBy{"CLIPText", "intermediate_size", "mlp.fc1.weight", 0},
    ShownBy{"CLIPTextModelWith", "projection_dim", "text_projection.weight", 0},
    ShownBy{"T5Encoder", "vocab_size", "shared.weight", 0},
    ShownBy{"T5Encoder", "d_model", "shared.weight", 1},
    ShownBy{"T5Encoder", "d_ff", "DenseReluDense.wo.weight", 1},
    ShownBy{"SD3Transformer", "in_channels", "pos_embed.proj.weight", 1},
    ShownBy{"SD3Transformer", "patch_size", "pos_embed.proj.weight", 2},
    ShownBy{
        "SD3Transformer", "joint_attention_dim", "context_embedder.weight", 1},
    ShownBy{"SD3Transformer",
            "caption_projection_dim",
            "context_embedder.weight",
            0},
    ShownBy{"SD3Transformer",
            "pooled_projection_dim",
            "text_embedder.linear_1.weight",
            1},
    ShownBy{"ControlNetModel", "in_channels", "conv_in.weight", 1},
    ShownBy{
        "ControlNetModel", "block_out_channels", "conv_in.weight", 0, 1, first},
    ShownBy{"ControlNetModel", "cross_attention_dim", "attn2.to_k.weight", 1},
    ShownBy{"ControlNetModel",
            "conditioning_channels",
            "controlnet_cond_embedding.conv_in.weight",
            1},
    ShownBy{"PixArtTransformer", "in_channels", "pos_embed.proj.weight", 1},
    ShownBy{"PixArtTransformer", "patch_size", "pos_embed.proj.weight", 2},
    ShownBy{"PixArtTransformer",
            "caption_channels",
            "caption_projection.linear_1.weight",
            1},
    ShownBy{"FluxControlNet", "in_channels", "x_embedder.weight", 1},
    ShownBy{
        "FluxControlNet", "joint_attention_dim", "context_embedder.weight", 1},
    ShownBy{"FluxControlNet",
            "pooled_projection_dim",
            "text_embedder.linear_1.weight",
            1},
    ShownBy{"SD3ControlNet", "in_channels", "pos_embed.proj.weight", 1},
    ShownBy{"SD3ControlNet", "patch_size", "pos_embed.proj.weight", 2},
    ShownBy{
        "SD3ControlNet", "joint_attention_dim", "context_embedder.weight", 1},
    ShownBy{"FluxTransformer", "in_channels", "x_embedder.weight", 1},
    ShownBy{
        "FluxTransformer", "joint_attention_dim", "context_embedder.weight", 1},
    ShownBy{"FluxTransformer",
            "pooled_projection_dim",
            "text_embedder.linear_1.weight",
            1},
};

/** `field` counts the numbers that follow `prefix` in tensor names; of a list,
 * its length does. */
struct CountedBy {
  std::string_view class_prefix;
  std::string_view field;
  std::string_view prefix;
};

constexpr std::array kCounted = {
    CountedBy{"UNet2DCond", "block_out_channels", "down_blocks."},
    CountedBy{"ControlNetModel", "block_out_channels", "down_blocks."},
    CountedBy{"PixArtTransformer", "num_layers", "transformer_blocks."},
    CountedBy{"FluxControlNet", "num_layers", "transformer_blocks."},
    CountedBy{
        "FluxControlNet", "num_single_layers", "single_transformer_blocks."},
    CountedBy{"SD3ControlNet", "num_layers", "transformer_blocks."},
    CountedBy{"AutoencoderKL", "block_out_channels", "encoder.down_blocks."},
    CountedBy{"CLIPText", "num_hidden_layers", "encoder.layers."},
    CountedBy{"T5Encoder", "num_layers", "encoder.block."},
    CountedBy{"SD3Transformer", "num_layers", "transformer_blocks."},
    CountedBy{"FluxTransformer", "num_layers", "transformer_blocks."},
    CountedBy{
        "FluxTransformer", "num_single_layers", "single_transformer_blocks."},
};

// `part` starts a name, or follows a dot in it.
size_t find_part(std::string_view name, std::string_view part) {
  for (size_t at = name.find(part); at != std::string_view::npos;
       at = name.find(part, at + 1)) {
    if (at == 0 || name[at - 1] == '.') {
      return at;
    }
  }
  return std::string_view::npos;
}

// Of several tensors that end so, the one with the shortest name: the others
// belong to parts inside (a ControlNet has a conv_in of its picture too).
std::optional<int64_t> shown_shape(const Component& component,
                                   const ShownBy& rule) {
  std::optional<int64_t> size;
  size_t length = 0;
  for (const auto& [name, shape] : component.tensors) {
    auto at = find_part(name, rule.tensor);
    bool ends = at != std::string_view::npos &&
                at + rule.tensor.size() == name.size() &&
                rule.dim < shape.size();
    if (ends && (!size || name.size() < length)) {
      size = static_cast<int64_t>(shape[rule.dim]) / rule.divide;
      length = name.size();
    }
  }
  return size;
}

std::optional<int64_t> counted(const Component& component,
                               std::string_view prefix) {
  std::set<int64_t> numbers;
  for (const auto& [name, shape] : component.tensors) {
    auto at = find_part(name, prefix);
    if (at == std::string_view::npos) {
      continue;
    }
    auto rest = std::string_view(name).substr(at + prefix.size());
    int64_t number = 0;
    auto end = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (end.ec == std::errc()) {
      numbers.insert(number);
    }
  }
  return component.tensors.empty()
             ? std::nullopt
             : std::optional(static_cast<int64_t>(numbers.size()));
}

std::optional<int64_t> stated(const Component& component, const ShownBy& rule) {
  if (rule.entry == ShownBy::Entry::whole) {
    return component.size(rule.field);
  }
  if (!component.config.is_object()) {
    return std::nullopt;
  }
  auto list = component.config.find(rule.field);
  if (list == component.config.end() || !list->is_array() || list->empty()) {
    return std::nullopt;
  }
  const auto& value =
      rule.entry == ShownBy::Entry::first ? list->front() : list->back();
  return value.is_number_integer() ? std::optional(value.get<int64_t>())
                                   : std::nullopt;
}

std::optional<int64_t> stated_count(const Component& component,
                                    std::string_view field) {
  if (!component.config.is_object()) {
    return std::nullopt;
  }
  auto value = component.config.find(field);
  bool list = value != component.config.end() && value->is_array();
  return list ? std::optional(static_cast<int64_t>(value->size()))
              : component.size(field);
}

/** What is said and shown otherwise. */
bool differ(const ShownSize& size) {
  return size.says && size.shows && *size.says != *size.shows;
}

std::optional<std::string> entry_of(const Component& component,
                                    const ShownBy& rule) {
  switch (rule.entry) {
    case ShownBy::Entry::first:
      return "0";
    case ShownBy::Entry::last:
      return std::to_string(component.config.value(rule.field, Json()).size() -
                            1);
    case ShownBy::Entry::whole:
      break;
  }
  return std::nullopt;
}

}  // namespace

std::vector<ShownSize> shown_sizes(const Component& component,
                                   std::string_view class_name) {
  std::vector<ShownSize> sizes;
  for (const auto& rule : kShown) {
    if (class_name.starts_with(rule.class_prefix)) {
      auto says = stated(component, rule);
      sizes.push_back({rule.field,
                       says ? entry_of(component, rule) : std::nullopt,
                       says,
                       shown_shape(component, rule),
                       rule.tensor,
                       true});
    }
  }
  for (const auto& rule : kCounted) {
    if (class_name.starts_with(rule.class_prefix)) {
      bool number = component.size(rule.field).has_value();
      sizes.push_back({rule.field,
                       std::nullopt,
                       stated_count(component, rule.field),
                       counted(component, rule.prefix),
                       rule.prefix,
                       number});
    }
  }
  return sizes;
}

std::vector<Finding> component_shapes(const Component& component) {
  std::vector<Finding> findings;
  for (const auto& size : shown_sizes(component, component.class_name)) {
    if (differ(size)) {
      findings.push_back(make_finding(
          "component.shape-mismatch",
          fmt::format("{}: {}", component.config_path.string(), size.field),
          fmt::format("{}, as {} shows", *size.shows, size.tensor),
          fmt::format("{}", *size.says)));
    }
  }
  return findings;
}

// Most to the point first: where a field is no value at all, or contradicts
// the tensor that shows it, a list of tensors by that field tells no more.
std::vector<Finding> component_configs(
    const std::vector<Component>& components) {
  std::vector<Finding> findings;
  for (const auto& component : components) {
    auto own = component_values(component);
    std::ranges::move(component_shapes(component), std::back_inserter(own));
    if (own.empty()) {
      own = declared_tensors(component);
    }
    std::ranges::move(own, std::back_inserter(findings));
  }
  return findings;
}

}  // namespace assay::rules
