#include "reference.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include <mlx/ops.h>
#include <mlx/random.h>
#include <mlx/transforms.h>

#include "assay/kernels/simd.h"

namespace assay::kernels::test {
namespace mx = mlx::core;
namespace {

double from_minifloat(unsigned bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const unsigned mantissa = bits & ((1u << mantissa_bits) - 1);
  const int exponent =
      static_cast<int>(bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const double sign = (bits >> (exponent_bits + mantissa_bits)) & 1 ? -1 : 1;
  const double fraction = mantissa / std::ldexp(1.0, mantissa_bits);
  return exponent == 0 ? sign * std::ldexp(fraction, 1 - bias)
                       : sign * std::ldexp(1 + fraction, exponent - bias);
}

double from_e4m3(unsigned bits) {
  return (bits & 0x7f) == 0x7f ? std::numeric_limits<double>::quiet_NaN()
                               : from_minifloat(bits, 4, 3);
}

double from_e2m1(unsigned bits) {
  return from_minifloat(bits, 2, 1);
}

double from_e8m0(unsigned bits) {
  return std::ldexp(1.0, static_cast<int>(bits) - 127);
}

mx::array evaluated(const mx::array& a) {
  auto copy = mx::contiguous(a);
  copy.eval();
  return copy;
}

std::vector<double> scale_values(const mx::array& a, const std::string& mode) {
  if (mode == "affine") {
    return values(a);
  }
  const auto bytes = evaluated(a);
  std::vector<double> result;
  for (size_t i = 0; i < bytes.size(); ++i) {
    const unsigned byte = bytes.data<uint8_t>()[i];
    result.push_back(mode == "nvfp4" ? from_e4m3(byte) : from_e8m0(byte));
  }
  return result;
}

}  // namespace

std::vector<FormatCase> all_formats() {
  std::vector<FormatCase> formats = {
      {"f32", "", 0, 32, mx::float32},
      {"f16", "", 0, 16, mx::float16},
      {"bf16", "", 0, 16, mx::bfloat16},
      {"mxfp4", "mxfp4", 32, 4},
      {"mxfp8", "mxfp8", 32, 8},
      {"nvfp4", "nvfp4", 16, 4},
  };
  const std::pair<const char*, mx::Dtype> types[] = {
      {"f32", mx::float32}, {"f16", mx::float16}, {"bf16", mx::bfloat16}};
  for (int bits : {2, 3, 4, 5, 6, 8}) {
    for (int group : {32, 64, 128}) {
      for (const auto& [type, dtype] : types) {
        formats.push_back({"affine" + std::to_string(bits) + "g" +
                               std::to_string(group) + type,
                           "affine",
                           group,
                           bits,
                           dtype});
      }
    }
  }
  return formats;
}

mx::array random(mx::Shape shape, int seed) {
  return mx::random::normal(
      shape, mx::float32, mx::random::key(static_cast<uint64_t>(seed)));
}

Weight make_weight(const FormatCase& format, mx::Shape shape, int seed) {
  const auto w = mx::astype(random(std::move(shape), seed), format.dtype);
  if (format.mode.empty()) {
    return {w, {}, {}, {}};
  }
  if (format.mode == "nvfp4") {
    // MLX's quantize refuses some widths that are 16 times an odd number.
    auto twice = w.shape();
    twice.back() *= 2;
    auto wide = mx::quantize(random(twice, seed), 16, 4, "nvfp4");
    for (auto& part : wide) {
      part = mx::contiguous(mx::split(part, 2, -1)[0]);
    }
    return {wide[0], wide[1], {}, {16, 4, "nvfp4"}};
  }
  auto parts = mx::quantize(w, format.group, format.bits, format.mode);
  Weight weight{
      parts[0], parts[1], {}, {format.group, format.bits, format.mode}};
  if (parts.size() > 2) {
    weight.biases = parts[2];
  }
  return weight;
}

std::vector<double> values(const mx::array& a) {
  const auto f = evaluated(mx::astype(a, mx::float32));
  return {f.data<float>(), f.data<float>() + f.size()};
}

std::vector<double> values(const Weight& weight) {
  if (!weight.scales) {
    return values(weight.data);
  }
  const auto& [group, bits, mode] = weight.quantization;
  const auto data = evaluated(weight.data);
  const auto scales = scale_values(*weight.scales, mode);
  const auto biases = weight.biases ? values(*weight.biases)
                                    : std::vector<double>(scales.size(), 0.0);
  const auto* stream = data.data<uint8_t>();
  std::vector<double> result;
  for (size_t k = 0; k < scales.size() * static_cast<size_t>(group); ++k) {
    unsigned q = 0;
    for (int b = 0; b < bits; ++b) {
      const size_t bit = k * static_cast<size_t>(bits) + static_cast<size_t>(b);
      q |= ((stream[bit / 8] >> (bit % 8)) & 1u) << b;
    }
    const size_t g = k / static_cast<size_t>(group);
    const double value = mode == "affine" ? q
                         : bits == 8      ? from_e4m3(q)
                                          : from_e2m1(q);
    result.push_back(scales[g] * value + biases[g]);
  }
  return result;
}

namespace {

// What rounding activations to integers may add to the product of one
// row of x with each row of the weight: half a step for each activation, times
// how far the weight's integer is from the middle.
class IntegerError {
 public:
  explicit IntegerError(const Weight& weight, const std::vector<double>& w) {
    const auto& [group, bits, mode] = weight.quantization;
    bool integers = weight.scales && mode == "affine" &&
                    (bits == 2 || bits == 4 || bits == 8);
    if (!integers || activations() == Activations::float32) {
      return;
    }
    bool bytes = activations() == Activations::int8 &&
                 kernels().bytes.has({.format = Format::affine, .bits = bits});
    steps_ = bytes ? 2 * 127 : 2 * 32767;
    group_ = static_cast<size_t>(group);
    const auto scales = values(*weight.scales);
    const auto biases = values(*weight.biases);
    const double middle = (1 << (bits - 1)) - 0.5;
    for (size_t k = 0; k < w.size(); ++k) {
      const size_t g = k / group_;
      distances_.push_back(std::abs(w[k] - biases[g] - scales[g] * middle));
    }
  }

