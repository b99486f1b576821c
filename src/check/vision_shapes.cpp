#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/declared_shapes.h"
#include "assay/check/vision_rules.h"
#include "assay/formats/json_fields.h"
#include "assay/inspect/declared.h"

namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;

constexpr int64_t kMostEdge = 1 << 20;  // so that products stay numbers

int64_t bounded(std::optional<int64_t> value) {
  return std::clamp<int64_t>(value.value_or(0), 0, kMostEdge);
}

int64_t length(const Json& fields, std::string_view name) {
  const auto* list = member(fields, name);
  return list != nullptr && list->is_array()
             ? static_cast<int64_t>(list->size())
             : 0;
}

// The size of an image, corrected in `fields`, in patches.
std::optional<Size> patches(const Json& fields) {
  auto image = extent(fields, "image_size");
  auto patch = extent(fields, "patch_size");
  if (!image || !patch || patch->first < 1 || patch->second < 1) {
    return std::nullopt;
  }
  auto rows = bounded(image->first) / patch->first;
  auto columns = bounded(image->second) / patch->second;
  return Size{
      rows * columns,
      "image_size",
      fmt::format("patches of {} in an image",
                  patch->first == patch->second
                      ? fmt::format("{}", patch->first)
                      : fmt::format("{}x{}", patch->first, patch->second)),
      "vision.positions"};
}

std::optional<Size> tower_symbol(const Json& fields, std::string_view symbol) {
  auto heads = bounded(integer(fields, "num_attention_heads"));
  auto width = bounded(integer(fields, "hidden_size"));
  auto head = integer(fields, "head_dim");
  if (symbol == "patches") {
    return patches(fields);
  }
  if (symbol == "q_width" && heads > 0) {
    return Size{heads * bounded(head.value_or(width / heads)),
                "num_attention_heads",
                "for num_attention_heads times head_dim"};
  }
  auto patch = extent(fields, "patch_size");
  if (symbol == "patch_height" && patch) {
    return Size{patch->first, "patch_size", "patch_size"};
  }
  if (symbol == "patch_width" && patch) {
    return Size{patch->second, "patch_size", "patch_size"};
  }
  if (symbol == "mlp") {
    return Size{bounded(integer(fields, "embed_dim")) *
                    bounded(integer(fields, "mlp_ratio")),
                "mlp_ratio",
                "for embed_dim times mlp_ratio"};
  }
  auto tiles = bounded(integer(fields, "max_num_tiles"));
  if (symbol == "ratios") {
    return Size{length(fields, "supported_aspect_ratios"),
                "supported_aspect_ratios",
                "ratios"};
  }
  if (symbol == "tile_widths") {
    return Size{
        tiles * width, "max_num_tiles", "for max_num_tiles times hidden_size"};
  }
  if (auto count = symbol == "tiles" ? patches(fields) : std::nullopt) {
    return Size{tiles * width * (count->value + 1),
                "max_num_tiles",
                "for max_num_tiles times positions times hidden_size"};
  }
  return std::nullopt;
}

std::optional<Size> text_symbol(const Json& fields, std::string_view symbol) {
  auto heads = bounded(integer(fields, "num_attention_heads"));
  auto width = bounded(integer(fields, "hidden_size"));
  auto head = bounded(
      integer(fields, "head_dim").value_or(heads > 0 ? width / heads : 0));
  auto shared = bounded(integer(fields, "num_key_value_heads").value_or(heads));
  if (symbol == "q_width") {
    return Size{heads * head,
                "num_attention_heads",
                "for num_attention_heads times head_dim"};
  }
  if (symbol == "kv_width") {
    return Size{shared * head,
                "num_key_value_heads",
                "for num_key_value_heads times head_dim"};
  }
  if (symbol == "head") {
    return Size{head, "head_dim", "head_dim"};
  }
  return std::nullopt;
}

const TensorInfo* ending_in(const std::vector<const TensorInfo*>& tensors,
                            std::string_view end) {
  auto found = std::ranges::find_if(
      tensors, [&](const auto* tensor) { return tensor->name.ends_with(end); });
  return found == tensors.end() ? nullptr : *found;
}

bool is_plain(const TensorInfo* tensor) {
  return tensor != nullptr && !tensor->shape.empty() &&
         is_floating(tensor->dtype);
}

/** Widths as stored, so that a projector is held against the towers
 * themselves; as the configs say, where they are packed. */
class Projector {
 public:
  explicit Projector(const VisionLanguage& parts) : parts_(parts) {
    const auto* embedding =
        ending_in(parts.text_tensors, "embed_tokens.weight");
    text_ = is_plain(embedding) && embedding->shape.size() == 2
                ? embedding->shape[1]
                : bounded(integer(parts.text.fields, "hidden_size"));
    const TensorInfo* patch = nullptr;
    for (const auto* name : {"patch_embedding.weight",
                             "patch_conv.weight",
                             "patch_embed.proj.weight",
                             "projection.weight"}) {
      patch = patch == nullptr ? ending_in(parts.vision_tensors, name) : patch;
    }
    bool embeds = parts.vision.fields.contains("embed_dim");
    vision_ = is_plain(patch)
                  ? patch->shape[0]
                  : bounded(integer(parts.vision.fields,
                                    embeds ? "embed_dim" : "hidden_size"));
  }

