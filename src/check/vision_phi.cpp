#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "assay/check/declared_shapes.h"
#include "assay/check/vision_rules.h"
#include "assay/formats/json_fields.h"
#include "assay/formats/quote.h"
#include "assay/inspect/declared.h"

// Phi 3 vision and Phi 4 multimodal: what Blaizzy/mlx-vlm
// (mlx_vlm/models/phi3_v and phi4mm) and vllm-project/vllm
// (vllm/model_executor/models/phi3v.py and phi4mm.py) take from config and
// processor, against the tower.
namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;

class PhiLook {
 public:
  explicit PhiLook(const VisionLanguage& parts) : parts_(parts) {}

  Findings look() {
    const char* layers = parts_.whole.type == "phi3_v"
                             ? "embd_layer"
                             : "embd_layer.image_embd_layer";
    tower();
    tiles(layers);
    hold("img_processor.num_img_tokens", parts_.whole);
    hold("num_img_tokens", parts_.image_processor);
    for (const auto* name : {"num_crops", "dynamic_hd"}) {
      at_least_one(parts_.image_processor, name);
    }
    return std::move(findings_);
  }

 private:
  void add(const char* id,
           const ConfigPart& part,
           std::string_view field,
           std::string expected) {
    findings_.push_back(field_finding(id, part, field, std::move(expected)));
  }

  // Tokens of one tile: two patches by two are one.
  void hold(std::string_view field, const ConfigPart& part) {
    const auto* value = member_at(part.stored, field);
    auto tokens = image_tokens(parts_);
    if (value != nullptr && tokens && *value != *tokens) {
      add("vision.image-tokens",
          part,
          field,
          fmt::format("{}, two patches by two of a tile", *tokens));
    }
  }

  void at_least_one(const ConfigPart& part, std::string_view field) {
    const auto* value = member_at(part.stored, field);
    if (value != nullptr &&
        !(value->is_number_integer() && value->get<int64_t>() > 0)) {
      add("config.invalid-value", part, field, "1 or more");
    }
  }

  // Phi 4's img_processor may be a name.
  void tower() {
    const auto& whole = parts_.whole;
    const auto* settings = member(whole.stored, "img_processor");
    if (settings == nullptr || !settings->is_object()) {
      return;
    }
    auto width = integer(parts_.vision.fields, "hidden_size").value_or(0);
    auto out = member(*settings, "image_dim_out");
    if (out != nullptr && *out != width) {
      add("component.shape-mismatch",
          whole,
          "img_processor.image_dim_out",
          fmt::format("{}, the width of the tower", width));
    }
    auto layers =
        integer(parts_.vision.fields, "num_hidden_layers").value_or(0);
    const auto* index = member(*settings, "layer_idx");
    bool sound = index == nullptr || (index->is_number_integer() &&
                                      index->get<int64_t>() >= -layers - 1 &&
                                      index->get<int64_t>() <= layers);
    if (!sound) {
      add("vision.feature-layer",
          whole,
          "img_processor.layer_idx",
          fmt::format("{} to {}, for a tower of {} layers",
                      -layers - 1,
                      layers,
                      layers));
    }
    const auto* feature = member(*settings, "type_feature");
    if (feature != nullptr && *feature != "patch" && *feature != "cls_patch") {
      add("vision.feature-layer",
          whole,
          "img_processor.type_feature",
          "patch or cls_patch");
    }
  }

  // Rows of patches end in a separator that was learned, or in none.
  void tiles(const std::string& layer) {
    const auto& whole = parts_.whole;
    const auto* settings = member_at(whole.stored, layer);
    if (settings == nullptr || !settings->is_object()) {
      return;
    }
    for (const auto* name : {"use_hd_transform", "with_learnable_separator"}) {
      const auto* value = member(*settings, name);
      if (value != nullptr && *value != true) {
        add("config.contradiction",
            whole,
            layer + "." + name,
            "true: separators of tiles are stored");
      }
    }
    const auto* order = member(*settings, "hd_transform_order");
    if (order != nullptr && *order != "sub_glb" && *order != "glb_sub") {
      add("config.invalid-value",
          whole,
          layer + ".hd_transform_order",
          "sub_glb or glb_sub");
    }
    const auto* crop = member(*settings, "crop_size");
    auto image = integer(parts_.vision.fields, "image_size");
    if (crop != nullptr && image && *crop != *image) {
      add("vision.processor-mismatch",
          whole,
          layer + ".crop_size",
          fmt::format("{}, the image_size of the tower", *image));
    }
  }

  const VisionLanguage& parts_;
  Findings findings_;
};

}  // namespace

Findings phi_fields(const VisionLanguage& parts) {
  bool phi = parts.whole.type == "phi3_v" || parts.whole.type == "phi4mm";
  return phi && parts.family != nullptr ? PhiLook(parts).look() : Findings();
}

Findings phi_adapters(const VisionLanguage& parts) {
  Findings findings;
  if (parts.whole.type != "phi4mm") {
    return findings;
  }
  struct Kind {
    const char *field, *down, *up;
  };
  for (const auto& kind :
       {Kind{"vision_lora.r", ".lora_A.vision.", ".lora_B.vision."},
        Kind{"speech_lora.r", ".lora_A.speech.", ".lora_B.speech."}}) {
    const auto* rank = member_at(parts.whole.stored, kind.field);
    for (const auto* tensor : parts.other_tensors) {
      bool down = tensor->name.find(kind.down) != std::string::npos;
      bool up = tensor->name.find(kind.up) != std::string::npos;
      if ((!down && !up) || tensor->shape.size() != 2) {
        continue;
      }
      auto has = tensor->shape[down ? 0 : 1];
      if (rank == nullptr || *rank != has) {
        findings.push_back(make_finding(
            "adapter.rank-config",
            parts.whole.where + kind.field,
            fmt::format("{}, as {} shows", has, quote(tensor->name)),
            rank == nullptr ? "none" : shown(*rank)));
      }
    }
  }
  return shorten(std::move(findings));
}

}  // namespace assay::rules
