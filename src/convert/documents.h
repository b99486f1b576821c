#pragma once

// The small files beside the tensors: config.json, generation settings, the
// tokenizer and its template.

#include <filesystem>
#include <optional>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/formats/model_files.h"
#include "assay/formats/quantization_config.h"

namespace assay::conversion {

/** The config as it is, with "quantization" and "quantization_config" as they
 * hold for the result, and the type of its values where there was no type or
 * `dtype` asks for another ("float16"...; empty: keep). */
Json result_config(Json config,
                   const std::optional<QuantizationConfig>& quantization,
                   const std::string& dtype);

/** Adds what an older reader looks for and the config says in the spelling of
 * transformers 5 (rope_parameters to rope_theta and rope_scaling, dtype to
 * torch_dtype...). mlx-lm 0.32 reads only the older one, and takes defaults for
 * what it does not find. Replaces only a "sliding_window_pattern" that
 * "layer_types", which both versions of transformers go by, contradicts; where
 * no pattern says the same, that is a finding. */
void add_older_spelling(Json& config, std::vector<Finding>& findings);

/** Everything but config.json: copies of a folder's files, or what a GGUF's
 * metadata gives. A tokenizer that cannot be made, or with `load` what was made
 * and cannot be loaded, goes to `findings`. */
void write_documents(const ModelFiles& source,
                     const std::filesystem::path& folder,
                     bool load,
                     std::vector<Finding>& findings);

}  // namespace assay::conversion
