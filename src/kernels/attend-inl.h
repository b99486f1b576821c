// Attention, for one instruction set. Included once for each (see simd.cpp).

#if defined(ASSAY_KERNELS_ATTEND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_ATTEND_INL_H_
#undef ASSAY_KERNELS_ATTEND_INL_H_
#else
#define ASSAY_KERNELS_ATTEND_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "assay/kernels/attend.h"
#include "assay/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

// Positions taken at a time: with heads of 64 to 128, keys, values, queries
// and scores of a tile stay in the second-level cache.
constexpr size_t kTilePositions = 64;
// Queries whose sums stand in registers together, beside 4 vectors of keys or
// values: 12 sums and their operands fit 16 registers.
constexpr int kQueryRows = 3;
constexpr int kVectorsAtOnce = 4;

// Rows of floats that vectors can be loaded from.
struct Tile32 {
  const float* rows;
  size_t stride;
};

template <class T>
HWY_INLINE float OneFloat(const T* p) {
  const hn::CappedTag<float, 1> d;
  const hn::Rebind<T, decltype(d)> stored;
  return hn::GetLane(hn::PromoteTo(d, hn::LoadU(stored, p)));
}

inline float PlainValue(const CachedRows& from, ptrdiff_t at) {
  const auto* data = from.w.data;
  if (from.w.format == Format::f32) {
    return reinterpret_cast<const float*>(data)[at];
  }
  return from.w.format == Format::f16
             ? OneFloat(reinterpret_cast<const hwy::float16_t*>(data) + at)
             : OneFloat(reinterpret_cast<const hwy::bfloat16_t*>(data) + at);
}

template <class T>
HWY_INLINE void CopyPlain(const T* from, size_t count, float* to) {
  const DF df;
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    hn::StoreU(LoadFloats(from + i), df, to + i);
  }
}

inline void CopyRow(const CachedRows& from, size_t row, float* to) {
  const auto& w = from.w;
  const ptrdiff_t first = static_cast<ptrdiff_t>(row) * from.row_stride;
  size_t done = 0;
  if (from.stride == 1) {
    done = w.columns / kLanes * kLanes;
    if (w.format == Format::f32) {
      CopyPlain(reinterpret_cast<const float*>(w.data) + first, done, to);
    } else if (w.format == Format::f16) {
      CopyPlain(
          reinterpret_cast<const hwy::float16_t*>(w.data) + first, done, to);
    } else {
      CopyPlain(
          reinterpret_cast<const hwy::bfloat16_t*>(w.data) + first, done, to);
    }
  }
  for (; done < w.columns; ++done) {
    to[done] =
        PlainValue(from, first + static_cast<ptrdiff_t>(done) * from.stride);
  }
}

inline size_t ScaleBytes(ScaleType type) {
  return type == ScaleType::f32 ? 4 : 2;
}

// A quantized row as a matrix of its own.
inline Matrix RowMatrix(const CachedRows& from, size_t row) {
  Matrix w = from.w;
  const auto at = static_cast<ptrdiff_t>(row);
  const auto bytes = static_cast<ptrdiff_t>(ScaleBytes(w.scale_type));
  const size_t scale_bytes = w.groups() * static_cast<size_t>(bytes);
  w.rows = 1;
  w.data += at * from.row_stride * static_cast<ptrdiff_t>(sizeof(uint32_t));
  w.data_end = w.data + w.row_bytes();
  w.scales += at * from.scale_stride * bytes;
  w.scales_end = w.scales + scale_bytes;
  w.biases += at * from.bias_stride * bytes;
  w.biases_end = w.biases + scale_bytes;
  return w;
}

// Rows [begin, begin + count) as floats, `width` wide with zeros at the end:
// where they lie if they can be read there, otherwise in `memory`.
template <class DecodeQuantized>
Tile32 Floats(const CachedRows& from,
              size_t begin,
              size_t count,
              size_t width,
              float* memory,
              const DecodeQuantized& decode) {
  const auto& w = from.w;
  if (w.format == Format::f32 && from.stride == 1 && width == w.columns) {
    return {reinterpret_cast<const float*>(w.data) +
                static_cast<ptrdiff_t>(begin) * from.row_stride,
            static_cast<size_t>(from.row_stride)};
  }
  for (size_t r = 0; r < count; ++r) {
    float* to = memory + r * width;
    if (w.group != 0) {
      decode(RowMatrix(from, begin + r), 0, to);
    } else {
      CopyRow(from, begin + r, to);
    }
    std::fill(to + w.columns, to + width, 0.0f);
  }
  return {memory, width};
}