  Findings hold() const {
    auto lines = declared_part("projector of " + parts_.whole.type);
    if (lines.empty() || parts_.vision_tensors.empty() ||
        parts_.family == nullptr) {
      return {};
    }
    bool qwen = parts_.whole.type.starts_with("qwen");
    DeclaredSizes sizes;
    sizes.part = qwen ? &parts_.vision : &parts_.whole;
    sizes.symbol = [this](const Json& fields, std::string_view symbol) {
      return this->symbol(fields, symbol);
    };
    auto findings = hold_declared(
        lines, sizes, parts_.projector_root, parts_.projector_tensors);
    auto beside = declared_part("beside the projector of " + parts_.whole.type);
    if (!beside.empty()) {
      std::ranges::move(hold_declared(beside, sizes, parent(), others()),
                        std::back_inserter(findings));
    }
    bias(findings);
    widths(findings);
    return findings;
  }

 private:
  // "model." of "model.multi_modal_projector."
  std::string parent() const {
    std::string_view root = parts_.projector_root;
    root.remove_suffix(root.ends_with('.') ? 1 : 0);
    return std::string(root.substr(0, root.rfind('.') + 1));
  }

  // What is the projector's and does not lie in its module.
  std::vector<const TensorInfo*> others() const {
    std::vector<const TensorInfo*> tensors;
    for (const auto* tensor : parts_.projector_tensors) {
      if (!tensor->name.starts_with(parts_.projector_root)) {
        tensors.push_back(tensor);
      }
    }
    return tensors;
  }

  std::optional<Size> symbol(const Json& fields,
                             std::string_view symbol) const {
    constexpr auto kId = "vision.projector-mismatch";
    const auto& type = parts_.whole.type;
    if (symbol == "text") {
      return Size{text_, "", "for the width of the language model", kId};
    }
    if (symbol == "vision") {
      return Size{vision_, "", "for the width of the vision tower", kId};
    }
    if (symbol == "features") {
      if (type == "mllama") {
        return Size{bounded(integer(parts_.vision.fields, "vision_output_dim")),
                    "",
                    "features, the tower's vision_output_dim",
                    kId};
      }
      auto layers =
          std::max<int64_t>(1, length(fields, "vision_feature_layer"));
      return Size{vision_ * layers,
                  "vision_feature_layer",
                  "features of the layers that are taken",
                  kId};
    }
    if (symbol == "merged") {
      auto merge = bounded(integer(fields, "spatial_merge_size"));
      return Size{vision_ * merge * merge,
                  "spatial_merge_size",
                  "for the tower's width times spatial_merge_size squared",
                  kId};
    }
    if (symbol == "shuffled" && type == "internvl") {
      auto ratio = number(fields, "downsample_ratio").value_or(0);
      bool sound = ratio > 0.001 && ratio <= 1;
      return Size{sound ? static_cast<int64_t>(std::llround(
                              static_cast<double>(vision_) / ratio / ratio))
                        : 0,
                  "downsample_ratio",
                  "for the tower's width through downsample_ratio squared",
                  kId};
    }
    if (symbol == "shuffled") {
      auto scale = bounded(integer(fields, "scale_factor"));
      return Size{vision_ * scale * scale,
                  "scale_factor",
                  "for the tower's width times scale_factor squared",
                  kId};
    }
    return std::nullopt;
  }

  void bias(Findings& findings) const {
    const auto* field =
        member(parts_.whole.fields, "multimodal_projector_bias");
    bool stored =
        ending_in(parts_.projector_tensors, "linear_1.bias") != nullptr;
    if (field != nullptr && field->is_boolean() &&
        ending_in(parts_.projector_tensors, "linear_1.weight") != nullptr &&
        field->get<bool>() != stored) {
      findings.push_back(field_finding(
          "component.shape-mismatch",
          parts_.whole,
          "multimodal_projector_bias",
          stored ? "true: a bias is stored" : "false: no bias is stored"));
    }
  }

  // Fields that say the language model's width once more.
  void widths(Findings& findings) const {
    struct Said {
      const ConfigPart* part;
      std::string_view family, field;
    };
    for (const auto& said :
         {Said{&parts_.vision, "qwen2_vl", "hidden_size"},
          Said{&parts_.vision, "qwen2_5_vl", "out_hidden_size"},
          Said{&parts_.vision, "qwen3_vl", "out_hidden_size"},
          Said{&parts_.whole, "paligemma", "projection_dim"},
          Said{&parts_.whole, "paligemma", "hidden_size"},
          Said{&parts_.vision, "paligemma", "projection_dim"}}) {
      auto value = integer(said.part->fields, said.field);
      if (said.family == parts_.whole.type && value && *value != text_) {
        findings.push_back(field_finding(
            "vision.projector-mismatch",
            *said.part,
            said.field,
            fmt::format("{}, the width of the language model", text_)));
      }
    }
  }

