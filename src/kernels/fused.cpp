#include "assay/kernels/fused.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mlx/compile.h>
#include <mlx/fast.h>
#include <mlx/ops.h>

#include "assay/kernels/linear.h"
#include "assay/kernels/node.h"
#include "assay/kernels/pool.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// The rows of x along its last axis, wherever they lie.
class Rows {
 public:
  explicit Rows(const mx::array& x)
      : data_(x.data<float>()),
        width_(static_cast<size_t>(x.shape(-1))),
        stride_(x.strides().back()),
        shape_(x.shape().begin(), x.shape().end() - 1),
        strides_(x.strides().begin(), x.strides().end() - 1),
        contiguous_(x.flags().row_contiguous) {}

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
  mx::Shape shape_;
  mx::Strides strides_;
  bool contiguous_;
};

// Calls job(first, last) over rows: at once if they are few, else in pieces on
// all threads.
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

struct NormWork {
  float eps;

  static float sum_of_squares(const float* x, size_t width) {
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

  void operator()(const Arrays& inputs, mx::array& out) const {
    Rows x(inputs[0]);
    std::vector<float> copy;
    const float* weight = Rows(inputs[1]).at(0, copy);
    size_t width = x.width();
    float* to = out.data<float>();
    over_rows(out.size() / width, width, [&](size_t first, size_t last) {
      std::vector<float> scratch;
      for (size_t r = first; r < last; ++r) {
        const float* row = x.at(r, scratch);
        float mean = sum_of_squares(row, width) / static_cast<float>(width);
        float factor = 1 / std::sqrt(mean + eps);
        for (size_t i = 0; i < width; ++i) {
          to[r * width + i] = row[i] * factor * weight[i];
        }
      }
    });
  }
};

struct RopeWork {
  std::vector<float> periods;
  bool interleaved;
  int offset;
  float scale;

  // Cosines, then sines, of each position: [length, 2, pairs].
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

  void rotate(const float* x, const float* cosines, float* to) const {
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

  void operator()(const Arrays& inputs, mx::array& out) const {
    Rows x(inputs[0]);
    size_t width = x.width();
    auto length = static_cast<size_t>(out.shape(-2));
    size_t rotated = 2 * periods.size();
    auto table = angles(length);
    float* to = out.data<float>();
    over_rows(out.size() / width, width, [&](size_t first, size_t last) {
      std::vector<float> scratch;
      for (size_t r = first; r < last; ++r) {
        const float* row = x.at(r, scratch);
        rotate(row, table.data() + rotated * (r % length), to + r * width);
        std::copy(row + rotated, row + width, to + r * width + rotated);
      }
    });
  }
};

struct SiluGateWork {
  void operator()(const Arrays& inputs, mx::array& out) const {
    Rows gate(inputs[0]), up(inputs[1]);
    size_t width = gate.width();
    float* to = out.data<float>();
    over_rows(out.size() / width, width, [&](size_t first, size_t last) {
      std::vector<float> gate_scratch, up_scratch;
      for (size_t r = first; r < last; ++r) {
        const float* g = gate.at(r, gate_scratch);
        const float* u = up.at(r, up_scratch);
        for (size_t i = 0; i < width; ++i) {
          to[r * width + i] = g[i] / (1 + std::exp(-g[i])) * u[i];
        }
      }
    });
  }
};

// A node over float32 inputs, of the shape of the first.
template <class Work>
mx::array fuse_like_first(const char* name,
                          Arrays inputs,
                          std::function<Arrays(Arrays)> fallback,
                          Work work) {
  for (auto& input : inputs) {
    input = mx::astype(input, mx::float32);
  }
  auto shape = inputs[0].shape();
  return fuse(name,
              std::move(inputs),
              std::move(shape),
              std::move(fallback),
              std::move(work));
}

mx::array rope_by_mlx(const mx::array& x,
                      const mx::array& periods,
                      bool interleaved,
                      int offset,
                      float scale) {
  int dims = 2 * periods.shape(0);
  auto rotated =
      mx::fast::rope(x, dims, interleaved, std::nullopt, 1.0f, offset, periods);
  if (scale == 1) {
    return rotated;
  }
  auto factor = mx::array(scale, x.dtype());
  if (dims == x.shape(-1)) {
    return rotated * factor;
  }
  auto parts = mx::split(rotated, mx::Shape{dims}, -1);
  return mx::concatenate({parts[0] * factor, parts[1]}, -1);
}

Arrays silu_gate_by_mlx(const Arrays& in) {
  return {in[0] * mx::sigmoid(in[0]) * in[1]};
}

void check_rope(const mx::array& x, size_t pairs) {
  if (x.ndim() != 4 || pairs == 0 ||
      2 * pairs > static_cast<size_t>(x.shape(-1))) {
    throw std::invalid_argument(
        "[rope] x must have four axes, the last as wide as the rotated pairs");
  }
}

}  // namespace

mx::array rms_norm(const mx::array& x, const mx::array& weight, float eps) {
  bool fits =
      x.ndim() > 0 && weight.ndim() == 1 && weight.shape(0) == x.shape(-1);
  if (!on_cpu() || !fits) {  // MLX says what does not fit
    return mx::fast::rms_norm(x, weight, eps);
  }
  return fuse_like_first(
      "RmsNorm",
      {x, weight},
      [eps](Arrays in) {
        return Arrays{mx::fast::rms_norm(in[0], in[1], eps)};
      },
      NormWork{eps});
}

mx::array rope(const mx::array& x,
               const RopePeriods& periods,
               bool interleaved,
               int offset,
               float scale) {
  check_rope(x, periods.size());
  if (!on_cpu()) {
    return rope_by_mlx(x, periods.array(), interleaved, offset, scale);
  }
  const auto& kept = periods.values();
  return fuse_like_first(
      "Rope",
      {x},
      [kept, interleaved, offset, scale](Arrays in) {
        auto all = RopePeriods(kept);
        return Arrays{
            rope_by_mlx(in[0], all.array(), interleaved, offset, scale)};
      },
      RopeWork{kept, interleaved, offset, scale});
}

const mx::array& RopePeriods::array() const {
  if (!array_) {
    array_.emplace(
        periods_.begin(), mx::Shape{static_cast<int>(size())}, mx::float32);
  }
  return *array_;
}

mx::array silu_gate(const mx::array& gate, const mx::array& up) {
  if (gate.shape() != up.shape() || gate.ndim() == 0) {
    return silu_gate_by_mlx({gate, up})[0];
  }
  if (!on_cpu()) {
    // One kernel instead of three. Never on the CPU, where MLX would call a
    // compiler while the program runs.
    static const auto kCompiled = mx::compile(silu_gate_by_mlx, true);
    return kCompiled({gate, up})[0];
  }
  return fuse_like_first(
      "SiluGate", {gate, up}, silu_gate_by_mlx, SiluGateWork{});
}

}  // namespace assay::kernels
