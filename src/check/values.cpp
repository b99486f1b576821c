#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "assay/check/rules.h"
#include "assay/formats/ggml.h"
#include "assay/kernels/pool.h"

namespace assay::rules {
namespace {

constexpr size_t kPiece = 1 << 16;  // elements; whole blocks of every type
constexpr double kOutlier = 500;    // times the root mean square
constexpr uint64_t kManyValues = 4096;

struct Statistics {
  uint64_t count = 0, not_finite = 0;
  uint64_t first_bad = std::numeric_limits<uint64_t>::max();
  float low = std::numeric_limits<float>::infinity();
  float high = -std::numeric_limits<float>::infinity();
  double squares = 0;

  void add(std::span<const float> values, uint64_t offset) {
    float sum = 0;
    for (size_t i = 0; i < values.size(); ++i) {
      float value = values[i];
      if (!std::isfinite(value)) {
        ++not_finite;
        first_bad = std::min(first_bad, offset + i);
        continue;
      }
      low = std::min(low, value);
      high = std::max(high, value);
      sum += value * value;
    }
    // Squares that overflow float32 are those of outliers: taken apart.
    squares += std::isfinite(sum) ? static_cast<double>(sum)
                                  : std::numeric_limits<float>::max();
    count += values.size();
  }

  void add(const Statistics& other) {
    count += other.count;
    not_finite += other.not_finite;
    first_bad = std::min(first_bad, other.first_bad);
    low = std::min(low, other.low);
    high = std::max(high, other.high);
    squares += other.squares;
  }

  double rms() const {
    return std::sqrt(squares /
                     static_cast<double>(std::max<uint64_t>(1, count)));
  }
};

bool is_readable(const ModelFiles& model, DType dtype) {
  switch (dtype) {
    case DType::f6_e2m3:
    case DType::f6_e3m2:
    case DType::c64:
    case DType::f8_e8m0:
      return false;
    default:
      return (is_floating(dtype) || is_block_quantized(dtype)) &&
             !model.big_endian;
  }
}

Statistics scan(const TensorInfo& tensor, std::span<const std::byte> bytes) {
  auto count = static_cast<size_t>(element_count(tensor.shape).value_or(0));
  const auto& block = info(tensor.dtype);
  size_t pieces = (count + kPiece - 1) / kPiece;
  std::vector<Statistics> parts(pieces);
  kernels::parallel_for(pieces, [&](size_t i) {
    size_t first = i * kPiece;
    size_t length = std::min(kPiece, count - first);
    std::vector<float> values(length);
    ggml::dequantize(tensor.dtype,
                     bytes.subspan(first / block.elements * block.bytes,
                                   length / block.elements * block.bytes),
                     values);
    parts[i].add(values, first);
  });
  Statistics all;
  for (const auto& part : parts) {
    all.add(part);
  }
  return all;
}

void judge(Findings& findings,
           const TensorInfo& tensor,
           const Statistics& statistics) {
  auto report = [&](const char* id, std::string expected, std::string actual) {
    findings.push_back(
        make_finding(id, tensor.name, std::move(expected), std::move(actual)));
  };
  if (statistics.not_finite > 0) {
    report("tensor.not-finite",
           "finite values",
           fmt::format("{} of {} are not, the first at index {}",
                       statistics.not_finite,
                       statistics.count,
                       statistics.first_bad));
    return;
  }
  constexpr double kMaxFloat16 = 65504;
  double extreme =
      std::max(std::abs(statistics.low), std::abs(statistics.high));
  if (statistics.count > 0 && extreme > kMaxFloat16) {
    report("dtype.float16-overflow",
           fmt::format("at most {}, which float16 ends with", kMaxFloat16),
           fmt::format("{:.6g}", extreme));
  }
  // Vectors (biases, norms) may well be all zero or one.
  if (tensor.shape.size() < 2 || statistics.count < 2) {
    return;
  }
  double largest =
      std::max(std::abs(statistics.low), std::abs(statistics.high));
  if (largest == 0) {
    report(
        "tensor.all-zero", "values", fmt::format("{} zeros", statistics.count));
  } else if (statistics.low == statistics.high) {
    report("tensor.constant",
           "different values",
           fmt::format("{} times {}", statistics.count, statistics.low));
  } else if (statistics.count >= kManyValues &&
             largest > kOutlier * statistics.rms()) {
    report("tensor.outliers",
           fmt::format("at most {} times the root mean square, {:.3g}",
                       kOutlier,
                       statistics.rms()),
           fmt::format("{:.3g}", largest));
  }
}

void compare_heads(Findings& findings,
                   const Declared& declared,
                   TensorData& data) {
  for (const auto* copy : head_copies(declared)) {
    auto embedding =
        std::ranges::find_if(declared.matches, [](const Match& match) {
          return match.spec->role() == nn::Role::embedding;
        });
    const auto& tied = *embedding->location.tensors.front();
    auto a = data.bytes(tied);
    auto b = data.bytes(*copy);
    bool same = tied.dtype == copy->dtype && a.size() == b.size() &&
                std::memcmp(a.data(), b.data(), a.size()) == 0;
    if (!same) {
      findings.push_back(
          make_finding("head.tied-differs",
                       copy->name,
                       fmt::format("the values of {}", tied.name),
                       "other values"));
    }
  }
}

}  // namespace

Findings values(const ModelFiles& model,
                const Declared* declared,
                const Progress& progress) {
  Findings findings;
  auto data = TensorData(model);
  uint64_t done = 0, total = 0;
  for (const auto& tensor : model.tensors) {
    total += tensor.bytes;
  }
  for (const auto& tensor : model.tensors) {
    if (is_readable(model, tensor.dtype)) {
      judge(findings, tensor, scan(tensor, data.bytes(tensor)));
      data.release(tensor);
    }
    done += tensor.bytes;
    if (progress) {
      progress({tensor.name, done, total});
    }
  }
  if (declared != nullptr) {
    compare_heads(findings, *declared, data);
  }
  return shorten(std::move(findings));
}

}  // namespace assay::rules
