#pragma once

// A vision-language model by its parts: the configs of the whole, of the
// vision tower and of the language model, each with what its class takes for
// fields left out; the processors; and which tensors belong to which part.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/formats/model_files.h"
#include "assay/inspect/inspect.h"

namespace assay {

/** One object of a config. */
struct ConfigPart {
  std::string type;   ///< model_type, or the processor's class
  std::string where;  ///< "/models/llava/config.json: vision_config."
  Json stored;        ///< as the file has it; null where there is none
  Json fields;        ///< `stored` over the defaults of its class

  bool present() const { return stored.is_object(); }
  /** The file itself has the field, and it is not null. */
  bool states(std::string_view field) const;
};

/** What the published models of one model_type have in common. */
struct VisionFamily {
  std::string_view model_type;
  std::string_view class_name;
  std::string_view vision_type;  ///< where vision_config names none
  std::string_view text_type;    ///< where text_config names none
  std::string_view processor;    ///< AutoProcessor's class
  /** Classes of its image processor; the first is taken where none is named. */
  std::vector<std::string_view> image_processors;
  std::string_view video_processor;  ///< empty where it takes no videos
  std::string_view image_token;      ///< field of config.json with its id;
                                     ///< empty: the config has none
  /** Texts that published tokenizers give that id. */
  std::vector<std::string_view> image_texts;
  /** What a chat template writes for an image, where that is not the token
   * itself. */
  std::vector<std::string_view> placeholders;
  /** Other fields with a token's id, and its text. */
  std::vector<std::pair<std::string_view, std::string_view>> tokens;
};

/** Null for a model_type that is not known. */
const VisionFamily* find_vision_family(std::string_view model_type);
const VisionFamily* find_vision_family_by_class(std::string_view class_name);

struct VisionLanguage {
  const VisionFamily* family = nullptr;
  ConfigPart whole, vision, text;
  /** preprocessor_config.json or processor_config.json's image_processor... */
  ConfigPart image_processor, video_processor, processor;
  std::string vision_root;     ///< "vision_tower.vision_model."
  std::string projector_root;  ///< "multi_modal_projector."; may be empty
  std::vector<const TensorInfo*> vision_tensors, projector_tensors,
      text_tensors;
  /** What else there is: an audio tower, adapters of the language model. */
  std::vector<const TensorInfo*> other_tensors;
  std::vector<Finding> findings;  ///< documents that could not be read
};

/** True for a folder whose config has a vision_config. */
bool is_vision_language(const ModelFiles& model);

/** `model` must outlive the result. Of a family that is not known, the parts
 * that any has. */
VisionLanguage open_vision_language(const ModelFiles& model);

/** The language model by itself: its tensors under the names of a language
 * model, its config with its class's defaults. */
ModelFiles language_part(const ModelFiles& model, const VisionLanguage& parts);

/** Height and width of "image_size", "patch_size": a number or a pair. */
std::optional<std::pair<int64_t, int64_t>> extent(const Json& fields,
                                                  std::string_view name);

/** Patches of one image of image_size, before any are merged. */
std::optional<int64_t> vision_patches(const VisionLanguage& parts);

/** Tokens that one image (one tile of it) becomes in the text. Nothing where
 * their number depends on the image. */
std::optional<int64_t> image_tokens(const VisionLanguage& parts);

/** For inspect: vision tower, projector, language model, processors. */
std::vector<ComponentSummary> summarize(const VisionLanguage& parts);

}  // namespace assay
