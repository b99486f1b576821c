#pragma once

// Values of published models, each with its source: for what nothing in a
// model's own files contradicts. A value that no published model of the kind
// has is a warning.

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
