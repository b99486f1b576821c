#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <unordered_map>

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
  /** Zeros in one run: at the start, at the end, the longest of all. */
  uint64_t leading = 0, trailing = 0, longest = 0;

  void count_zeros(std::span<const float> values) {
    uint64_t run = 0;
    bool all = true;
    for (float value : values) {
      run = value == 0 ? run + 1 : 0;
      longest = std::max(longest, run);
      all = all && value == 0;
      leading += all ? 1 : 0;
    }
    trailing = run;
  }

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
    count_zeros(values);
  }

  void add(const Statistics& other) {
    longest = std::max({longest, other.longest, trailing + other.leading});
    leading += leading == count ? other.leading : 0;
    trailing =
        other.trailing == other.count ? trailing + other.count : other.trailing;
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
           const Statistics& statistics,
           bool may_have_zeros) {
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
  } else if (!may_have_zeros && 4 * statistics.longest >= statistics.count) {
    report("tensor.zero-rows",
           "values throughout",
           fmt::format("{} zeros in one run, of {}",
                       statistics.longest,
                       statistics.count));
  } else if (statistics.count >= kManyValues &&
             largest > kOutlier * statistics.rms()) {
    report("tensor.outliers",
           fmt::format("at most {} times the root mean square, {:.3g}",
                       kOutlier,
                       statistics.rms()),
           fmt::format("{:.3g}", largest));
  }
}

// Rows of tokens that nobody uses may well be zero, and so may what no module
// tree tells the role of.
bool is_table(const TensorInfo& tensor, const Declared* declared) {
  if (declared == nullptr) {
    return true;
  }
  return std::ranges::none_of(declared->matches, [&](const Match& match) {
    auto role = match.spec->role();
    const auto& sources = match.location.tensors;
    return !sources.empty() && sources.front() == &tensor &&
           (role == nn::Role::attention || role == nn::Role::mlp) &&
           match.location.scales == nullptr;
  });
}

// "blk.*.x" for "blk.3.x"; empty where it is of no layer.
std::string name_in_layers(const TensorInfo& tensor) {
  auto layer = layer_of(tensor.name);
  auto number = layer ? fmt::format(".{}.", *layer) : "";
  auto at = layer ? tensor.name.find(number) : std::string::npos;
  auto name = at == std::string::npos ? "" : tensor.name;
  return name.empty() ? name : name.replace(at, number.size(), ".*.");
}

/** The same matrix in two layers: one was copied over another. */
class Repeats {
 public:
  // Masks are of more dimensions; heads that repeat embeddings of no layer.
  void look(const TensorInfo& tensor,
            const Statistics& statistics,
            std::span<const std::byte> bytes) {
    constexpr size_t kSmall = 1024;
    auto name = name_in_layers(tensor);
    bool matrix = tensor.shape.size() == 2 && !name.empty();
    if (!matrix || bytes.size() < kSmall || statistics.low == statistics.high) {
      return;
    }
    auto [entry, fresh] =
        seen_.try_emplace(sum(bytes) ^ std::hash<std::string>()(name),
                          std::pair(&tensor, bytes.size()));
    if (!fresh && entry->second.second == bytes.size()) {
      pairs_.emplace_back(entry->second.first, &tensor);
    }
  }

  void report(Findings& findings, TensorData& data) const {
    for (const auto& [first, second] : pairs_) {
      auto a = data.bytes(*first);
      auto b = data.bytes(*second);
      if (std::ranges::equal(a, b)) {
        findings.push_back(
            make_finding("tensor.repeated",
                         second->name,
                         "values of its own",
                         fmt::format("those of {}", first->name)));
      }
    }
  }

 private:
  // Of the ends alone: equality is settled byte by byte.
  static size_t sum(std::span<const std::byte> bytes) {
    constexpr size_t kEnd = 4096;
    auto text = std::string_view(reinterpret_cast<const char*>(bytes.data()),
                                 bytes.size());
    auto hash = std::hash<std::string_view>();
    auto end = std::min(kEnd, bytes.size());
    return hash(text.substr(0, end)) ^
           (hash(text.substr(text.size() - end)) * 31);
  }

  std::unordered_map<size_t, std::pair<const TensorInfo*, size_t>> seen_;
  std::vector<std::pair<const TensorInfo*, const TensorInfo*>> pairs_;
};

/** Vectors that are all zero: wrong where the same of other layers is not.
 * Biases may be. */
class ZeroVectors {
 public:
  void look(const TensorInfo& tensor, const Statistics& statistics) {
    auto name = name_in_layers(tensor);
    if (tensor.shape.size() != 1 || name.empty() || statistics.count == 0 ||
        name.ends_with("bias")) {
      return;
    }
    auto& kind = kinds_[name];
    ++kind.all;
    if (statistics.low == 0 && statistics.high == 0 &&
        statistics.not_finite == 0) {
      kind.zero.push_back(&tensor);
    }
  }

  void report(Findings& findings) const {
    for (const auto& [name, kind] : kinds_) {
      for (const auto* tensor : kind.zero) {
        if (kind.zero.size() < kind.all) {
          findings.push_back(
              make_finding("tensor.all-zero",
                           tensor->name,
                           "values, as other layers have",
                           fmt::format("{} zeros", tensor->shape.front())));
        }
      }
    }
  }

 private:
  struct Kind {
    size_t all = 0;
    std::vector<const TensorInfo*> zero;
  };
  std::map<std::string, Kind> kinds_;
};

// Up to `most` bytes of each.
void compare_heads(Findings& findings,
                   const Declared& declared,
                   TensorData& data,
                   size_t most) {
  for (const auto* copy : head_copies(declared)) {
    auto embedding =
        std::ranges::find_if(declared.matches, [](const Match& match) {
          return match.spec->role() == nn::Role::embedding;
        });
    const auto& tied = *embedding->location.tensors.front();
    auto a = data.bytes(tied);
    auto b = data.bytes(*copy);
    bool same = tied.dtype == copy->dtype && a.size() == b.size() &&
                std::memcmp(a.data(), b.data(), std::min(a.size(), most)) == 0;
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

Findings tied_heads(const ModelFiles& model, const Declared& declared) {
  constexpr size_t kSample = 64 << 10;
  Findings findings;
  auto data = TensorData(model);
  compare_heads(findings, declared, data, kSample);
  return findings;
}

Findings values(const ModelFiles& model,
                const Declared* declared,
                const Progress& progress) {
  Findings findings;
  auto data = TensorData(model);
  Repeats repeats;
  ZeroVectors vectors;
  uint64_t done = 0, total = 0;
  for (const auto& tensor : model.tensors) {
    total += tensor.bytes;
  }
  for (const auto& tensor : model.tensors) {
    if (is_readable(model, tensor.dtype)) {
      auto bytes = data.bytes(tensor);
      auto statistics = scan(tensor, bytes);
      judge(findings, tensor, statistics, is_table(tensor, declared));
      repeats.look(tensor, statistics, bytes);
      vectors.look(tensor, statistics);
      data.release(tensor);
    }
    done += tensor.bytes;
    if (progress) {
      progress({tensor.name, done, total});
    }
  }
  repeats.report(findings, data);
  vectors.report(findings);
  if (declared != nullptr) {
    compare_heads(findings, *declared, data, SIZE_MAX);
  }
  return shorten(std::move(findings));
}

}  // namespace assay::rules
