#pragma once

// What a class of transformers takes for a field that a file leaves out: a
// config without hidden_size is no config without a width.

#include <string_view>

#include "assay/core/json.h"

namespace assay {

/** A JSON object as text, by model_type ("llama", "clip_vision_model") or by
 * the name of a processor's class; empty for a class that is not known. */
std::string_view class_defaults_text(std::string_view name);

/** The same parsed; an empty object for a class that is not known. */
Json class_defaults(std::string_view name);

}  // namespace assay
