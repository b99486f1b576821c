#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "assay/check/pipeline.h"
#include "assay/formats/quote.h"

// What a component's config says that its class cannot build, whatever the
// tensors are.
namespace assay::rules {
namespace {

using Findings = std::vector<Finding>;

class Values {
 public:
  explicit Values(const Component& component) : component_(component) {}

  Findings look() {
    types();
    first_tensor();
    if (is("UNet2DCond")) {
      lists(4);
      kinds_of_blocks();
      groups();
      heads_of_blocks();
      depths();
      added_times();
    } else if (class_is("AutoencoderKL")) {
      lists(1);
      kinds_of_blocks();
      groups();
    } else if (class_is("AutoencoderTiny")) {
      tiny_vae();
    } else if (is("CLIPText") || is("Bert")) {
      divides("num_attention_heads", "hidden_size");
      epsilon("layer_norm_eps");
    } else if (is("FluxTransformer")) {
      axes();
    } else if (is("SD3Transformer")) {
      norm_of_heads();
    } else if (is("T5Encoder") && find("is_decoder") != nullptr &&
               *find("is_decoder") == true) {
      add("is_decoder", "false, for an encoder", "true");
    }
    return std::move(findings_);
  }

 private:
  bool is(std::string_view prefix) const {
    return component_.class_name.starts_with(prefix);
  }

  bool class_is(std::string_view name) const {
    return component_.class_name == name;
  }

  const Json* find(std::string_view field) const {
    auto value = component_.config.find(field);
    return value == component_.config.end() ? nullptr : &*value;
  }

  void add(std::string_view field, std::string expected, std::string actual) {
    findings_.push_back(make_finding(
        "component.invalid-value",
        fmt::format("{}: {}", component_.config_path.string(), field),
        std::move(expected),
        std::move(actual)));
  }

  // A whole number above zero, a list of them, or null where it may be left.
  void types() {
    constexpr std::array<std::string_view, 31> kSizes = {
        "in_channels",
        "out_channels",
        "latent_channels",
        "layers_per_block",
        "block_out_channels",
        "cross_attention_dim",
        "attention_head_dim",
        "num_attention_heads",
        "norm_num_groups",
        "transformer_layers_per_block",
        "joint_attention_dim",
        "pooled_projection_dim",
        "caption_projection_dim",
        "caption_channels",
        "pos_embed_max_size",
        "patch_size",
        "conv_in_kernel",
        "conv_out_kernel",
        "sample_size",
        "hidden_size",
        "intermediate_size",
        "vocab_size",
        "max_position_embeddings",
        "projection_dim",
        "num_hidden_layers",
        "d_model",
        "d_ff",
        "d_kv",
        "num_heads",
        "relative_attention_num_buckets",
        "axes_dims_rope"};
    for (auto field : kSizes) {
      const auto* value = find(field);
      if (value != nullptr && !value->is_null() && !is_size(*value)) {
        add(field,
            "a whole number above 0, or a list of them",
            quote(value->dump(-1, ' ', true)));
      }
    }
    for (auto [field, above_zero] : {std::pair("scaling_factor", true),
                                     std::pair("shift_factor", false)}) {
      if (const auto* value = find(field);
          value != nullptr && !value->is_null()) {
        number(field, above_zero);
      }
    }
    for (std::string_view field : {"use_quant_conv",
                                   "use_post_quant_conv",
                                   "mid_block_add_attention",
                                   "use_linear_projection",
                                   "guidance_embeds",
                                   "attention_bias",
                                   "is_gated_act"}) {
      const auto* value = find(field);
      if (value != nullptr && !value->is_boolean() && !value->is_null()) {
        add(field, "true or false", quote(value->dump(-1, ' ', true)));
      }
    }
  }

  static bool is_size(const Json& value) {
    auto one = [](const Json& number) {
      return number.is_number_integer() && number.get<int64_t>() > 0;
    };
    auto in_list = [&](const Json& item) {
      return one(item) || item.is_array();
    };
    return value.is_array() ? std::ranges::all_of(value, in_list) : one(value);
  }

  // A list that is left out is as long as the class's own.
  void lists(size_t usual) {
    const auto* widths = find("block_out_channels");
    bool stated = widths != nullptr && !widths->is_null();
    if (stated && !widths->is_array()) {
      return;
    }
    auto count = stated ? widths->size() : usual;
    for (std::string_view field : {"down_block_types", "up_block_types"}) {
      const auto* list = find(field);
      auto length = list == nullptr ? usual : list->size();
      if ((list != nullptr && !list->is_array()) || length != count) {
        add(field,
            fmt::format("{} kinds, one for each of block_out_channels", count),
            list == nullptr ? fmt::format("none, which means {} kinds", usual)
                            : quote(list->dump(-1, ' ', true)));
      }
    }
  }

