// Many rows of activations by a decoded panel of weights. Included once for
// each instruction set (see simd.cpp).

#if defined(ASSAY_KERNELS_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_TILE_INL_H_
#undef ASSAY_KERNELS_TILE_INL_H_
#else
#define ASSAY_KERNELS_TILE_INL_H_
#endif

#include <algorithm>
#include <span>

#include <hwy/highway.h>

#include "assay/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

// A tile is kTileRows rows of activations by kTileColumns rows of weights: as
// many sums as registers hold beside the operands (32 with AVX-512 and NEON,
// 16 before).
constexpr int kTileColumns = 4;
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr int kTileRows = 6;
#else
constexpr int kTileRows = 3;
#endif
// Most columns taken at a time, so that a tile's operands fit the first cache.
constexpr size_t kDepth = 640;
// Bytes of a decoded panel: half of a common second-level cache.
constexpr size_t kPanelBytes = size_t{1} << 19;

struct Panel {
  const float* weights;
  size_t stride;
  size_t rows;   // valid; the memory holds a multiple of kTileColumns
  size_t first;  // row of the weight
};

template <int M>
HWY_INLINE void Tile(const PackedRow* x,
                     const Panel& panel,
                     size_t n,
                     size_t begin,
                     size_t end) {
  const DF df;
  const float* w = panel.weights + n * panel.stride;
  const float* w0 = w;
  const float* w1 = w + panel.stride;
  const float* w2 = w + 2 * panel.stride;
  const float* w3 = w + 3 * panel.stride;
  const float* rows[M];
  VF sum[M][kTileColumns];
  for (int m = 0; m < M; ++m) {
    rows[m] = x[m].values;
    for (int c = 0; c < kTileColumns; ++c) {
      sum[m][c] = hn::Zero(df);
    }
  }
  for (size_t k = begin; k < end; k += kLanes) {
    const auto v0 = hn::Load(df, w0 + k);
    const auto v1 = hn::Load(df, w1 + k);
    const auto v2 = hn::Load(df, w2 + k);
    const auto v3 = hn::Load(df, w3 + k);
    for (int m = 0; m < M; ++m) {
      const auto xm = hn::Load(df, rows[m] + k);
      sum[m][0] = hn::MulAdd(xm, v0, sum[m][0]);
      sum[m][1] = hn::MulAdd(xm, v1, sum[m][1]);
      sum[m][2] = hn::MulAdd(xm, v2, sum[m][2]);
      sum[m][3] = hn::MulAdd(xm, v3, sum[m][3]);
    }
  }
  const size_t valid = std::min<size_t>(kTileColumns, panel.rows - n);
  for (int m = 0; m < M; ++m) {
    float sums[kTileColumns];
    StoreSums(sum[m], sums);
    float* out = x[m].out + panel.first + n;
    for (size_t c = 0; c < valid; ++c) {
      out[c] = begin == 0 ? sums[c] : out[c] + sums[c];
    }
  }
}

template <int M>
void TileColumn(const PackedRow* x,
                const Panel& panel,
                size_t begin,
                size_t end) {
  for (size_t n = 0; n < panel.rows; n += kTileColumns) {
    Tile<M>(x, panel, n, begin, end);
  }
}

// TileColumn of fewer rows than a tile has.
template <int M = kTileRows - 1>
void TileRest(std::span<const PackedRow> x,
              const Panel& panel,
              size_t begin,
              size_t end) {
  if (x.size() == size_t{M}) {
    TileColumn<M>(x.data(), panel, begin, end);
  } else if constexpr (M > 1) {
    TileRest<M - 1>(x, panel, begin, end);
  }
}

// Calls f(begin, end) for the columns, no more than kDepth at a time.
template <class Function>
HWY_INLINE void ForPieces(size_t columns, const Function& f) {
  const size_t pieces = (columns + kDepth - 1) / kDepth;
  const size_t depth = RoundUp((columns + pieces - 1) / pieces, kLanes);
  for (size_t k = 0; k < columns; k += depth) {
    f(k, std::min(columns, k + depth));
  }
}

