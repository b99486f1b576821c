#include <fmt/format.h>
#include <fmt/ranges.h>

#include "assay/formats/json_fields.h"
#include "assay/formats/quote.h"
#include "assay/inspect/vision_language.h"

// inspect of a vision-language model: each part with its class and its size.
namespace assay {
namespace {

void add_field(std::string& detail,
               const ConfigPart& part,
               std::string_view name,
               std::string_view label) {
  const auto* value = fields::member(part.fields, name);
  if (value != nullptr) {
    detail += fmt::format(
        "{}{} {}", detail.empty() ? "" : ", ", label, fields::shown(*value));
  }
}

ComponentSummary weights(std::string name,
                         const ConfigPart& part,
                         const std::vector<const TensorInfo*>& tensors) {
  ComponentSummary summary;
  summary.name = std::move(name);
  summary.class_name = quote(part.type);
  for (const auto* tensor : tensors) {
    summary.parameters += element_count(tensor->shape).value_or(0);
    summary.bytes += tensor->bytes;
  }
  return summary;
}

ComponentSummary settings(std::string name, const ConfigPart& part) {
  ComponentSummary summary;
  summary.name = std::move(name);
  summary.class_name = quote(part.type);
  add_field(summary.detail, part, "size", "size");
  add_field(summary.detail, part, "crop_size", "crop");
  add_field(summary.detail, part, "patch_size", "patch");
  add_field(summary.detail, part, "merge_size", "merge");
  add_field(summary.detail, part, "image_mean", "mean");
  add_field(summary.detail, part, "image_std", "std");
  return summary;
}

}  // namespace

std::vector<ComponentSummary> summarize(const VisionLanguage& parts) {
  std::vector<ComponentSummary> list;
  auto vision = weights("vision tower", parts.vision, parts.vision_tensors);
  for (const auto* name : {"num_hidden_layers", "depth"}) {
    add_field(vision.detail, parts.vision, name, "layers");
  }
  bool embeds = parts.vision.fields.contains("embed_dim");
  add_field(vision.detail,
            parts.vision,
            embeds ? "embed_dim" : "hidden_size",
            "width");
  add_field(vision.detail, parts.vision, "image_size", "image");
  add_field(vision.detail, parts.vision, "patch_size", "patch");
  list.push_back(std::move(vision));
  auto projector = weights("projector", parts.whole, parts.projector_tensors);
  projector.class_name.clear();
  auto tokens = image_tokens(parts);
  projector.detail =
      tokens
          ? fmt::format("{} token{} an image", *tokens, *tokens == 1 ? "" : "s")
          : "tokens by the size of the image";
  list.push_back(std::move(projector));
  auto text = weights("language model", parts.text, parts.text_tensors);
  add_field(text.detail, parts.text, "num_hidden_layers", "layers");
  add_field(text.detail, parts.text, "hidden_size", "width");
  list.push_back(std::move(text));
  if (parts.image_processor.present()) {
    list.push_back(settings("image processor", parts.image_processor));
  }
  if (parts.video_processor.present()) {
    list.push_back(settings("video processor", parts.video_processor));
  }
  if (parts.processor.present() && !parts.processor.type.empty()) {
    ComponentSummary summary;
    summary.name = "processor";
    summary.class_name = quote(parts.processor.type);
    list.push_back(std::move(summary));
  }
  return list;
}

}  // namespace assay