  // What every model of a class begins with, whatever its blocks are.
  void first_tensor() {
    constexpr auto kFirst =
        std::to_array<std::pair<std::string_view, std::string_view>>({
            {"UNet2DModel", "conv_in.weight"},
            {"UNet2DConditionModel", "conv_in.weight"},
            {"AutoencoderKL", "decoder.conv_in.weight"},
            {"AutoencoderTiny", "decoder.layers.0.weight"},
        });
    for (auto [kind, tensor] : kFirst) {
      const auto& stored = component_.tensors;
      if (class_is(kind) && !stored.empty() && !stored.contains(tensor)) {
        findings_.push_back(make_finding(
            "component.tensor-missing",
            fmt::format("{}: {}", component_.folder.string(), tensor),
            fmt::format("a tensor that every {} has", component_.class_name),
            "none"));
      }
    }
  }

  // Of each half: as many widths as numbers of blocks. What is left out has
  // four.
  void tiny_vae() {
    constexpr size_t kUsual = 4;
    for (std::string_view half : {"encoder", "decoder"}) {
      auto blocks = fmt::format("num_{}_blocks", half);
      auto widths = fmt::format("{}_block_out_channels", half);
      hold_list(widths, 1);
      hold_list(blocks, 0);
      const auto* list = find(blocks);
      const auto* beside = find(widths);
      auto count = list == nullptr ? kUsual : list->size();
      auto wanted = beside == nullptr ? kUsual : beside->size();
      if (count != wanted) {
        add(blocks,
            fmt::format("{} numbers, one for each of {}", wanted, widths),
            list == nullptr ? fmt::format("none, which means {}", count)
                            : quote(list->dump(-1, ' ', true)));
      }
    }
    constexpr auto kWays = std::to_array<std::string_view>(
        {"nearest", "nearest-exact", "bilinear", "bicubic", "area"});
    one_of("upsample_fn", kWays);
    number("latent_magnitude", true);
    number("latent_shift", false);
    number("upsampling_scaling_factor", true);
  }

  void hold_list(std::string_view field, int64_t least) {
    const auto* list = find(field);
    auto fits = [&](const Json& one) {
      return one.is_number_integer() && one.get<int64_t>() >= least;
    };
    bool sound = list == nullptr || (list->is_array() && !list->empty() &&
                                     std::ranges::all_of(*list, fits));
    if (!sound) {
      add(field,
          fmt::format("a list of whole numbers, {} or more", least),
          quote(list->dump(-1, ' ', true)));
    }
  }

  void one_of(std::string_view field,
              std::span<const std::string_view> known,
              std::string_view or_else = "") {
    const auto* value = find(field);
    bool sound =
        value == nullptr ||
        (value->is_string() &&
         std::ranges::find(known, value->get<std::string>()) != known.end());
    if (!sound) {
      add(field,
          fmt::format("{}{}", or_else, fmt::join(known, ", ")),
          quote(value->dump(-1, ' ', true)));
    }
  }

  void number(std::string_view field, bool above_zero) {
    const auto* value = find(field);
    bool sound =
        value == nullptr ||
        (value->is_number() && (!above_zero || value->get<double>() > 0));
    if (!sound) {
      add(field,
          above_zero ? "a number above 0" : "a number",
          quote(value->dump(-1, ' ', true)));
    }
  }

  // Those of diffusers 0.42; old files begin them with "UNetRes".
  void kinds_of_blocks() {
    constexpr auto kKinds = std::to_array<std::string_view>({
        "",
        "Resnet",
        "Attn",
        "CrossAttn",
        "SimpleCrossAttn",
        "Skip",
        "AttnSkip",
        "K",
        "KCrossAttn",
    });
    for (auto [field, way] : {std::pair("down_block_types", "Down"),
                              std::pair("up_block_types", "Up")}) {
      const auto* list = find(field);
      if (list == nullptr || !list->is_array()) {
        continue;
      }
      for (const auto& one : *list) {
        auto name = one.is_string() ? one.get<std::string>() : "";
        auto kind = std::string_view(name);
        if (kind.starts_with("UNetRes")) {
          kind.remove_prefix(7);
        }
        auto end = kind.find(way);
        bool known =
            end != kind.npos && kind.ends_with("Block2D") &&
            std::ranges::find(kKinds, kind.substr(0, end)) != kKinds.end();
        if (!known) {
          add(field,
              fmt::format("kinds of {} blocks that diffusers has", way),
              quote(one.dump(-1, ' ', true)));
          break;
        }
      }
    }
  }

  // Heads of a UNet that are left out are eight.
  std::vector<int64_t> heads() const {
    const auto* named = find("num_attention_heads");
    bool newer = named != nullptr && !named->is_null();
    auto list = numbers(newer ? "num_attention_heads" : "attention_head_dim");
    bool absent = !newer && find("attention_head_dim") == nullptr;
    return absent ? std::vector<int64_t>{8} : list;
  }

