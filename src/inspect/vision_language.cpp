#include "assay/inspect/vision_language.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "assay/core/file.h"
#include "assay/formats/json_fields.h"
#include "assay/inspect/class_defaults.h"

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxDocument = 4u << 20;

// Phi's towers are fixed in code; their configs say nothing of them. Read in
// Blaizzy/mlx-vlm (mlx_vlm/models/phi3_v and phi4mm) and vllm-project/vllm
// (vllm/model_executor/models/phi3v.py).
Json fixed_tower(std::string_view model_type) {
  if (model_type == "phi3_v") {
    return {{"hidden_size", 1024},
            {"intermediate_size", 4096},
            {"num_attention_heads", 16},
            {"num_hidden_layers", 24},
            {"image_size", 336},
            {"patch_size", 14}};
  }
  if (model_type == "phi4mm") {
    return {{"hidden_size", 1152},
            {"intermediate_size", 4304},
            {"num_attention_heads", 16},
            {"num_hidden_layers", 27},
            {"image_size", 448},
            {"patch_size", 14}};
  }
  return Json::object();
}

bool is_phi(std::string_view model_type) {
  return model_type == "phi3_v" || model_type == "phi4mm";
}

// transformers 4 gives some towers the name of the whole, and one its own
// short name.
std::string vision_type_of(const Json& stored, const VisionFamily* family) {
  auto type = fields::text(stored, "model_type");
  if (family == nullptr) {
    return type;
  }
  if (type.empty() || type == family->model_type) {
    return std::string(family->vision_type);
  }
  return type == "idefics3" ? "idefics3_vision" : type;
}

ConfigPart make_part(std::string type, std::string where, Json stored) {
  ConfigPart part{std::move(type), std::move(where), std::move(stored), {}};
  part.fields = class_defaults(part.type);
  if (part.stored.is_object()) {
    for (const auto& [name, value] : part.stored.items()) {
      if (!value.is_null()) {
        part.fields[name] = value;
      }
    }
  }
  return part;
}

Json object_in(const Json& object, std::string_view name) {
  const auto* value = fields::member(object, name);
  return value != nullptr && value->is_object() ? *value : Json();
}

// The settings of an image or video processor; slow and fast ones are one.
std::string processor_type(const Json& stored,
                           const char* field,
                           std::string_view otherwise) {
  auto type = fields::text(stored, field);
  if (type.ends_with("Fast")) {
    type.resize(type.size() - 4);
  }
  return type.empty() ? std::string(otherwise) : type;
}

class Opener {
 public:
  Opener(const ModelFiles& model, VisionLanguage& parts)
      : model_(model), parts_(parts) {}

  void open() {
    configs();
    processors();
    tensors();
  }

 private:
  std::string path(const char* name) const {
    return (model_.path / name).string();
  }

  void configs() {
    const auto& config = model_.config;
    auto type = fields::text(config, "model_type");
    parts_.family = find_vision_family(type);
    parts_.whole = make_part(type, path("config.json") + ": ", config);
    auto vision = object_in(config, "vision_config");
    auto vision_type = vision_type_of(vision, parts_.family);
    parts_.vision = make_part(std::move(vision_type),
                              path("config.json") + ": vision_config.",
                              std::move(vision));
    auto fixed = fixed_tower(type);
    for (const auto& [name, value] : fixed.items()) {
      if (!parts_.vision.states(name)) {
        parts_.vision.fields[name] = value;
      }
    }
    auto text = object_in(config, "text_config");
    std::string where = ": text_config.";
    if (!text.is_object()) {  // the first Qwen2-VL: its fields lie at the top
      text = config;
      text.erase("vision_config");
      text.erase("model_type");
      where = ": ";
      if (is_phi(type)) {
        text.erase("architectures");
      }
    }
    auto text_type = fields::text(text, "model_type");
    if (text_type.empty() && parts_.family != nullptr) {
      text_type = parts_.family->text_type;
    }
    parts_.text =
        make_part(text_type, path("config.json") + where, std::move(text));
  }

