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

inline void TileRest(std::span<const PackedRow> x,
                     const Panel& panel,
                     size_t begin,
                     size_t end) {
  switch (x.size()) {
    case 1:
      return TileColumn<1>(x.data(), panel, begin, end);
    case 2:
      return TileColumn<2>(x.data(), panel, begin, end);
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
    case 3:
      return TileColumn<3>(x.data(), panel, begin, end);
    case 4:
      return TileColumn<4>(x.data(), panel, begin, end);
    case 5:
      return TileColumn<5>(x.data(), panel, begin, end);
#endif
    default:
      return;
  }
}

inline void MultiplyPanel(std::span<const PackedRow> x, const Panel& panel) {
  const size_t pieces = (panel.stride + kDepth - 1) / kDepth;
  const size_t depth = RoundUp((panel.stride + pieces - 1) / pieces, kLanes);
  for (size_t k = 0; k < panel.stride; k += depth) {
    const size_t end = std::min(panel.stride, k + depth);
    size_t m = 0;
    for (; m + kTileRows <= x.size(); m += kTileRows) {
      TileColumn<kTileRows>(x.data() + m, panel, k, end);
    }
    TileRest(x.subspan(m), panel, k, end);
  }
}

template <class F>
void MultiplyMany(const Matrix& w,
                  std::span<const PackedRow> x,
                  size_t begin,
                  size_t end) {
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
