#pragma once

// Rules of check for vision-language models: the vision tower and the
// projector against their tensors and each other, images against the tokens
// they become, processors against the tower that they feed.

#include <optional>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/model_files.h"
#include "assay/inspect/vision_language.h"

namespace assay::rules {

/** Tower and projector against their tensors; the language model too, where
 * it has no module tree. `text` is language_part. */
std::vector<Finding> vision_shapes(const VisionLanguage& parts,
                                   const ModelFiles& text,
                                   bool text_has_tree);

/** Flags of a config (biases, norms of heads) against the tensors that they
 * stand for. */
std::vector<Finding> stored_flags(const ConfigPart& part,
                                  const std::vector<const TensorInfo*>& list);

/** Fields that contradict each other, or that no such model takes: heads,
 * layers that features are taken from, sections of rotary dimensions. */
std::vector<Finding> vision_fields(const VisionLanguage& parts);

/** Of Phi 3 vision and Phi 4 multimodal, whose towers are fixed in code: what
 * their configs and processors say of tower, tiles and tokens. */
std::vector<Finding> phi_fields(const VisionLanguage& parts);

/** The adapters inside Phi 4 multimodal against the ranks of its config. */
std::vector<Finding> phi_adapters(const VisionLanguage& parts);

/** A folder with params.json and no config.json: Mistral's own format. */
bool is_mistral_folder(const ModelFiles& model);

/** params.json against the tensors of language model, tower and projector;
 * nothing for kinds that have other tensors. Throws Error json.*. */
std::optional<std::vector<Finding>> mistral_folder(const ModelFiles& model);

/** Tokens of an image: their number, their ids, what the chat template writes
 * for them. */
std::vector<Finding> vision_tokens(const ModelFiles& model,
                                   const VisionLanguage& parts);

/** Processors: there, of the right class, of the size of the tower's images,
 * with the values of published models. */
std::vector<Finding> vision_processors(const VisionLanguage& parts);

}  // namespace assay::rules
