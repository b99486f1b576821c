#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/measure/compare_parts.h"
#include "assay/nn/loader.h"

namespace assay::comparison {
namespace mx = mlx::core;

namespace {

// Elements that are compared at once.
constexpr size_t kCompared = size_t{1} << 22;

struct WeightSums {
  double a = 0, b = 0, product = 0, difference = 0;
  double max_abs = 0;
};

double sum_rows(const mx::array& rows) {
  double total = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    total += rows.data<float>()[i];
  }
  return total;
}

void add_rows(const mx::array& a, const mx::array& b, WeightSums& sums) {
  // NaN in the same place, and infinities of one sign, are no difference.
  auto same = mx::logical_or(mx::equal(a, b),
                             mx::logical_and(mx::isnan(a), mx::isnan(b)));
  auto difference = mx::where(same, mx::array(0.0f), b - a);
  auto squares = [](const mx::array& x, const mx::array& y) {
    return mx::contiguous(mx::sum(x * y, 1));
  };
  std::vector<mx::array> results = {squares(a, a),
                                    squares(b, b),
                                    squares(a, b),
                                    squares(difference, difference),
                                    mx::max(mx::abs(difference))};
  mx::eval(results);
  sums.a += sum_rows(results[0]);
  sums.b += sum_rows(results[1]);
  sums.product += sum_rows(results[2]);
  sums.difference += sum_rows(results[3]);
  auto largest = static_cast<double>(results[4].item<float>());
  bool undefined = std::isnan(sum_rows(results[3]));
  if (undefined) {
    largest = std::numeric_limits<double>::infinity();
  }
  sums.max_abs = std::max(sums.max_abs, largest);
}

WeightSums compare_values(const mx::array& a, const mx::array& b) {
  int width = a.ndim() == 0 ? 1 : a.shape(-1);
  auto x = mx::reshape(a, {-1, width});
  auto y = mx::reshape(b, {-1, width});
  auto most = static_cast<int>(
      std::max<size_t>(1, kCompared / static_cast<size_t>(width)));
  WeightSums sums;
  for (int first = 0; first < x.shape(0); first += most) {
    int stop = std::min(first + most, x.shape(0));
    auto rows = [&](const mx::array& all) {
      return mx::astype(mx::slice(all, {first, 0}, {stop, width}), mx::float32);
    };
    add_rows(rows(x), rows(y), sums);
  }
  return sums;
}

double relative(const WeightSums& sums) {
  if (sums.difference == 0) {
    return 0;
  }
  return sums.a > 0 ? std::sqrt(sums.difference / sums.a)
                    : std::numeric_limits<double>::infinity();
}

double cosine(const WeightSums& sums) {
  if (sums.max_abs == 0) {
    return 1;
  }
  double norms = std::sqrt(sums.a) * std::sqrt(sums.b);
  return norms > 0 ? sums.product / norms : 0;
}

std::string stored_as(const nn::Location& location) {
  if (location.quantization) {
    return fmt::format("{} {} bit, group {}",
                       location.quantization->mode,
                       location.quantization->bits,
                       location.quantization->group_size);
  }
  if (location.source.encoding == nn::Encoding::mxfp4_blocks) {
    return "mxfp4 4 bit, group 32";
  }
  return std::string(name(location.tensors.front()->dtype));
}

class ParameterComparison {
 public:
  ParameterComparison(const Side& a, const Side& b, CompareReport& report)
      : a_(a.files, a.tree.config),
        b_(b.files, b.tree.config),
        report_(report) {}

  // Presence and shape; true if there are values on both sides to compare.
  bool compare_shapes(const nn::ParameterSpec* a, const nn::ParameterSpec* b) {
    auto in_a = a != nullptr ? a_.locate(*a) : std::nullopt;
    auto in_b = b != nullptr ? b_.locate(*b) : std::nullopt;
    if (in_a && in_b && a->shape() == b->shape()) {
      return true;
    }
    if (in_a || in_b) {
      ShapeDifference difference{(a != nullptr ? a : b)->name, {}, {}};
      if (in_a) {
        difference.a = a->shape();
      }
      if (in_b) {
        difference.b = b->shape();
      }
      report_.shapes.push_back(std::move(difference));
    }
    return false;
  }

  void compare_weights(const nn::ParameterSpec& a, const nn::ParameterSpec& b) {
    auto in_a = *a_.locate(a);
    auto in_b = *b_.locate(b);
    try {
      auto x = a_.read(a, in_a, {.keep_quantized = false});
      auto y = b_.read(b, in_b, {.keep_quantized = false});
      auto sums = compare_values(x.data, y.data);
      report_.weights.push_back({.name = a.name,
                                 .stored_a = stored_as(in_a),
                                 .stored_b = stored_as(in_b),
                                 .rms_relative = relative(sums),
                                 .max_abs = sums.max_abs,
                                 .cosine = cosine(sums)});
      report_.equal_weights += report_.weights.back().equal() ? 1 : 0;
    } catch (const Error& error) {
      report_.findings.push_back(error.finding());
    }
    a_.release(in_a);
    b_.release(in_b);
  }

 private:
  nn::WeightReader a_, b_;
  CompareReport& report_;
};

}  // namespace

void compare_parameters(const Side& a,
                        const Side& b,
                        bool weights,
                        const Progress& progress,
                        CompareReport& report) {
  std::map<std::string_view, const nn::ParameterSpec*> others;
  for (const auto& spec : b.tree.parameters) {
    others[spec.name] = &spec;
  }
  ParameterComparison comparison(a, b, report);
  uint64_t done = 0;
  for (const auto& spec : a.tree.parameters) {
    auto other = others.find(spec.name);
    const auto* match = other == others.end() ? nullptr : other->second;
    if (comparison.compare_shapes(&spec, match) && weights) {
      comparison.compare_weights(spec, *match);
    }
    if (match != nullptr) {
      others.erase(other);
    }
    ++done;
    if (progress && weights) {
      progress({spec.name, done, a.tree.parameters.size()});
    }
  }
  for (const auto& spec : b.tree.parameters) {
    if (others.contains(spec.name)) {
      comparison.compare_shapes(nullptr, &spec);
    }
  }
}

}  // namespace assay::comparison