  Json read(const char* name) {
    std::error_code error;
    if (!fs::is_regular_file(model_.path / name, error)) {
      return {};
    }
    try {
      auto document =
          parse_json(read_text(model_.path / name, kMaxDocument), path(name));
      if (document.is_object()) {
        return document;
      }
      parts_.findings.push_back(make_finding(
          "json.malformed", path(name), "an object", document.type_name()));
    } catch (const Error& failure) {
      parts_.findings.push_back(failure.finding());
    }
    return {};
  }

  void processors() {
    auto image = read("preprocessor_config.json");
    auto whole = read("processor_config.json");
    auto video = read("video_preprocessor_config.json");
    std::string image_where = path("preprocessor_config.json") + ": ";
    std::string video_where = path("video_preprocessor_config.json") + ": ";
    auto inner = object_in(whole, "image_processor");
    if (inner.is_object()) {
      image = std::move(inner);
      image_where = path("processor_config.json") + ": image_processor.";
    }
    inner = object_in(whole, "video_processor");
    if (inner.is_object()) {
      video = std::move(inner);
      video_where = path("processor_config.json") + ": video_processor.";
    }
    const auto* family = parts_.family;
    auto image_type = processor_type(
        image,
        "image_processor_type",
        family == nullptr ? "" : family->image_processors.front());
    auto video_type =
        processor_type(video,
                       "video_processor_type",
                       family == nullptr ? "" : family->video_processor);
    parts_.image_processor = make_part(
        std::move(image_type), std::move(image_where), std::move(image));
    parts_.video_processor = make_part(
        std::move(video_type), std::move(video_where), std::move(video));
    auto type = fields::text(whole, "processor_class");
    parts_.processor = make_part(std::move(type),
                                 path("processor_config.json") + ": ",
                                 std::move(whole));
  }

  // Phi 4's audio tower, and the adapters that its images and its speech turn
  // on.
  bool is_other(std::string_view name) const {
    return parts_.whole.type == "phi4mm" &&
           (name.starts_with("embed_tokens_extend.audio_embed.") ||
            name.find(".lora_A.") != name.npos ||
            name.find(".lora_B.") != name.npos);
  }

  void tensors() {
    constexpr std::array<std::string_view, 6> kVision = {
        "vision_tower.",
        "visual.",
        "vision_model.",
        "vision_encoder.",
        "vision_embed_tokens.img_processor.",
        "embed_tokens_extend.image_embed.img_processor."};
    constexpr std::array<std::string_view, 5> kProjector = {
        "multi_modal_projector.",
        "connector.",
        "mm_projector.",
        "vision_embed_tokens.",
        "embed_tokens_extend.image_embed."};
    for (const auto& tensor : model_.tensors) {
      std::string_view name = tensor.name;
      std::string prefix;
      if (name.starts_with("model.")) {
        prefix = "model.";
        name.remove_prefix(prefix.size());
      }
      auto take = [&](const auto& heads,
                      std::string& root,
                      std::vector<const TensorInfo*>& list) {
        for (auto head : heads) {
          if (name.starts_with(head)) {
            if (root.empty()) {
              root = prefix + std::string(head);
            }
            list.push_back(&tensor);
            return true;
          }
        }
        return false;
      };
      if (is_other(name)) {
        parts_.other_tensors.push_back(&tensor);
      } else if (name.starts_with("visual.merger.") ||
                 name.starts_with("visual.deepstack_merger_list.")) {
        parts_.projector_tensors.push_back(&tensor);
        parts_.projector_root = prefix + "visual.";
      } else if (!take(kVision, parts_.vision_root, parts_.vision_tensors) &&
                 !take(kProjector,
                       parts_.projector_root,
                       parts_.projector_tensors)) {
        (name == "image_newline" ? parts_.projector_tensors
                                 : parts_.text_tensors)
            .push_back(&tensor);
      }
    }
    // Phi's as other libraries name them.
    if (is_phi(parts_.whole.type) && !parts_.vision_tensors.empty() &&
        parts_.vision_root.find("img_processor.") == std::string::npos) {
      parts_.family = nullptr;
    }
    // transformers 4 has the tower's class between.
    auto inner = parts_.vision_root + "vision_model.";
    if (std::ranges::any_of(parts_.vision_tensors, [&](const auto* tensor) {
          return tensor->name.starts_with(inner);
        })) {
      parts_.vision_root = inner;
    }
  }

