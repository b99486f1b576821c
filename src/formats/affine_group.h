#pragma once

// What MLX's affine quantization decides once for a group of values, and how
// it is stored: shared by the plain loops of this room and the vector kernels,
// both compiled without fused multiply-adds.

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "assay/core/dtype.h"
#include "assay/formats/float_types.h"
#include "assay/formats/group_scan.h"

namespace assay {

/** Values that may share a scale. */
inline constexpr size_t kLargestGroup = 128;

/** Added to a number in [0, 2^22], it leaves no bits for the fraction: the
 * nearest even integer stands in the lowest ones. */
inline constexpr float kRoundToInteger = 0x1p23f;

struct ScaleBias {
  float scale;
  float bias;
};

/** MLX's choice: the end of the range that is farther from zero is hit
 * exactly, and zero where the other end allows it. */
inline ScaleBias fit_affine(Range range, float largest) {
  constexpr float kSmallestScale = 1e-7f;
  const bool low_is_far = std::fabs(range.low) > std::fabs(range.high);
  float scale = (range.high - range.low) / largest;
  scale = scale < kSmallestScale ? kSmallestScale : scale;
  scale = low_is_far ? scale : -scale;
  const float edge = low_is_far ? range.low : range.high;
  const float steps = std::rint(edge / scale);
  if (steps == 0) {
    return {scale, 0.0f};
  }
  return {edge / steps, edge};
}

/** Stored elements of `type` to and from float32. */
struct StoredScale {
  DType type;

  size_t bytes() const { return info(type).bytes; }

  float load(const std::byte* at) const {
    if (type == DType::f32) {
      float value = 0;
      std::memcpy(&value, at, sizeof(value));
      return value;
    }
    uint16_t stored = 0;
    std::memcpy(&stored, at, sizeof(stored));
    return type == DType::f16 ? half_to_float(stored) : bfloat_to_float(stored);
  }

  void store(float value, std::byte* at) const {
    if (type == DType::f32) {
      std::memcpy(at, &value, sizeof(value));
      return;
    }
    const uint16_t stored =
        type == DType::f16 ? float_to_half(value) : float_to_bfloat(value);
    std::memcpy(at, &stored, sizeof(stored));
  }

  float round(float value) const {
    switch (type) {
      case DType::f16:
        return half_to_float(float_to_half(value));
      case DType::bf16:
        return bfloat_to_float(float_to_bfloat(value));
      default:
        return value;
    }
  }
};

}  // namespace assay
