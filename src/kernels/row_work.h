#pragma once

// What becomes of single rows of float32, without MLX's graph: norm and
// rotation. Nodes of one operation and nodes of several call the same.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/pool.h"

namespace assay::kernels {

/** The rows of x along its last axis, wherever they lie. */
class Rows {
 public:
  explicit Rows(const mlx::core::array& x)
      : data_(x.data<float>()),
        width_(static_cast<size_t>(x.shape(-1))),
        stride_(x.strides().back()),
        shape_(x.shape().begin(), x.shape().end() - 1),
        strides_(x.strides().begin(), x.strides().end() - 1),
        contiguous_(x.flags().row_contiguous) {}

  /** Rows of `width` values that stand side by side. */
  Rows(const float* data, size_t width)
      : data_(data), width_(width), stride_(1), contiguous_(true) {}

  /** Row `index` in row-major order; copied to `scratch` if its values do not
   * stand side by side. */
  const float* at(size_t index, std::vector<float>& scratch) const {
    if (contiguous_) {
      return data_ + index * width_;
    }
    int64_t offset = 0;
    for (size_t axis = shape_.size(); axis-- > 0;) {
      auto size = static_cast<size_t>(shape_[axis]);
      offset += static_cast<int64_t>(index % size) * strides_[axis];
      index /= size;
    }
    const float* row = data_ + offset;
    if (stride_ == 1) {
      return row;
    }
    scratch.resize(width_);
    for (size_t i = 0; i < width_; ++i) {
      scratch[i] = row[static_cast<int64_t>(i) * stride_];
    }
    return scratch.data();
  }

  size_t width() const { return width_; }

 private:
  const float* data_;
  size_t width_;
  int64_t stride_;
  mlx::core::Shape shape_;
  mlx::core::Strides strides_;
  bool contiguous_;
};

/** Calls job(first, last) over rows: at once if they are few, else in pieces on
 * all threads. */
template <class Job>
void over_rows(size_t rows, size_t width, const Job& job) {
  constexpr size_t kPiece = 16384;  // values: some microseconds of work
  size_t count = std::max<size_t>(1, kPiece / std::max<size_t>(1, width));
  if (rows <= count) {
    job(size_t{0}, rows);
    return;
  }
  parallel_for((rows + count - 1) / count, [&](size_t piece) {
    job(piece * count, std::min(rows, (piece + 1) * count));
  });
}

/** Lane by lane, so that it is one sum in every build. */
inline float sum_of_squares(const float* x, size_t width) {
  constexpr size_t kLanes = 16;
  float sums[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= width; i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += x[i + lane] * x[i + lane];
    }
  }
  float sum = 0;
  for (; i < width; ++i) {
    sum += x[i] * x[i];
  }
  for (float part : sums) {
    sum += part;
  }
  return sum;
}

/** x / sqrt(mean(x^2) + eps) * weight. */
inline void norm_row(
    const float* x, const float* weight, size_t width, float eps, float* out) {
  const float mean = sum_of_squares(x, width) / static_cast<float>(width);
  const float factor = 1 / std::sqrt(mean + eps);
  for (size_t i = 0; i < width; ++i) {
    out[i] = x[i] * factor * weight[i];
  }
}

/** The rotation of heads by their position; see rope(). */
struct Rotation {
  std::vector<float> periods;
  bool interleaved = false;
  int offset = 0;
  float scale = 1;

  /** Values of a head that are turned: its first ones. */
  size_t width() const { return 2 * periods.size(); }

  /** Cosines, then sines, of each position: [length, 2, pairs]. */
  std::vector<float> angles(size_t length) const {
    size_t pairs = periods.size();
    std::vector<float> table(2 * pairs * length);
    for (size_t t = 0; t < length; ++t) {
      float position = static_cast<float>(offset) + static_cast<float>(t);
      float* cosines = table.data() + 2 * pairs * t;
      for (size_t i = 0; i < pairs; ++i) {
        float angle = position * (1 / periods[i]);
        cosines[i] = std::cos(angle) * scale;
        cosines[pairs + i] = std::sin(angle) * scale;
      }
    }
    return table;
  }

  /** A head of `dim` values, by the angles of its position. */
  void turn(const float* x, const float* cosines, size_t dim, float* to) const {
    turn_pairs(x, cosines, to);
    std::copy(x + width(), x + dim, to + width());
  }

 private:
  void turn_pairs(const float* x, const float* cosines, float* to) const {
    size_t pairs = periods.size();
    const float* sines = cosines + pairs;
    if (interleaved) {
      for (size_t i = 0; i < pairs; ++i) {
        float a = x[2 * i], b = x[2 * i + 1];
        to[2 * i] = a * cosines[i] - b * sines[i];
        to[2 * i + 1] = a * sines[i] + b * cosines[i];
      }
      return;
    }
    for (size_t i = 0; i < pairs; ++i) {
      float a = x[i], b = x[pairs + i];
      to[i] = a * cosines[i] - b * sines[i];
      to[pairs + i] = a * sines[i] + b * cosines[i];
    }
  }
};

/** `count` heads of x [batch, heads, length, dim], turned by the angles of
 * their positions, row by row into `to`. */
inline void rotate_heads(const Rows& x,
                         size_t count,
                         size_t length,
                         const Rotation& rotation,
                         const std::vector<float>& angles,
                         float* to) {
  const size_t dim = x.width();
  over_rows(count, dim, [&](size_t first, size_t last) {
    std::vector<float> scratch;
    for (size_t r = first; r < last; ++r) {
      rotation.turn(x.at(r, scratch),
                    angles.data() + rotation.width() * (r % length),
                    dim,
                    to + r * dim);
    }
  });
}

}  // namespace assay::kernels