  const VisionLanguage& parts_;
  int64_t text_ = 0, vision_ = 0;
};

// Which layers attend to the image, by their tensors: where the config says
// others, that is told, and the list made true for what follows.
void cross_attention(ConfigPart& part,
                     const ModelFiles& text,
                     Findings& findings) {
  const auto* list = member(part.fields, "cross_attention_layers");
  if (list == nullptr || !list->is_array()) {
    return;
  }
  std::set<int64_t> stored, stated;
  for (const auto& tensor : text.tensors) {
    if (tensor.name.find(".cross_attn.") != tensor.name.npos) {
      stored.insert(layer_of(tensor.name).value_or(-1));
    }
  }
  for (const auto& entry : *list) {
    if (entry.is_number_integer()) {
      stated.insert(entry.get<int64_t>());
    }
  }
  if (stored != stated || stated.size() != list->size()) {
    findings.push_back(
        field_finding("component.shape-mismatch",
                      part,
                      "cross_attention_layers",
                      fmt::format("[{}], the layers with cross attention",
                                  fmt::join(stored, ", "))));
    part.fields["cross_attention_layers"] = stored;
  }
}

void append(Findings& all, Findings more) {
  std::ranges::move(more, std::back_inserter(all));
}

/** A flag, and the tensor that is there where it is set. */
struct StoredFlag {
  std::string_view type;  ///< empty: any language model
  std::string_view field;
  std::string_view tensor;
  std::string_view value = "";  ///< that counts as set; empty: true
};

constexpr auto kFlags = std::to_array<StoredFlag>({
    {"", "attention_bias", "self_attn.q_proj.bias"},
    {"", "mlp_bias", "mlp.up_proj.bias"},
    {"internvl_vision", "attention_bias", "attention.q_proj.bias"},
    {"internvl_vision", "use_qk_norm", "attention.q_norm.weight"},
    {"internvl_vision", "use_mask_token", "mask_token"},
    {"internvl_vision", "norm_type", "layernorm_before.bias", "layer_norm"},
    {"siglip_vision_model", "vision_use_head", "head.probe"},
});

}  // namespace

Findings stored_flags(const ConfigPart& part,
                      const std::vector<const TensorInfo*>& list) {
  Findings findings;
  bool fused = ending_in(list, "qkv_proj.weight") != nullptr;
  for (const auto& flag : kFlags) {
    const auto* value = member(part.stored, flag.field);
    bool tower = part.type.find("vision") != part.type.npos;
    if (value == nullptr ||
        (flag.type.empty() ? tower || fused : flag.type != part.type)) {
      continue;
    }
    bool set = flag.value.empty() ? *value == true : *value == flag.value;
    bool stored = ending_in(list, flag.tensor) != nullptr;
    // SigLIP's head is not used where features are taken before it.
    bool unused = flag.field == "vision_use_head" && stored;
    if (set != stored && !list.empty() && !unused) {
      findings.push_back(
          field_finding("component.shape-mismatch",
                        part,
                        flag.field,
                        fmt::format("what {} {} means",
                                    stored ? "a stored" : "no stored",
                                    flag.tensor)));
    }
  }
  return findings;
}

Findings vision_shapes(const VisionLanguage& parts,
                       const ModelFiles& text,
                       bool text_has_tree) {
  Findings findings;
  if (parts.vision_tensors.empty()) {
    findings.push_back(make_finding("tensor.missing",
                                    parts.vision.where,
                                    "tensors of a vision tower in the files",
                                    "none"));
  }
  bool phi = parts.whole.type.starts_with("phi");
  auto lines = phi && parts.family == nullptr
                   ? std::string()
                   : declared_part(parts.vision.type);
  if (!lines.empty() && !parts.vision_tensors.empty()) {
    DeclaredSizes sizes{&parts.vision, tower_symbol};
    append(
        findings,
        hold_declared(lines, sizes, parts.vision_root, parts.vision_tensors));
  }
  append(findings, Projector(parts).hold());
  append(findings, phi_adapters(parts));
  auto language = parts.text;
  cross_attention(language, text, findings);
  lines = declared_part(language.type);
  if (!text_has_tree && !lines.empty()) {
    std::vector<const TensorInfo*> tensors;
    for (const auto& tensor : text.tensors) {
      tensors.push_back(&tensor);
    }
    DeclaredSizes sizes{&language, text_symbol};
    append(findings, hold_declared(lines, sizes, "", tensors));
  }
  append(findings, stored_flags(parts.vision, parts.vision_tensors));
  append(findings, stored_flags(parts.text, parts.text_tensors));
  return findings;
}

}  // namespace assay::rules
