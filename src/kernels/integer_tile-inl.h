// Many rows of activations, held as 16-bit integers, by a panel of weights of 4
// or 8 bits that was widened to 16: a pair of products is one instruction, and
// the sums of a group meet their scale once. Activations and what is left out
// are integer-inl.h's, but for the middle of a weight, which is 2^(bits - 1)
// and taken off as the panel is filled. Included once for each instruction set
// (see integer_tile.cpp).

#if defined(ASSAY_KERNELS_INTEGER_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_INTEGER_TILE_INL_H_
#undef ASSAY_KERNELS_INTEGER_TILE_INL_H_
#else
#define ASSAY_KERNELS_INTEGER_TILE_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include <hwy/highway.h>

#include "assay/kernels/integer-inl.h"

// The sets that have it.
#undef ASSAY_INTEGER_TILE
#if HWY_TARGET == HWY_AVX3 || HWY_TARGET == HWY_AVX2
#define ASSAY_INTEGER_TILE 1
#else
#define ASSAY_INTEGER_TILE 0
#endif

#if ASSAY_INTEGER_TILE

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

using VI = hn::Vec<DI>;

// A tile is kIntegerRows rows of activations by a strip of weight rows, which
// stand in lanes: as many sums as registers hold.
constexpr size_t kIntegerRows = 6;
#if HWY_TARGET == HWY_AVX3
constexpr size_t kStripVectors = 4;
#else
constexpr size_t kStripVectors = 2;
#endif
constexpr size_t kStripRows = kStripVectors * kLanes;
// Most columns taken at a time, so that a strip of them stays in the first
// cache while all activations meet it; at least a group.
constexpr size_t kIntegerDepth = 192;
// Bytes of a panel: half of a common second-level cache.
constexpr size_t kIntegerPanelBytes = size_t{1} << 19;

// ------------------------------------------------------------ activations

inline void PackColumns(const Matrix& w, const float* x, const IntegerRow& to) {
  const auto group = static_cast<size_t>(w.group);
  auto* values = reinterpret_cast<int16_t*>(to.values);
  for (size_t g = 0; g < w.groups(); ++g) {
    const auto [step, sum, rest] =
        QuantizeGroup(x + g * group, group, values + g * group);
    // What has no integers must not become zeros.
    to.steps[g] =
        std::isfinite(rest) ? step : std::numeric_limits<float>::quiet_NaN();
    to.sums[g] = sum;
  }
}

// ------------------------------------------------------------ weights

// Columns [k, k + 32) of a row of kBits, less their middle.
template <int kBits>
HWY_INLINE void WidenSome(const uint8_t* row, size_t k, int16_t* to) {
  const hn::FixedTag<uint8_t, 16> bytes;
  const hn::FixedTag<int16_t, 16> wide;
  const auto middle = hn::Set(wide, int16_t{1} << (kBits - 1));
  auto store = [&](auto v, size_t at) {
    hn::StoreU(hn::Sub(hn::PromoteTo(wide, v), middle), wide, to + k + at);
  };
  if constexpr (kBits == 8) {
    store(hn::LoadU(bytes, row + k), 0);
    store(hn::LoadU(bytes, row + k + 16), 16);
  } else {
    static_assert(kBits == 4);
    const hn::Repartition<uint16_t, decltype(bytes)> halves;
    const auto mask = hn::Set(bytes, uint8_t{15});
    const auto v = hn::LoadU(bytes, row + k / 2);
    const auto shifted = hn::ShiftRight<4>(hn::BitCast(halves, v));
    const auto even = hn::And(v, mask);
    const auto odd = hn::And(hn::BitCast(bytes, shifted), mask);
    store(hn::InterleaveLower(bytes, even, odd), 0);
    store(hn::InterleaveUpper(bytes, even, odd), 16);
  }
}

// `rows` weight rows, in strips of kStripRows and a last one of as many vectors
// as are left. All is padded with zeros to whole vectors.
struct IntegerPanel {
  float* pairs;    // of columns, bits of two int16: [columns / 2][rows] a strip
  float* scales;   // [groups][rows] a strip
  float* offsets;  // of a sum of activations: bias + middle * scale
  size_t columns;
  size_t groups;
  size_t group;
  size_t rows;   // valid
  size_t first;  // row of the weight

  size_t padded() const { return RoundUp(rows, kLanes); }
  // Rows of the strip that row n lies in.
  size_t width(size_t n) const {
    return std::min(kStripRows, padded() - n / kStripRows * kStripRows);
  }
  // Where row n of its strip stands in an array of `depth` values a row.
  size_t at(size_t n, size_t depth) const {
    return n / kStripRows * kStripRows * depth + n % kStripRows;
  }
};