  const ModelFiles& model_;
  VisionLanguage& parts_;
};

// "model.language_model.X", "model.text_model.X", "language_model.X": what a
// language model by itself calls it.
std::string language_name(std::string name) {
  auto replace = [&](std::string_view head, std::string_view with) {
    if (!name.starts_with(head)) {
      return false;
    }
    name.replace(0, head.size(), with);
    return true;
  };
  if (!replace("model.language_model.", "model.") &&
      !replace("model.text_model.", "model.")) {
    replace("language_model.", "");
  }
  // Of Phi 4, beside adapters.
  constexpr std::string_view kBase = ".base_layer.";
  if (auto at = name.find(kBase); at != std::string::npos) {
    name.replace(at, kBase.size(), ".");
  }
  return name;
}

// The class whose module tree is the language part's.
std::string tree_type(const std::string& type) {
  if (type == "qwen2_vl_text" || type == "qwen2_5_vl_text" ||
      type == "qwen2_vl" || type == "qwen2_5_vl") {
    return "qwen2";
  }
  return type == "qwen3_vl_text" || type == "qwen3_vl" ? "qwen3" : type;
}

// Sections of rotary dimensions for time, height and width turn text as one.
void drop_sections(Json& rope) {
  if (!rope.is_object()) {
    return;
  }
  rope.erase("mrope_section");
  rope.erase("mrope_interleaved");
  for (const auto* name : {"type", "rope_type"}) {
    if (fields::text(rope, name) == "mrope") {
      rope[name] = "default";
    }
  }
}

}  // namespace

Json class_defaults(std::string_view name) {
  auto text = class_defaults_text(name);
  return text.empty() ? Json::object() : Json::parse(text);
}

bool ConfigPart::states(std::string_view field) const {
  return fields::member_at(stored, field) != nullptr;
}

bool is_vision_language(const ModelFiles& model) {
  if (model.container != Container::safetensors || !model.config.is_object()) {
    return false;
  }
  const auto* vision = fields::member(model.config, "vision_config");
  bool known = find_vision_family(fields::text(model.config, "model_type"));
  return (vision != nullptr && vision->is_object()) || known;
}

VisionLanguage open_vision_language(const ModelFiles& model) {
  VisionLanguage parts;
  Opener(model, parts).open();
  return parts;
}

