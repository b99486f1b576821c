#pragma once

// How a weight is quantized: the words that MLX, mlx-lm and config.json share.

#include <string>

namespace assay {

/** Mode "affine": groups of 32, 64 or 128, 2, 3, 4, 5, 6 or 8 bits, weight =
 * scale * q + bias. "mxfp4": groups of 32, e2m1 values, e8m0 scales; "mxfp8":
 * groups of 32, e4m3 values, e8m0 scales; "nvfp4": groups of 16, e2m1 values,
 * e4m3 scales. */
struct Quantization {
  int group_size = 64;
  int bits = 4;
  std::string mode = "affine";
  bool operator==(const Quantization&) const = default;
};

}  // namespace assay
