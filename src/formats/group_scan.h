#pragma once

// What quantizers ask of a group of values: its range, and whether all are
// finite. In eight lanes, so that both vectorize. Internal to this room.

#include <array>
#include <cmath>
#include <cstddef>
#include <span>

namespace assay {

struct Range {
  float low;
  float high;
};

/** Smallest and largest of a group whose size is a multiple of 8. */
inline Range range_of(std::span<const float> group) {
  std::array<float, 8> low;
  std::array<float, 8> high;
  for (size_t k = 0; k < 8; ++k) {
    low[k] = high[k] = group[k];
  }
  for (size_t j = 8; j < group.size(); j += 8) {
    for (size_t k = 0; k < 8; ++k) {
      const float value = group[j + k];
      low[k] = value < low[k] ? value : low[k];
      high[k] = value > high[k] ? value : high[k];
    }
  }
  Range range{low[0], high[0]};
  for (size_t k = 1; k < 8; ++k) {
    range.low = low[k] < range.low ? low[k] : range.low;
    range.high = high[k] > range.high ? high[k] : range.high;
  }
  return range;
}

/** The largest magnitude in a range. */
inline float magnitude_of(Range range) {
  const float low = std::fabs(range.low);
  const float high = std::fabs(range.high);
  return low > high ? low : high;
}

/** For a group whose size is a multiple of 8. */
inline bool all_finite(std::span<const float> group) {
  // Zero times a value is zero unless the value is not finite.
  std::array<float, 8> sum{};
  for (size_t j = 0; j < group.size(); j += 8) {
    for (size_t k = 0; k < 8; ++k) {
      sum[k] += group[j + k] * 0.0f;
    }
  }
  float total = 0;
  for (const float part : sum) {
    total += part;
  }
  return total == 0;
}

}  // namespace assay