inline void MultiplyPanel(std::span<const PackedRow> x, const Panel& panel) {
  ForPieces(panel.stride, [&](size_t begin, size_t end) {
    size_t m = 0;
    for (; m + kTileRows <= x.size(); m += kTileRows) {
      TileColumn<kTileRows>(x.data() + m, panel, begin, end);
    }
    TileRest(x.subspan(m), panel, begin, end);
  });
}

// ------------------------------------------------------------ turned panels

#if HWY_TARGET != HWY_SCALAR

// Many rows of activations repay that the panel is turned: its weight rows then
// stand in lanes, and no sum has to be added up across them at the end.
constexpr size_t kRowsToTurn = 32;
constexpr size_t kTurnedRows = 6;  // of activations in a tile
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
constexpr size_t kTurnedVectors = 4;
#else
constexpr size_t kTurnedVectors = 2;
#endif

// `rows` weight rows of a panel, in strips of kTurnedVectors vectors and a last
// one of as many as are left: each strip is [columns][rows].
struct TurnedPanel {
  const float* weights;
  size_t columns;
  size_t rows;   // valid; the memory holds a multiple of kLanes
  size_t first;  // row of the weight
};

// Decodes `count` rows from `first` on, in strips as TurnedPanel says.
template <class F>
void DecodeTurned(const Matrix& w, size_t first, size_t count, float* panel) {
  constexpr size_t kStrip = kTurnedVectors * kLanes;
  constexpr size_t kRows = kLanes;  // decoded at a time
  const size_t stride = PaddedColumns<F>(w);
  float* some = scratch().decoded.floats(kRows * stride);
  for (size_t n = 0; n < count; n += kRows) {
    const size_t rows = std::min(kRows, count - n);
    DecodeRows<F>(w, first + n, rows, some);
    std::fill(some + rows * stride, some + kRows * stride, 0.0f);
    const size_t strip = n / kStrip * kStrip;
    const size_t width = std::min(kStrip, RoundUp(count, kLanes) - strip);
    float* to = panel + strip * stride + (n - strip);
    for (size_t r = 0; r < kRows; r += 4) {
      TurnFour(some + r * stride, stride, stride, to + r, width);
    }
  }
}

// Writes the first `count` lanes, or adds them to what is there.
template <size_t kVectors>
HWY_INLINE void AddTo(float* out,
                      size_t count,
                      bool add,
                      const VF (&sum)[kVectors]) {
  const DF df;
  for (size_t c = 0; c < kVectors; ++c) {
    const size_t at = c * kLanes;
    if (at + kLanes <= count) {
      const auto before = add ? hn::LoadU(df, out + at) : hn::Zero(df);
      hn::StoreU(hn::Add(before, sum[c]), df, out + at);
    } else {
      alignas(64) float rest[kLanes];
      hn::Store(sum[c], df, rest);
      for (size_t i = 0; at + i < count; ++i) {
        out[at + i] = add ? out[at + i] + rest[i] : rest[i];
      }
    }
  }
}

// The first `valid` rows of x, of whose last there are as many as are missing.
template <size_t kVectors>
HWY_INLINE void TurnedTile(const PackedRow* const (&x)[kTurnedRows],
                           size_t valid,
                           const TurnedPanel& panel,
                           size_t n,
                           size_t begin,
                           size_t end) {
  const DF df;
  const float* w = panel.weights + n * panel.columns;
  const float* values[kTurnedRows];
  VF sum[kTurnedRows][kVectors];
  for (size_t m = 0; m < kTurnedRows; ++m) {
    values[m] = x[m]->values;
    for (size_t c = 0; c < kVectors; ++c) {
      sum[m][c] = hn::Zero(df);
    }
  }
  for (size_t k = begin; k < end; ++k) {
    VF v[kVectors];
    for (size_t c = 0; c < kVectors; ++c) {
      v[c] = hn::Load(df, w + (k * kVectors + c) * kLanes);
    }
    for (size_t m = 0; m < kTurnedRows; ++m) {
      const auto xm = hn::Set(df, values[m][k]);
      for (size_t c = 0; c < kVectors; ++c) {
        sum[m][c] = hn::MulAdd(xm, v[c], sum[m][c]);
      }
    }
  }
  for (size_t m = 0; m < valid; ++m) {
    float* out = x[m]->out + panel.first + n;
    for (size_t c = 0; c < kVectors; ++c) {
      const size_t at = c * kLanes;
      if (n + at + kLanes <= panel.rows) {
        const auto before = begin == 0 ? hn::Zero(df) : hn::LoadU(df, out + at);
        hn::StoreU(hn::Add(before, sum[m][c]), df, out + at);
        continue;
      }
      alignas(64) float rest[kLanes];
      hn::Store(sum[m][c], df, rest);
      for (size_t i = 0; n + at + i < panel.rows; ++i) {
        out[at + i] = begin == 0 ? rest[i] : out[at + i] + rest[i];
      }
    }
  }
}