// kLanes rows of `depth` floats, `stride` apart, into the strip of row n.
inline void TurnInto(const IntegerPanel& panel,
                     const float* from,
                     size_t stride,
                     size_t depth,
                     size_t n,
                     float* to) {
  const size_t width = panel.width(n);
  float* strip = to + panel.at(n, depth);
  const size_t whole = depth / 4 * 4;
  for (size_t r = 0; r < kLanes; r += 4) {
    TurnFour(from + r * stride, stride, whole, strip + r, width);
  }
  for (size_t k = whole; k < depth; ++k) {
    for (size_t r = 0; r < kLanes; ++r) {
      strip[k * width + r] = from[r * stride + k];
    }
  }
}

template <int kBits>
void FillPanel(const Matrix& w, const IntegerPanel& panel) {
  const size_t pairs = panel.columns / 2;
  constexpr auto kMiddle = static_cast<float>(1 << (kBits - 1));
  float* some = scratch().decoded.floats(kLanes * pairs);
  for (size_t n = 0; n < panel.rows; n += kLanes) {
    const size_t rows = std::min<size_t>(kLanes, panel.rows - n);
    for (size_t r = 0; r < rows; ++r) {
      const auto* row = reinterpret_cast<const uint8_t*>(
          w.data + (panel.first + n + r) * w.row_bytes());
      auto* to = reinterpret_cast<int16_t*>(some + r * pairs);
      for (size_t k = 0; k < panel.columns; k += 32) {
        WidenSome<kBits>(row, k, to);
      }
    }
    std::fill(some + rows * pairs, some + kLanes * pairs, 0.0f);
    TurnInto(panel, some, pairs, pairs, n, panel.pairs);

    const auto scales =
        LoadRowScales<AffineWords<kBits>, false>(w, panel.first + n, rows);
    const size_t stride = scales.stride;
    float* turned = scratch().rows.floats(2 * kLanes * stride);
    std::fill(turned, turned + 2 * kLanes * stride, 0.0f);
    for (size_t i = 0; i < rows * stride; ++i) {
      turned[i] = scales.scales[i];
      turned[kLanes * stride + i] =
          scales.biases[i] + kMiddle * scales.scales[i];
    }
    TurnInto(panel, turned, stride, panel.groups, n, panel.scales);
    TurnInto(panel,
             turned + kLanes * stride,
             stride,
             panel.groups,
             n,
             panel.offsets);
  }
}

// ------------------------------------------------------------ products

// sum + w0 x0 + w1 x1 in each lane. Highway's AVX-512 ends before VNNI, and its
// set with it differs by version: the one instruction is named here. Whoever
// takes these kernels has looked at the processor.
HWY_INLINE VI AddPairs(VI sum, VI w, VI x) {
#if HWY_TARGET == HWY_AVX3
  asm("vpdpwssd %2, %1, %0" : "+v"(sum.raw) : "v"(w.raw), "v"(x.raw));
  return sum;
#else
  return hn::Add(sum, VI{_mm256_madd_epi16(w.raw, x.raw)});
#endif
}

// Activations of a tile: the first `valid` count, the last stands for those
// that are missing.
struct IntegerTileRows {
  const int16_t* values[kIntegerRows];
  const float* steps[kIntegerRows];
  const float* sums[kIntegerRows];
  float* out[kIntegerRows];
  size_t valid;
};

// Columns of a group by a strip of kVectors, to `whole`: [rows][lanes]. Through
// memory, or compilers would keep the sums there all the time.
template <size_t kVectors>
HWY_INLINE void MultiplyGroup(const IntegerTileRows& x,
                              const float* pairs,
                              size_t column,
                              size_t group,
                              int32_t* whole) {
  const DI di;
  VI sum[kIntegerRows][kVectors];
  for (size_t m = 0; m < kIntegerRows; ++m) {
    for (size_t c = 0; c < kVectors; ++c) {
      sum[m][c] = hn::Zero(di);
    }
  }
  const float* w = pairs + column / 2 * kVectors * kLanes;
  for (size_t k = column; k < column + group; k += 2) {
    VI v[kVectors];
    for (size_t c = 0; c < kVectors; ++c) {
      v[c] = hn::BitCast(di, hn::Load(DF(), w + c * kLanes));
    }
    w += kVectors * kLanes;
    for (size_t m = 0; m < kIntegerRows; ++m) {
      int32_t pair;
      std::memcpy(&pair, x.values[m] + k, sizeof(pair));
      const auto xm = hn::Set(di, pair);
      for (size_t c = 0; c < kVectors; ++c) {
        sum[m][c] = AddPairs(sum[m][c], v[c], xm);
      }
    }
  }
  for (size_t m = 0; m < kIntegerRows; ++m) {
    for (size_t c = 0; c < kVectors; ++c) {
      hn::Store(sum[m][c], di, whole + (m * kVectors + c) * kLanes);
    }
  }
}

