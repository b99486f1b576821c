#pragma once

// The "quantization" block of config.json as mlx-lm writes and reads it: one
// setting for the model, others for single modules, false for those left as
// they are.

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "assay/core/json.h"
#include "assay/core/quantization.h"

namespace assay {

struct QuantizationConfig {
  Quantization standard;
  /** By module path ("model.layers.0.mlp.gate"); nothing: not quantized. */
  std::map<std::string, std::optional<Quantization>, std::less<>> modules;

  /** What holds for a module. */
  std::optional<Quantization> of(std::string_view path) const;
};

/** The block of a config, if it has one in MLX's form. Throws Error
 * config.invalid-value for values that MLX does not know, and
 * quantization.unsupported for other quantizers' blocks ("quant_method":
 * awq, gptq, bitsandbytes...), except "fp8" and "mxfp4", which are read as
 * encodings of the tensors themselves. */
std::optional<QuantizationConfig> quantization_config(const Json& config,
                                                      std::string_view where);

/** The block to write. */
Json to_json(const QuantizationConfig& config);

}  // namespace assay
