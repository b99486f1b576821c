#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/check/declared_shapes.h"
#include "assay/check/published.h"
#include "assay/check/vision_rules.h"
#include "assay/formats/json_fields.h"
#include "assay/inspect/class_defaults.h"

// Image and video processors against the tower that they feed.
namespace assay::rules {
using namespace fields;

namespace {

using Findings = std::vector<Finding>;
using Extent = std::pair<int64_t, int64_t>;

std::string words(const Extent& extent) {
  return extent.first == extent.second
             ? fmt::format("{}", extent.first)
             : fmt::format("{}x{}", extent.first, extent.second);
}

// {"height", "width"}, or one edge.
std::optional<Extent> size_of(const Json& fields, std::string_view name) {
  if (auto both = extent(fields, name)) {
    return both;
  }
  const auto* value = member(fields, name);
  if (value == nullptr) {
    return std::nullopt;
  }
  for (const auto* edge : {"shortest_edge", "longest_edge"}) {
    if (auto length = integer(*value, edge)) {
      return Extent{*length, *length};
    }
  }
  return std::nullopt;
}

class ProcessorsLook {
 public:
  explicit ProcessorsLook(const VisionLanguage& parts) : parts_(parts) {}

  Findings look() {
    if (parts_.family == nullptr) {
      return parts_.findings;
    }
    findings_ = parts_.findings;
    presence();
    classes();
    const auto& image = parts_.image_processor;
    if (image.present()) {
      geometry(image);
      values(image, " image processor");
    }
    const auto& video = parts_.video_processor;
    if (video.present()) {
      geometry(video);
      values(video, " video processor");
    }
    whole();
    return std::move(findings_);
  }

 private:
  void add(const char* id,
           const ConfigPart& part,
           std::string_view field,
           std::string expected) {
    findings_.push_back(field_finding(id, part, field, std::move(expected)));
  }

  void presence() {
    if (!parts_.image_processor.present()) {
      findings_.push_back(make_finding(
          "vision.processor-missing",
          parts_.image_processor.where.substr(
              0, parts_.image_processor.where.find(": ")),
          "an image processor's settings, there or in processor_config.json",
          "none"));
    }
    // Where an image processor lies in a file of its own, videos take its
    // settings.
    bool beside = parts_.image_processor.where.ends_with(".json: ");
    if (!parts_.family->video_processor.empty() &&
        parts_.image_processor.present() && !beside &&
        !parts_.video_processor.present()) {
      findings_.push_back(
          make_finding("vision.processor-missing",
                       parts_.processor.where + "video_processor",
                       "a video processor's settings",
                       "none"));
    }
  }

  void hold_class(const ConfigPart& part,
                  const char* field,
                  std::vector<std::string_view> allowed) {
    auto name = fields::text(part.stored, field);
    if (name.empty()) {
      if (part.states(field)) {
        add("vision.processor-class", part, field, "the name of a class");
      }
      return;
    }
    if (name.ends_with("Fast") &&
        std::string_view(field) != "processor_class") {
      name.resize(name.size() - 4);
    }
    if (std::ranges::find(allowed, name) == allowed.end()) {
      add("vision.processor-class",
          part,
          field,
          fmt::format("{}, for model_type '{}'",
                      fmt::join(allowed, " or "),
                      parts_.whole.type));
    }
  }

  void classes() {
    const auto& family = *parts_.family;
    hold_class(parts_.image_processor,
               "image_processor_type",
               family.image_processors);
    hold_class(
        parts_.image_processor, "processor_class", processors_of(family));
    hold_class(parts_.processor, "processor_class", processors_of(family));
    if (!family.video_processor.empty()) {
      hold_class(parts_.video_processor,
                 "video_processor_type",
                 {family.video_processor});
    }
  }

  // LLaVA's whole with a Pixtral tower has Pixtral's processor.
  std::vector<std::string_view> processors_of(
      const VisionFamily& family) const {
    std::vector<std::string_view> names = {family.processor};
    if (parts_.vision.type == "pixtral" && family.model_type == "llava") {
      names.emplace_back("PixtralProcessor");
    }
    return names;
  }