// Groups [begin, end) of a tile, from row n of the panel on. kSymmetric:
// offsets are zero.
template <size_t kVectors, bool kSymmetric>
HWY_INLINE void IntegerTile(const IntegerTileRows& x,
                            const IntegerPanel& panel,
                            size_t n,
                            size_t begin,
                            size_t end) {
  const DF df;
  constexpr size_t kWidth = kVectors * kLanes;
  const float* pairs = panel.pairs + n * (panel.columns / 2);
  const float* scales = panel.scales + n * panel.groups;
  const float* offsets = panel.offsets + n * panel.groups;
  alignas(64) int32_t whole[kIntegerRows][kWidth];
  alignas(64) float sums[kIntegerRows][kWidth] = {};
  for (size_t g = begin; g < end; ++g) {
    MultiplyGroup<kVectors>(x, pairs, g * panel.group, panel.group, whole[0]);
    for (size_t m = 0; m < kIntegerRows; ++m) {
      const auto step = hn::Set(df, x.steps[m][g]);
      const auto of_x = hn::Set(df, x.sums[m][g]);
      for (size_t c = 0; c < kVectors; ++c) {
        const size_t at = g * kWidth + c * kLanes;
        auto sum = hn::Load(df, sums[m] + c * kLanes);
        const auto product = hn::Mul(
            hn::ConvertTo(df, hn::Load(DI(), whole[m] + c * kLanes)), step);
        sum = hn::MulAdd(product, hn::Load(df, scales + at), sum);
        if constexpr (!kSymmetric) {
          sum = hn::MulAdd(of_x, hn::Load(df, offsets + at), sum);
        }
        hn::Store(sum, df, sums[m] + c * kLanes);
      }
    }
  }
  const size_t valid = std::min(kWidth, panel.rows - n);
  for (size_t m = 0; m < x.valid; ++m) {
    float* out = x.out[m] + panel.first + n;
    for (size_t i = 0; i < valid; ++i) {
      out[i] = begin == 0 ? sums[m][i] : out[i] + sums[m][i];
    }
  }
}

template <bool kSymmetric, size_t kVectors = kStripVectors>
void IntegerStrip(size_t width,
                  std::span<const IntegerTileRows> tiles,
                  const IntegerPanel& panel,
                  size_t n,
                  size_t begin,
                  size_t end) {
  if (width == kVectors * kLanes) {
    for (const auto& tile : tiles) {
      IntegerTile<kVectors, kSymmetric>(tile, panel, n, begin, end);
    }
  } else if constexpr (kVectors > 1) {
    IntegerStrip<kSymmetric, kVectors - 1>(width, tiles, panel, n, begin, end);
  }
}

template <bool kSymmetric>
void MultiplyIntegerPanel(std::span<const IntegerTileRows> tiles,
                          const IntegerPanel& panel) {
  const size_t depth = std::max<size_t>(1, kIntegerDepth / panel.group);
  for (size_t n = 0; n < panel.rows; n += kStripRows) {
    for (size_t g = 0; g < panel.groups; g += depth) {
      IntegerStrip<kSymmetric>(panel.width(n),
                               tiles,
                               panel,
                               n,
                               g,
                               std::min(panel.groups, g + depth));
    }
  }
}

inline std::vector<IntegerTileRows> TileRowsOf(std::span<const IntegerRow> x,
                                               std::span<float* const> out) {
  std::vector<IntegerTileRows> tiles;
  for (size_t m = 0; m < x.size(); m += kIntegerRows) {
    auto& tile = tiles.emplace_back();
    tile.valid = std::min(kIntegerRows, x.size() - m);
    for (size_t i = 0; i < kIntegerRows; ++i) {
      const size_t row = std::min(m + i, x.size() - 1);
      tile.values[i] = reinterpret_cast<const int16_t*>(x[row].values);
      tile.steps[i] = x[row].steps;
      tile.sums[i] = x[row].sums;
      tile.out[i] = out[row];
    }
  }
  return tiles;
}

template <int kBits>
void MultiplyManyIntegers(const Matrix& w,
                          std::span<const IntegerRow> x,
                          std::span<float* const> out,
                          size_t begin,
                          size_t end) {
  const auto tiles = TileRowsOf(x, out);
  const size_t groups = w.groups();
  const size_t floats = w.columns / 2 + 2 * groups;  // a row
  const size_t most = std::max(
      kStripRows,
      kIntegerPanelBytes / (floats * sizeof(float)) / kStripRows * kStripRows);
  for (size_t n = begin; n < end; n += most) {
    const size_t rows = std::min(most, end - n);
    const size_t padded = RoundUp(rows, kLanes);
    float* memory = scratch().panel.floats(padded * floats);
    float* scales = memory + padded * (w.columns / 2);
    const IntegerPanel panel{memory,
                             scales,
                             scales + padded * groups,
                             w.columns,
                             groups,
                             static_cast<size_t>(w.group),
                             rows,
                             n};
    FillPanel<kBits>(w, panel);
    if (w.symmetric) {
      MultiplyIntegerPanel<true>(tiles, panel);
    } else {
      MultiplyIntegerPanel<false>(tiles, panel);
    }
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // ASSAY_INTEGER_TILE

#endif
