#pragma once

// Values of published models, each with its source: for what nothing in a
// model's own files contradicts. Another value than a published model of this
// shape has is a warning. Where no model of the shape is known a value of
// another kind is a note, one that no published model has a warning.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/inspect/vision_language.h"

namespace assay::rules {

/** One size of a family: recognised by width, layers and inner width (0 where
 * the class has none). */
struct PublishedModel {
  std::string_view type;  ///< model_type
  int64_t width, layers, inner;
  int64_t heads, kv_heads, head_dim;  ///< 0: not read
  std::string_view thetas, epsilons;  ///< "10000,500000"; empty: not read
  std::string_view source;  ///< repository and path, or package and class
  std::string_view names;   ///< "Llama-3-8B, Llama-3.1-8B"
};
std::span<const PublishedModel> published_models();

/** What all published models of a class have: {"hidden_act": ["silu"]...}. */
struct PublishedClass {
  std::string_view name;  ///< model_type; "llava image processor"
  std::string_view source;
  std::string_view values;
};
std::span<const PublishedClass> published_classes();

/** Factors between latents and what a VAE decodes: by the name of the
 * pipeline's class, the first that it begins with, and by the channels of the
 * latents for a VAE without its pipeline. */
struct PublishedScaling {
  std::string_view pipeline;  ///< empty: of a VAE by itself only
  int64_t channels;
  double factor, shift;  ///< shift 0: none
  std::string_view source;
};
std::span<const PublishedScaling> published_scaling();

/** First and last beta of a diffusion schedule. */
struct PublishedBetas {
  std::string_view pipeline;
  double start, end;
  std::string_view source;
};
std::span<const PublishedBetas> published_betas();
/** Null where no pipeline of the name has betas of its own. */
const PublishedBetas* published_betas(std::string_view pipeline);

/** Whether a model of a size that nobody published may have values of its own:
 * a small one that somebody trained has, the parts of a vision-language model,
 * which are taken from published ones, have not. */
enum class OwnValues { allowed, refused };

/** A config, or a part of one, against the published values of its class, and
 * of its size where that is known. */
std::vector<Finding> published_values(const ConfigPart& part, OwnValues own);

/** True if a published model of its type has its width, layers and inner
 * width. */
bool is_published_size(const ConfigPart& part);

/** The same against one entry, by name. */
std::vector<Finding> published_values(const ConfigPart& part,
                                      std::string_view name);

/** A language model's config as a part, for published_values. */
ConfigPart language_config(const Json& config, const std::string& where);

}  // namespace assay::rules