  double of(const double* x, size_t row, size_t columns) const {
    double error = 0;
    for (size_t k = 0; group_ != 0 && k < columns; k += group_) {
      double most = 0;
      double distance = 0;
      for (size_t i = k; i < k + group_; ++i) {
        most = std::max(most, std::abs(x[i]));
        distance += distances_[row * columns + i];
      }
      error += distance * most / steps_;
    }
    return error;
  }

 private:
  size_t group_ = 0;  // 0: activations stay float32
  double steps_ = 1;  // from the smallest to the largest
  std::vector<double> distances_;
};

}  // namespace

double product_error(const mx::array& actual,
                     const mx::array& x,
                     const Weight& weight) {
  const auto w = values(weight);
  const auto y = values(actual);
  const auto rows = values(x);
  const auto columns = static_cast<size_t>(x.shape(-1));
  const auto outputs = static_cast<size_t>(weight.data.shape(-2));
  const IntegerError integers(weight, w);
  double worst = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const double* xr = rows.data() + i / outputs * columns;
    const double* wr = w.data() + i % outputs * columns;
    double sum = 0;
    double size = 0;
    for (size_t k = 0; k < columns; ++k) {
      sum += xr[k] * wr[k];
      size += std::abs(xr[k] * wr[k]);
    }
    const double allowed = integers.of(xr, i % outputs, columns);
    const double error = std::abs(y[i] - sum) - allowed;
    // A NaN must not pass for agreement.
    worst = std::isnan(error)
                ? std::numeric_limits<double>::infinity()
                : std::max(worst, size > 0 ? error / size : error);
  }
  return worst;
}

}  // namespace assay::kernels::test