  void equal(const ConfigPart& part,
             std::string_view field,
             const ConfigPart& other,
             std::string_view other_field) {
    auto wanted = extent(other.fields, other_field);
    const auto* value = member(part.fields, field);
    if (!wanted || value == nullptr) {
      return;
    }
    if (size_of(part.fields, field) != wanted) {
      add("vision.processor-mismatch",
          part,
          field,
          fmt::format("{}, the {} of the model", words(*wanted), other_field));
    }
  }

  void flags(const ConfigPart& part) {
    const auto* factor = member(part.fields, "rescale_factor");
    if (factor != nullptr && !factor->is_number()) {
      add("config.invalid-value", part, "rescale_factor", "a number");
    }
    auto channels = integer(parts_.vision.fields, "num_channels");
    channels =
        channels ? channels : integer(parts_.vision.fields, "in_channels");
    for (const auto* name : {"image_mean", "image_std"}) {
      const auto* list = member(part.fields, name);
      if (list == nullptr) {
        continue;
      }
      bool sound = list->is_array() &&
                   list->size() == static_cast<size_t>(channels.value_or(3));
      bool deviation = std::string_view(name) == "image_std";
      for (const auto& entry : sound ? *list : Json::array()) {
        sound = sound && entry.is_number() &&
                (!deviation || entry.get<double>() > 0);
      }
      if (!sound) {
        add("config.invalid-value",
            part,
            name,
            fmt::format("{} numbers{}",
                        channels.value_or(3),
                        deviation ? " above 0" : ""));
      }
    }
  }

  void geometry(const ConfigPart& part) {
    flags(part);
    const auto& type = parts_.whole.type;
    if (type.starts_with("qwen")) {
      return by_pixels(part);
    }
    if (parts_.vision.type == "pixtral") {
      equal(part, "size", parts_.vision, "image_size");
      equal(part, "patch_size", parts_.vision, "patch_size");
      return;
    }
    if (type == "idefics3" || type == "smolvlm") {
      sampling(part);
      equal(part, "max_image_size", parts_.vision, "image_size");
      if (!part.states("size")) {
        add("config.missing-field",
            part,
            "size",
            "the longest edge of a picture before it is split");
        return;
      }
      auto size = size_of(part.fields, "size");
      auto image = extent(parts_.vision.fields, "image_size");
      if (image && image->first > 0 &&
          (!size || size->first < 1 || size->first % image->first != 0)) {
        add("vision.processor-mismatch",
            part,
            "size",
            fmt::format("a multiple of image_size, {}", image->first));
      }
      return;
    }
    equal(part, "size", parts_.vision, "image_size");
    if (truth(part.fields, "do_center_crop")) {
      equal(part, "crop_size", parts_.vision, "image_size");
    }
    if (type == "mllama") {
      same(part, "max_image_tiles", parts_.vision, "max_num_tiles");
    }
    if (type == "llava_next") {
      same(part, "image_grid_pinpoints", parts_.whole, "image_grid_pinpoints");
    }
  }

  // SmolVLM's class looks both up.
  void sampling(const ConfigPart& part) {
    const auto* settings = member(part.stored, "video_sampling");
    if (settings == nullptr || !settings->is_object()) {
      return;
    }
    for (const auto* name : {"fps", "max_frames"}) {
      if (member(*settings, name) == nullptr) {
        add("config.missing-field",
            part,
            fmt::format("video_sampling.{}", name),
            "how many frames are taken");
      }
    }
  }

  void same(const ConfigPart& part,
            std::string_view field,
            const ConfigPart& other,
            std::string_view other_field) {
    const auto* wanted = member(other.fields, other_field);
    const auto* value = member(part.fields, field);
    if (wanted != nullptr && (value == nullptr || *value != *wanted)) {
      add("vision.processor-mismatch",
          part,
          field,
          fmt::format(
              "{}, the {} of config.json", shown(*wanted), other_field));
    }
  }

