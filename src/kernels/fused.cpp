#include "assay/kernels/fused.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mlx/compile.h>
#include <mlx/fast.h>
#include <mlx/ops.h>

#include "assay/kernels/check.h"
#include "assay/kernels/linear.h"
#include "assay/kernels/node.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/row_work.h"
#include "assay/kernels/simd.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

struct NormWork {
  float eps;

  void operator()(const Arrays& inputs, mx::array& out) const {
    Rows x(inputs[0]);
    std::vector<float> copy;
    const float* weight = Rows(inputs[1]).at(0, copy);
    size_t width = x.width();
    float* to = out.data<float>();
    over_rows(out.size() / width, width, [&](size_t first, size_t last) {
      std::vector<float> scratch;
      for (size_t r = first; r < last; ++r) {
        norm_row(x.at(r, scratch), weight, width, eps, to + r * width);
      }
    });
  }
};

// Long rows are cut, so that all threads share even one.
struct LogSumExpWork {
  static constexpr size_t kPart = 8192;  // ten microseconds of work

  void operator()(const Arrays& inputs, mx::array& out) const {
    const Rows x(inputs[0]);
    const size_t width = x.width();
    const size_t parts = (width + kPart - 1) / kPart;
    std::vector<ExpSum> sums(out.size() * parts);
    auto some = [&](size_t first, size_t last) {
      std::vector<float> scratch;
      for (size_t i = first; i < last; ++i) {
        const size_t begin = i % parts * kPart;
        sums[i] = kernels().exp_sum(x.at(i / parts, scratch) + begin,
                                    std::min(kPart, width - begin));
      }
    };
    if (parts == 1) {
      over_rows(sums.size(), width, some);
    } else {
      parallel_for(sums.size(), [&](size_t i) { some(i, i + 1); });
    }
    for (size_t r = 0; r < out.size(); ++r) {
      out.data<float>()[r] = joined({sums.data() + r * parts, parts});
    }
  }

 private:
  static float joined(std::span<const ExpSum> parts) {
    ExpSum all;
    for (const auto& part : parts) {
      all.largest = std::max(all.largest, part.largest);
    }
    for (const auto& part : parts) {
      // What has a sum of 0 is infinitely far below, or the largest itself.
      all.sum +=
          part.sum == 0 ? 0 : part.sum * std::exp(part.largest - all.largest);
    }
    return std::isinf(all.largest) && !std::isnan(all.sum)
               ? all.largest
               : std::log(all.sum) + all.largest;
  }
};

struct RopeWork {
  Rotation rotation;

  void operator()(const Arrays& inputs, mx::array& out) const {
    const Rows rows(inputs[0]);
    const auto length = static_cast<size_t>(out.shape(-2));
    rotate_heads(rows,
                 out.size() / rows.width(),
                 length,
                 rotation,
                 rotation.angles(length),
                 out.data<float>());
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
        kernels().silu_gate(g, u, width, to + r * width);
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

mx::array logsumexp(const mx::array& x, bool keepdims) {
  if (!on_cpu() || x.dtype() != mx::float32 || x.ndim() == 0 ||
      x.shape(-1) == 0) {
    return mx::logsumexp(x, -1, keepdims);
  }
  auto shape = x.shape();
  if (keepdims) {
    shape.back() = 1;
  } else {
    shape.pop_back();
  }
  return fuse(
      "LogSumExp",
      {x},
      std::move(shape),
      [keepdims](const Arrays& in) {
        return Arrays{mx::logsumexp(in[0], -1, keepdims)};
      },
      LogSumExpWork{});
}

mx::array rope(const mx::array& x,
               const RopePeriods& periods,
               bool interleaved,
               int offset,
               float scale) {
  check_rope(x.shape(), periods.size());
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
      RopeWork{{kept, interleaved, offset, scale}});
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