// TurnedTile of the last strip, of `vectors`.
template <size_t kVectors = kTurnedVectors - 1>
HWY_INLINE void TurnedRest(size_t vectors,
                           const PackedRow* const (&x)[kTurnedRows],
                           size_t valid,
                           const TurnedPanel& panel,
                           size_t n,
                           size_t begin,
                           size_t end) {
  if (vectors == kVectors) {
    TurnedTile<kVectors>(x, valid, panel, n, begin, end);
  } else if constexpr (kVectors > 1) {
    TurnedRest<kVectors - 1>(vectors, x, valid, panel, n, begin, end);
  }
}

inline void MultiplyTurned(std::span<const PackedRow> x,
                           const TurnedPanel& panel) {
  constexpr size_t kStrip = kTurnedVectors * kLanes;
  const size_t padded = RoundUp(panel.rows, kLanes);
  const size_t whole = padded / kStrip * kStrip;
  ForPieces(panel.columns, [&](size_t begin, size_t end) {
    for (size_t m = 0; m < x.size(); m += kTurnedRows) {
      const PackedRow* rows[kTurnedRows];
      for (size_t i = 0; i < kTurnedRows; ++i) {
        rows[i] = &x[std::min(m + i, x.size() - 1)];
      }
      const size_t valid = std::min(kTurnedRows, x.size() - m);
      for (size_t n = 0; n < whole; n += kStrip) {
        TurnedTile<kTurnedVectors>(rows, valid, panel, n, begin, end);
      }
      TurnedRest(
          (padded - whole) / kLanes, rows, valid, panel, whole, begin, end);
    }
  });
}

template <class F>
void MultiplyManyTurned(const Matrix& w,
                        std::span<const PackedRow> x,
                        size_t begin,
                        size_t end) {
  constexpr size_t kStrip = kTurnedVectors * kLanes;
  const size_t stride = PaddedColumns<F>(w);
  const size_t most = std::max<size_t>(
      kStrip, kPanelBytes / (stride * sizeof(float)) / kStrip * kStrip);
  for (size_t n = begin; n < end; n += most) {
    const size_t rows = std::min(most, end - n);
    float* panel = scratch().panel.floats(RoundUp(rows, kLanes) * stride);
    DecodeTurned<F>(w, n, rows, panel);
    MultiplyTurned(x, {panel, stride, rows, n});
  }
}

#endif  // HWY_SCALAR

// ------------------------------------------------------------ any number

template <class F>
void MultiplyMany(const Matrix& w,
                  std::span<const PackedRow> x,
                  size_t begin,
                  size_t end) {
#if HWY_TARGET != HWY_SCALAR
  if (x.size() >= kRowsToTurn) {
    return MultiplyManyTurned<F>(w, x, begin, end);
  }
#endif
  const size_t stride = PaddedColumns<F>(w);
  const size_t most = std::max<size_t>(
      kTileColumns,
      kPanelBytes / (stride * sizeof(float)) / kTileColumns * kTileColumns);
  for (size_t n = begin; n < end; n += most) {
    const size_t rows = std::min(most, end - n);
    const size_t padded = RoundUp(rows, kTileColumns);
    float* panel = scratch().panel.floats(padded * stride);
    DecodeRows<F>(w, n, rows, panel);
    std::fill(panel + rows * stride, panel + padded * stride, 0.0f);
    MultiplyPanel(x, {panel, stride, rows, n});
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