// scores[m][t] = q[m] . k[t] for M queries and four positions.
template <int M>
HWY_INLINE void ScoreFour(const float* q,
                          size_t width,
                          const float* const (&keys)[4],
                          float* scores) {
  const DF df;
  VF sum[M][4];
  for (int m = 0; m < M; ++m) {
    for (int t = 0; t < 4; ++t) {
      sum[m][t] = hn::Zero(df);
    }
  }
  for (size_t k = 0; k < width; k += kLanes) {
    const auto k0 = hn::LoadU(df, keys[0] + k);
    const auto k1 = hn::LoadU(df, keys[1] + k);
    const auto k2 = hn::LoadU(df, keys[2] + k);
    const auto k3 = hn::LoadU(df, keys[3] + k);
    for (int m = 0; m < M; ++m) {
      const auto qm = hn::LoadU(df, q + static_cast<size_t>(m) * width + k);
      sum[m][0] = hn::MulAdd(qm, k0, sum[m][0]);
      sum[m][1] = hn::MulAdd(qm, k1, sum[m][1]);
      sum[m][2] = hn::MulAdd(qm, k2, sum[m][2]);
      sum[m][3] = hn::MulAdd(qm, k3, sum[m][3]);
    }
  }
  for (int m = 0; m < M; ++m) {
    StoreSums(sum[m], scores + static_cast<size_t>(m) * kTilePositions);
  }
}

template <int M>
void Scores(const float* q,
            size_t width,
            const Tile32& keys,
            size_t count,
            float* scores) {
  for (size_t t = 0; t < count; t += 4) {
    // Past the end the last position stands in; its score is not looked at.
    auto row = [&](size_t i) {
      return keys.rows + std::min(t + i, count - 1) * keys.stride;
    };
    const float* const rows[4] = {row(0), row(1), row(2), row(3)};
    ScoreFour<M>(q, width, rows, scores + t);
  }
}

// out[m] += sum over positions of p[m][t] * v[t], for M queries and V vectors.
template <int M, int V>
HWY_INLINE void AddValues(const float* p,
                          const float* values,
                          size_t stride,
                          size_t count,
                          float* out,
                          size_t width) {
  const DF df;
  VF sum[M][V];
  for (int m = 0; m < M; ++m) {
    for (int j = 0; j < V; ++j) {
      sum[m][j] =
          hn::LoadU(df, out + static_cast<size_t>(m) * width + j * kLanes);
    }
  }
  for (size_t t = 0; t < count; ++t) {
    VF v[V];
    for (int j = 0; j < V; ++j) {
      v[j] = hn::LoadU(df, values + t * stride + j * kLanes);
    }
    for (int m = 0; m < M; ++m) {
      const auto pm =
          hn::Set(df, p[static_cast<size_t>(m) * kTilePositions + t]);
      for (int j = 0; j < V; ++j) {
        sum[m][j] = hn::MulAdd(pm, v[j], sum[m][j]);
      }
    }
  }
  for (int m = 0; m < M; ++m) {
    for (int j = 0; j < V; ++j) {
      hn::StoreU(
          sum[m][j], df, out + static_cast<size_t>(m) * width + j * kLanes);
    }
  }
}

template <int M>
void AddValuesOf(const float* p,
                 const Tile32& values,
                 size_t count,
                 float* out,
                 size_t width) {
  constexpr size_t kStep = size_t{kVectorsAtOnce} * kLanes;
  size_t k = 0;
  for (; k + kStep <= width; k += kStep) {
    AddValues<M, kVectorsAtOnce>(
        p, values.rows + k, values.stride, count, out + k, width);
  }
  for (; k < width; k += kLanes) {
    AddValues<M, 1>(p, values.rows + k, values.stride, count, out + k, width);
  }
}

// Calls f.template operator()<M>(first row) for rows in threes, twos, ones.
template <class Function>
void ByQueryRows(size_t rows, const Function& f) {
  size_t m = 0;
  for (; m + kQueryRows <= rows; m += kQueryRows) {
    f.template operator()<kQueryRows>(m);
  }
  if (rows - m == 2) {
    f.template operator()<2>(m);
  } else if (rows - m == 1) {
    f.template operator()<1>(m);
  }
}

