#pragma once

// The named mixed recipes of mlx-lm: which matrices get more bits. Facts:
// mlx_lm/convert.py (0.32), after llama.cpp's choice for Q4_K_M: the values
// and the down projections of the first and last eighth of the layers and of
// every third between, and the head.

#include <span>
#include <string_view>
#include <vector>

#include "assay/core/quantization.h"
#include "assay/nn/parameter.h"

namespace assay::nn {

/** "mixed_2_6"...: low and high bits. */
struct Recipe {
  std::string_view name;
  int low_bits;
  int high_bits;
};

std::span<const Recipe> recipes();

class MixedRecipe {
 public:
  /** Throws Error convert.option for a name that is none, or for a tree
   * without the layers that the recipes tell apart. */
  MixedRecipe(std::string_view name,
              const std::vector<ParameterSpec>& parameters,
              int group_size);
  Quantization operator()(const ParameterSpec& spec) const;

 private:
  Recipe recipe_;
  int group_size_;
  size_t layer_segment_ = 0;  ///< which segment of a path is the layer's number
  int layers_ = 0;
};

}  // namespace assay::nn
