#pragma once

// What becomes of each parameter in an MLX folder: decided from headers, and
// from the scales of blocks unless these are assumed to fit, before anything is
// written.

#include <memory>
#include <string>
#include <vector>

#include "assay/convert/convert.h"
#include "assay/convert/rows.h"
#include "assay/formats/quantization_config.h"
#include "assay/formats/safetensors.h"

namespace assay::conversion {

struct PlannedParameter {
  std::unique_ptr<ParameterRows> rows;
  /** Quantized so; nothing: plain values of `dtype`. */
  std::optional<Quantization> quantization;
  bool kept = false;         ///< quantized as stored, without change
  bool assumed = false;      ///< kept, if its scales turn out to fit
  DType dtype = DType::f32;  ///< of the values, or of the scales
  /** What values are rounded to before they are quantized. */
  DType value_type = DType::f32;
  /** Weight, and scales and biases if quantized, in this order. */
  std::vector<SafetensorsWriter::Entry> entries;
  uint64_t bytes = 0;  ///< of all entries
};

struct Plan {
  std::vector<PlannedParameter> parameters;
  /** Nothing where no parameter is quantized. */
  std::optional<QuantizationConfig> quantization;
  std::vector<Finding> findings;
  uint64_t bytes = 0;
};

/** The float type that a word names ("float16", "bf16", "F32"...); nothing for
 * an empty word. Throws Error convert.option. */
std::optional<DType> float_type(std::string_view word);

/** Throws Error: see convert(). `reader` and `data` must outlive the plan. */
Plan make_plan(const std::vector<nn::ParameterSpec>& parameters,
               nn::WeightReader& reader,
               TensorData& data,
               const ConvertOptions& options,
               BlockScales scales = BlockScales::read);

/** "model.layers.0.mlp.up" of "model.layers.0.mlp.up.weight". */
std::string module_path(const std::string& parameter);

}  // namespace assay::conversion