  // Qwen's processors bound the pixels of an image, in cells of merged
  // patches.
  void by_pixels(const ConfigPart& part) {
    same(part, "patch_size", parts_.vision, "patch_size");
    same(part, "temporal_patch_size", parts_.vision, "temporal_patch_size");
    same(part, "merge_size", parts_.vision, "spatial_merge_size");
    auto patch = integer(parts_.vision.fields, "patch_size").value_or(0);
    auto merge =
        integer(parts_.vision.fields, "spatial_merge_size").value_or(0);
    bool sound = patch > 0 && merge > 0 && patch < 4096 && merge < 4096;
    auto cell = sound ? patch * merge * patch * merge : 1;
    bool bounded = part.states("size") || part.states("min_pixels") ||
                   part.states("max_pixels");
    if (!bounded) {
      add("config.missing-field",
          part,
          "size",
          "the least and the most pixels of an image");
      return;
    }
    const auto* size = member(part.fields, "size");
    auto least =
        size == nullptr ? std::nullopt : integer(*size, "shortest_edge");
    auto most = size == nullptr ? std::nullopt : integer(*size, "longest_edge");
    if (!least || !most || *least < 1 || *most < *least || *least % cell != 0 ||
        *most % cell != 0) {
      add("vision.processor-mismatch",
          part,
          "size",
          fmt::format("shortest_edge and longest_edge as numbers of pixels, "
                      "multiples of {}, the square of patch_size times "
                      "merge_size",
                      cell));
    }
    for (const auto& [name, bound] :
         {std::pair("min_pixels", least), std::pair("max_pixels", most)}) {
      auto value = integer(part.fields, name);
      if (value && bound && value != bound) {
        add("vision.processor-mismatch",
            part,
            name,
            fmt::format("{}, as size says", *bound));
      }
    }
  }

  // Everything that no other file says is held against the class's own values
  // and those of the family.
  void values(const ConfigPart& part, std::string_view what) {
    constexpr auto kOfSize =
        std::to_array<std::string_view>({"size",
                                         "crop_size",
                                         "patch_size",
                                         "temporal_patch_size",
                                         "merge_size",
                                         "max_image_size",
                                         "image_grid_pinpoints",
                                         "max_image_tiles",
                                         "num_frames",
                                         "video_sampling"});
    auto family =
        published_values(part, std::string(parts_.whole.type).append(what));
    std::ranges::move(family, std::back_inserter(findings_));
    auto published = published_fields(what);
    auto defaults = class_defaults(part.type);
    for (const auto& [name, value] : defaults.items()) {
      if (std::ranges::find(kOfSize, name) != kOfSize.end() ||
          published.contains(name)) {
        continue;
      }
      const auto* own = member(part.fields, name);
      if (own != nullptr && *own != value) {
        add("config.unpublished-value",
            part,
            name,
            fmt::format("{}, {}'s", shown(value), part.type));
      }
    }
  }

  Json published_fields(std::string_view what) const {
    auto name = std::string(parts_.whole.type).append(what);
    for (const auto& entry : published_classes()) {
      if (entry.name == name) {
        return Json::parse(entry.values);
      }
    }
    return Json::object();
  }

  void whole() {
    const auto& processor = parts_.processor;
    const auto& type = parts_.whole.type;
    bool llava = type == "llava" || type == "llava_next";
    bool pixtral = parts_.vision.type == "pixtral";
    if (!processor.present()) {
      return;
    }
    if (llava || pixtral) {
      same(processor, "patch_size", parts_.vision, "patch_size");
    }
    if (llava && !pixtral) {
      same(processor,
           "vision_feature_select_strategy",
           parts_.whole,
           "vision_feature_select_strategy");
      int64_t classes = parts_.vision.type == "clip_vision_model" ? 1 : 0;
      auto extra =
          integer(processor.fields, "num_additional_image_tokens").value_or(0);
      if (extra != classes) {
        add("vision.image-tokens",
            processor,
            "num_additional_image_tokens",
            fmt::format("{}, the tokens of the tower that are no patches",
                        classes));
      }
    }
  }

  const VisionLanguage& parts_;
  Findings findings_;
};

}  // namespace

Findings vision_processors(const VisionLanguage& parts) {
  return ProcessorsLook(parts).look();
}

}  // namespace assay::rules
