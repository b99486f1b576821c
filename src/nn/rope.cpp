#include "assay/nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <fmt/format.h>

#include "assay/core/finding.h"
#include "assay/kernels/fused.h"
#include "assay/nn/rope_scale.h"

namespace assay::nn {
namespace mx = mlx::core;

namespace {

// theta^(2i / dims) for i in [0, dims / 2).
std::vector<float> plain_periods(double theta, int dims) {
  std::vector<float> periods(static_cast<size_t>(dims / 2));
  for (size_t i = 0; i < periods.size(); ++i) {
    periods[i] = static_cast<float>(
        std::pow(theta, 2.0 * static_cast<double>(i) / dims));
  }
  return periods;
}

// Llama 3.1: long waves are stretched by `factor`, short ones kept, those
// between interpolated.
std::vector<float> llama3_periods(const RopeConfig& config, int dims) {
  auto periods = plain_periods(config.theta, dims);
  double context = config.original_max_position_embeddings;
  double low_wavelength = context / config.low_freq_factor;
  double high_wavelength = context / config.high_freq_factor;
  for (auto& period : periods) {
    double wavelength = 2 * std::numbers::pi * period;
    if (wavelength > low_wavelength) {
      period = static_cast<float>(period * config.factor);
    } else if (wavelength >= high_wavelength) {
      double smooth = (context / wavelength - config.low_freq_factor) /
                      (config.high_freq_factor - config.low_freq_factor);
      period =
          static_cast<float>(period / ((1 - smooth) / config.factor + smooth));
    }
  }
  return periods;
}

// YaRN, section 3.2: a ramp between stretched and kept, over the dimensions
// whose wave turns `beta_slow` to `beta_fast` times in the original context.
std::vector<float> yarn_periods(const RopeConfig& config, int dims) {
  auto dimension_of = [&](double rotations) {
    return dims *
           std::log(config.original_max_position_embeddings /
                    (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(config.theta));
  };
  double low = dimension_of(config.beta_fast);
  double high = dimension_of(config.beta_slow);
  if (config.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) {
    high += 0.001;
  }
  auto periods = plain_periods(config.theta, dims);
  for (size_t i = 0; i < periods.size(); ++i) {
    double ramp =
        std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    double kept = 1 / static_cast<double>(periods[i]);
    double stretched = kept / config.factor;
    periods[i] = static_cast<float>(1 / (stretched * ramp + kept * (1 - ramp)));
  }
  return periods;
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1;
}

}  // namespace

double attention_factor(const RopeConfig& config) {
  if (config.attention_factor) {
    return *config.attention_factor;
  }
  if (config.type == "yarn") {
    if (config.mscale && config.mscale_all_dim) {
      return yarn_mscale(config.factor, *config.mscale) /
             yarn_mscale(config.factor, *config.mscale_all_dim);
    }
    return yarn_mscale(config.factor, 1);
  }
  if (config.type == "longrope") {
    return config.factor <= 1
               ? 1
               : std::sqrt(
                     1 + std::log(config.factor) /
                             std::log(config.original_max_position_embeddings));
  }
  return 1;
}

namespace {

void multiply(std::vector<float>& periods,
              const std::vector<float>& factors,
              const char* field) {
  if (factors.size() != periods.size()) {
    fail("config.invalid-value",
         fmt::format("rope {}", field),
         fmt::format("{} values, one for each rotated pair", periods.size()),
         fmt::format("{}", factors.size()));
  }
  for (size_t i = 0; i < periods.size(); ++i) {
    periods[i] *= factors[i];
  }
}

}  // namespace

std::vector<float> rope_periods(const RopeConfig& config, int dims) {
  if (config.type == "llama3") {
    return llama3_periods(config, dims);
  }
  if (config.type == "yarn") {
    return yarn_periods(config, dims);
  }
  auto periods = plain_periods(config.theta, dims);
  if (config.type == "longrope") {
    multiply(periods, config.short_factor, "short_factor");
  } else if (config.type == "linear") {
    for (auto& period : periods) {
      period = static_cast<float>(period * config.factor);
    }
  } else if (config.type != "default" && config.type != "dynamic") {
    fail("config.invalid-value",
         "rope_type",
         "default, linear, dynamic, llama3, yarn or longrope",
         fmt::format("'{}'", config.type));
  }
  return periods;
}

Rope::Rope(const RopeConfig& config, int head_dim, bool interleaved)
    : config_(config),
      dims_(static_cast<int>(head_dim * config.partial_rotary_factor)),
      interleaved_(interleaved),
      scale_(static_cast<float>(attention_factor(config))),
      periods_(rope_periods(config, dims_)) {
  if (config.type == "longrope") {
    auto longer = plain_periods(config.theta, dims_);
    multiply(longer, config.long_factor, "long_factor");
    long_periods_ = kernels::RopePeriods(std::move(longer));
  }
}

const kernels::RopePeriods& Rope::periods(int length,
                                          kernels::RopePeriods& scratch) const {
  if (config_.type == "longrope" &&
      length > config_.original_max_position_embeddings) {
    return long_periods_;
  }
  if (config_.type == "dynamic" && length > config_.max_position_embeddings) {
    // NTK-aware: a larger base for a longer context.
    double stretch = config_.factor * length / config_.max_position_embeddings -
                     (config_.factor - 1);
    double theta = config_.theta * std::pow(stretch, dims_ / (dims_ - 2.0));
    scratch = kernels::RopePeriods(plain_periods(theta, dims_));
    return scratch;
  }
  return periods_;
}

bool Rope::changes_between(int shorter, int longer) const {
  double edge = config_.original_max_position_embeddings;
  return config_.type == "longrope" && shorter <= edge && longer > edge;
}

mx::array Rope::operator()(const mx::array& x, int offset, int context) const {
  kernels::RopePeriods scratch;
  const auto rope = at(offset, context, x.shape(-2), scratch);
  return kernels::rope(x, rope.periods, interleaved_, offset, scale_);
}

kernels::RopeAt Rope::at(int offset,
                         int context,
                         int length,
                         kernels::RopePeriods& scratch) const {
  return {periods(std::max(context, offset + length), scratch),
          interleaved_,
          offset,
          scale_};
}

}  // namespace assay::nn