ModelFiles language_part(const ModelFiles& model, const VisionLanguage& parts) {
  ModelFiles part;
  part.path = model.path;
  part.container = model.container;
  part.files = model.files;
  part.generation_config = model.generation_config;
  part.tokenizer_config = model.tokenizer_config;
  part.chat_template = model.chat_template;
  part.tokenizer_json = model.tokenizer_json;
  for (const auto* tensor : parts.text_tensors) {
    part.tensors.push_back(*tensor);
    part.tensors.back().name = language_name(tensor->name);
  }
  for (size_t i = 0; i < part.tensors.size(); ++i) {
    part.by_name.emplace(part.tensors[i].name, i);
  }
  part.config = parts.text.fields;
  part.config["model_type"] = tree_type(parts.text.type);
  // Older spellings say it by other fields than the class's defaults do.
  if (parts.text.states("rope_theta") || parts.text.states("rope_scaling")) {
    if (!parts.text.states("rope_parameters")) {
      auto defaults = object_in(part.config, "rope_parameters");
      if (!parts.text.states("rope_theta") && defaults.contains("rope_theta")) {
        part.config["rope_theta"] = defaults["rope_theta"];
      }
      part.config.erase("rope_parameters");
    }
  }
  for (const auto* name : {"rope_parameters", "rope_scaling"}) {
    if (part.config.contains(name)) {
      drop_sections(part.config[name]);
    }
  }
  for (const auto* name : {"tie_word_embeddings",
                           "torch_dtype",
                           "dtype",
                           "quantization",
                           "quantization_config"}) {
    if (const auto* value = fields::member(model.config, name)) {
      part.config[name] = *value;
    }
  }
  if (!parts.whole.states("tie_word_embeddings") &&
      !parts.text.states("tie_word_embeddings")) {
    if (const auto* tied =
            fields::member(parts.whole.fields, "tie_word_embeddings")) {
      part.config["tie_word_embeddings"] = *tied;
    }
  }
  for (const auto* name : {"eos_token_id", "bos_token_id", "pad_token_id"}) {
    if (const auto* value = fields::member(model.config, name)) {
      part.config[name] = *value;
    }
  }
  return part;
}

std::optional<std::pair<int64_t, int64_t>> extent(const Json& fields,
                                                  std::string_view name) {
  const auto* value = fields::member(fields, name);
  if (value == nullptr) {
    return std::nullopt;
  }
  if (value->is_number_integer()) {
    auto edge = value->get<int64_t>();
    return std::pair(edge, edge);
  }
  if (value->is_array() && value->size() == 2 &&
      (*value)[0].is_number_integer() && (*value)[1].is_number_integer()) {
    return std::pair((*value)[0].get<int64_t>(), (*value)[1].get<int64_t>());
  }
  auto height = fields::integer(*value, "height");
  auto width = fields::integer(*value, "width");
  return height && width ? std::optional(std::pair(*height, *width))
                         : std::nullopt;
}

std::optional<int64_t> vision_patches(const VisionLanguage& parts) {
  constexpr int64_t kMost = 1 << 20;  // of an edge: products stay numbers
  auto image = extent(parts.vision.fields, "image_size");
  auto patch = extent(parts.vision.fields, "patch_size");
  if (!image || !patch || patch->first < 1 || patch->second < 1 ||
      image->first < 1 || image->second < 1 || image->first > kMost ||
      image->second > kMost) {
    return std::nullopt;
  }
  return (image->first / patch->first) * (image->second / patch->second);
}

std::optional<int64_t> image_tokens(const VisionLanguage& parts) {
  auto patches = vision_patches(parts);
  const auto& type = parts.whole.type;
  if (!patches || type.starts_with("qwen") || parts.vision.type == "pixtral") {
    return std::nullopt;  // by the size of each image
  }
  const auto& whole = parts.whole.fields;
  if (type == "gemma3") {
    return fields::integer(whole, "mm_tokens_per_image");
  }
  if (type == "idefics3" || type == "smolvlm") {
    auto scale = fields::integer(whole, "scale_factor").value_or(0);
    return scale > 0 && scale < 1024 ? std::optional(*patches / scale / scale)
                                     : std::nullopt;
  }
  if (type == "internvl") {
    auto ratio = fields::number(whole, "downsample_ratio").value_or(0);
    return ratio > 0 && ratio <= 1
               ? std::optional(static_cast<int64_t>(std::lround(
                     static_cast<double>(*patches) * ratio * ratio)))
               : std::nullopt;
  }
  if (is_phi(type)) {
    return *patches / 4;  // of one tile, two patches by two
  }
  if (type == "mllama") {
    return 1;  // the text has one token; the tower's are attended to across
  }
  bool full = fields::text(whole, "vision_feature_select_strategy") == "full";
  bool classed = parts.vision.type == "clip_vision_model";
  return *patches + (full && classed ? 1 : 0);
}

}  // namespace assay
