#include "assay/kernels/top_p.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <span>
#include <vector>

#include <mlx/ops.h>

#include "assay/kernels/linear.h"
#include "assay/kernels/node.h"
#include "assay/kernels/simd.h"
#include "assay/kernels/strided.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

mx::array by_sorting(const mx::array& logprobs, float top_p) {
  auto sorted = mx::sort(logprobs, 0);  // least likely first
  auto probabilities = mx::exp(sorted);
  auto above = mx::cumsum(probabilities, 0, true, false);
  auto dropped = mx::sum(
      mx::astype(mx::greater_equal(
                     above, mx::array(top_p) * mx::sum(probabilities, true)),
                 mx::int32),
      true);
  return mx::take(sorted, dropped, 0);
}

// Those that are at most `depth` below the largest, the likeliest first.
std::vector<float> likeliest(std::span<const float> x,
                             float largest,
                             float depth) {
  std::vector<float> found;
  for (float value : x) {
    if (value >= largest - depth) {
      found.push_back(value);
    }
  }
  std::ranges::sort(found, std::greater());
  return found;
}

// Few tokens are near the likeliest, and most often they suffice.
float least_kept(std::span<const float> x, float top_p) {
  const auto all = kernels().exp_sum(x.data(), x.size());
  if (std::isnan(all.sum) || std::isinf(all.largest)) {
    return -kInfinity;
  }
  const double wanted = static_cast<double>(top_p) * all.sum;
  for (float depth : {3.0f, 6.0f, 12.0f, kInfinity}) {
    double sum = 0;
    for (float value : likeliest(x, all.largest, depth)) {
      sum += std::exp(value - all.largest);
      if (sum >= wanted) {
        return value;
      }
    }
  }
  return -kInfinity;  // rounding: no sum reaches all of it
}

struct TopPWork {
  float top_p;

  void operator()(const Arrays& inputs, mx::array& out) const {
    const RowMajor x(inputs[0]);
    *out.data<float>() = least_kept({x.floats(), inputs[0].size()}, top_p);
  }
};

}  // namespace

mx::array least_in_top_p(const mx::array& logprobs, float top_p) {
  if (!on_cpu() || logprobs.dtype() != mx::float32 || logprobs.size() == 0) {
    return by_sorting(logprobs, top_p);
  }
  return fuse(
      "TopP",
      {logprobs},
      {1},
      [top_p](const Arrays& in) { return Arrays{by_sorting(in[0], top_p)}; },
      TopPWork{top_p});
}

}  // namespace assay::kernels