  std::vector<int64_t> numbers(std::string_view field) const {
    std::vector<int64_t> found;
    const auto* value = find(field);
    if (value == nullptr || value->is_null() || !is_size(*value)) {
      return found;
    }
    for (const auto& one : value->is_array() ? *value : Json::array({*value})) {
      if (one.is_number_integer()) {
        found.push_back(one.get<int64_t>());
      }
    }
    return found;
  }

  void groups() {
    constexpr int64_t kUsual = 32;  // of both classes
    const auto* stated = find("norm_num_groups");
    auto count = stated == nullptr ? std::optional(kUsual)
                                   : component_.size("norm_num_groups");
    for (auto width : numbers("block_out_channels")) {
      if (count && width % *count != 0) {
        add("norm_num_groups",
            fmt::format("a divisor of the width {}", width),
            stated == nullptr ? fmt::format("none, which means {}", kUsual)
                              : fmt::format("{}", *count));
        return;
      }
    }
  }

  // diffusers calls the number of heads attention_head_dim in a UNet.
  void heads_of_blocks() {
    const auto* named = find("num_attention_heads");
    auto field = named != nullptr && !named->is_null() ? "num_attention_heads"
                                                       : "attention_head_dim";
    auto counts = heads();
    auto widths = numbers("block_out_channels");
    for (size_t i = 0; i < widths.size() && !counts.empty(); ++i) {
      auto count = counts[std::min(i, counts.size() - 1)];
      if (widths[i] % count != 0) {
        add(field,
            fmt::format("a divisor of the width {}", widths[i]),
            fmt::format("{}", count));
        return;
      }
    }
    if (counts.size() > 1 && counts.size() != widths.size()) {
      add(field,
          fmt::format("one number, or {}", widths.size()),
          fmt::format("{}", counts.size()));
    }
  }

  void divides(std::string_view part, std::string_view whole) {
    auto count = component_.size(part);
    auto width = component_.size(whole);
    if (count && width && *width % *count != 0) {
      add(part,
          fmt::format("a divisor of {}, {}", whole, *width),
          fmt::format("{}", *count));
    }
  }

  void epsilon(std::string_view field) {
    const auto* value = find(field);
    bool small =
        value == nullptr || (value->is_number() && value->get<double>() > 0 &&
                             value->get<double>() < 0.01);
    if (!small) {
      add(field, "a small number above 0", quote(value->dump(-1, ' ', true)));
    }
  }

  // A list is looked up by block, and may be longer.
  void depths() {
    const auto* depth = find("transformer_layers_per_block");
    const auto* widths = find("block_out_channels");
    size_t count = widths == nullptr ? 4 : widths->size();
    if (depth != nullptr && depth->is_array() && depth->size() < count) {
      add("transformer_layers_per_block",
          fmt::format("one number, or {}", count),
          quote(depth->dump(-1, ' ', true)));
    }
  }

  void added_times() {
    const auto* kind = find("addition_embed_type");
    const auto* width = find("addition_time_embed_dim");
    if (kind != nullptr && *kind == "text_time" &&
        !component_.size("addition_time_embed_dim")) {
      add("addition_time_embed_dim",
          "a whole number above 0, since addition_embed_type is text_time",
          width == nullptr ? "none" : quote(width->dump(-1, ' ', true)));
    }
  }

  void norm_of_heads() {
    constexpr auto kNorms =
        std::to_array<std::string_view>({"layer_norm",
                                         "fp32_layer_norm",
                                         "layer_norm_across_heads",
                                         "rms_norm",
                                         "rms_norm_across_heads",
                                         "l2"});
    const auto* norm = find("qk_norm");
    if (norm != nullptr && !norm->is_null()) {
      one_of("qk_norm", kNorms, "none, or ");
    }
  }

  // Left out they are FLUX.1's own.
  void axes() {
    const auto* stated = find("axes_dims_rope");
    auto axes = stated == nullptr ? std::vector<int64_t>{16, 56, 56}
                                  : numbers("axes_dims_rope");
    auto width = find("attention_head_dim") == nullptr
                     ? std::optional<int64_t>(128)
                     : component_.size("attention_head_dim");
    int64_t sum = 0;
    for (auto axis : axes) {
      sum += axis;
    }
    bool odd = std::ranges::any_of(axes, [](int64_t n) { return n % 2 != 0; });
    if (width && (sum != *width || axes.size() != 3 || odd)) {
      add("axes_dims_rope",
          fmt::format("three even numbers, together attention_head_dim, {}",
                      *width),
          stated == nullptr ? "none, which means [16, 56, 56]"
                            : quote(stated->dump(-1, ' ', true)));
    }
  }

  const Component& component_;
  Findings findings_;
};

}  // namespace

std::vector<Finding> component_values(const Component& component) {
  return component.config.is_object() ? Values(component).look() : Findings{};
}

}  // namespace assay::rules