// Hides the scores of what a query may not see, and returns the largest.
inline float Hide(const AttentionTask& task,
                  size_t begin,
                  size_t count,
                  const QueryRow& row,
                  float* scores) {
  const DF df;
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const size_t first = std::clamp(row.first, begin, begin + count) - begin;
  const size_t last =
      std::clamp(row.last, begin + first, begin + count) - begin;
  std::fill(scores, scores + first, kNone);
  std::fill(scores + last, scores + RoundUp(count, kLanes), kNone);
  for (size_t t = first; t < last && task.softcap > 0; ++t) {
    scores[t] = task.softcap * std::tanh(scores[t] / task.softcap);
  }
  for (size_t t = first; t < last && row.mask != nullptr; ++t) {
    if (!row.mask[static_cast<ptrdiff_t>(begin + t) * row.mask_stride]) {
      scores[t] = kNone;
    }
  }
  auto largest = hn::Set(df, row.largest);
  for (size_t t = 0; t < count; t += kLanes) {
    largest = hn::Max(largest, hn::LoadU(df, scores + t));
  }
  return hn::GetLane(hn::MaxOfLanes(df, largest));
}

// Scores of one query in a tile become factors exp(score - largest); what was
// summed before is brought to the new largest. False if nothing is seen.
inline bool Soften(const AttentionTask& task,
                   size_t begin,
                   size_t count,
                   QueryRow& row,
                   float* scores,
                   float* out,
                   size_t width) {
  const DF df;
  const float largest = Hide(task, begin, count, row, scores);
  if (largest == -std::numeric_limits<float>::infinity()) {
    std::fill(scores, scores + count, 0.0f);
    return false;
  }
  if (largest > row.largest) {
    const float factor = std::exp(row.largest - largest);  // 0 at first
    row.sum *= factor;
    const auto factors = hn::Set(df, factor);
    for (size_t k = 0; k < width; k += kLanes) {
      hn::StoreU(hn::Mul(hn::LoadU(df, out + k), factors), df, out + k);
    }
    row.largest = largest;
  }
  auto sum = hn::Zero(df);
  for (size_t t = 0; t < count; t += kLanes) {
    const auto s = hn::LoadU(df, scores + t);
    // Exp() makes 0 of what is no number; it must stay none.
    const auto p = hn::IfThenElse(
        hn::Eq(s, s), hn::Exp(df, hn::Sub(s, hn::Set(df, largest))), s);
    sum = hn::Add(sum, p);
    hn::StoreU(p, df, scores + t);
  }
  row.sum += hn::GetLane(hn::SumOfLanes(df, sum));
  return true;
}

template <class DecodeQuantized>
void Attend(const AttentionTask& task, const DecodeQuantized& decode) {
  const size_t rows = task.rows.size();
  const size_t key_width = RoundUp(task.keys.w.columns, kLanes);
  const size_t value_width = RoundUp(task.values.w.columns, kLanes);
  float* memory = scratch().attention.floats(
      rows * (key_width + value_width + kTilePositions) +
      kTilePositions * (key_width + value_width));
  float* q = memory;
  float* out = q + rows * key_width;
  float* scores = out + rows * value_width;
  float* key_tile = scores + rows * kTilePositions;
  float* value_tile = key_tile + kTilePositions * key_width;
  size_t first = task.end;
  size_t last = task.begin;
  for (size_t m = 0; m < rows; ++m) {
    QueryRow& row = task.rows[m];
    float* to = q + m * key_width;
    for (size_t k = 0; k < task.keys.w.columns; ++k) {
      to[k] = row.q[static_cast<ptrdiff_t>(k) * row.stride] * task.scale;
    }
    std::fill(to + task.keys.w.columns, to + key_width, 0.0f);
    row.sum = 0;
    row.largest = -std::numeric_limits<float>::infinity();
    first = std::min(first, std::max(row.first, task.begin));
    last = std::max(last, std::min(row.last, task.end));
  }
  std::fill(out, out + rows * value_width, 0.0f);
  for (size_t t = first; t < last; t += kTilePositions) {
    const size_t count = std::min(kTilePositions, last - t);
    const Tile32 keys =
        Floats(task.keys, t, count, key_width, key_tile, decode);
    ByQueryRows(rows, [&]<int M>(size_t m) {
      Scores<M>(q + m * key_width,
                key_width,
                keys,
                count,
                scores + m * kTilePositions);
    });
    bool any = false;
    for (size_t m = 0; m < rows; ++m) {
      any |= Soften(task,
                    t,
                    count,
                    task.rows[m],
                    scores + m * kTilePositions,
                    out + m * value_width,
                    value_width);
    }
    if (any) {
      const Tile32 values =
          Floats(task.values, t, count, value_width, value_tile, decode);
      ByQueryRows(rows, [&]<int M>(size_t m) {
        AddValuesOf<M>(scores + m * kTilePositions,
                       values,
                       count,
                       out + m * value_width,
                       value_width);
      });
    }
  }
  for (size_t m = 0; m < rows; ++m) {
    const float* from = out + m * value_width;
    std::copy(from, from + task.values.w.columns, task.rows[m].values);
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
