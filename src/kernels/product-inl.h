// The products, for one format and one instruction set. Included once for each
// instruction set (see simd.cpp).

#if defined(ASSAY_KERNELS_PRODUCT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_PRODUCT_INL_H_
#undef ASSAY_KERNELS_PRODUCT_INL_H_
#else
#define ASSAY_KERNELS_PRODUCT_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "assay/kernels/formats-inl.h"
#include "assay/kernels/matrix.h"
#include "assay/kernels/scratch.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

constexpr size_t RoundUp(size_t n, size_t to) {
  return (n + to - 1) / to * to;
}

// ------------------------------------------------------------ shape of rows

template <class F>
constexpr size_t kBlock = size_t{F::kVectors} * kLanes;  // columns in a block

template <class F>
size_t Blocks(const Matrix& w) {
  return (w.columns + kBlock<F> - 1) / kBlock<F>;
}

template <class F>
size_t PaddedColumns(const Matrix& w) {
  return Blocks<F>(w) * kBlock<F>;
}

// Scales of a row are read a vector at a time from any group on.
inline size_t PaddedGroups(const Matrix& w) {
  return RoundUp(w.groups(), kLanes) + kLanes;
}

template <class F>
size_t PaddedSums(const Matrix& w) {
  return F::kScaled && F::kOffset != 0 ? PaddedGroups(w) : 0;
}

// ------------------------------------------------------------ scales

HWY_INLINE VF LoadScales(const float* p) {
  return LoadFloats(p);
}
HWY_INLINE VF LoadScales(const hwy::float16_t* p) {
  return LoadFloats(p);
}
HWY_INLINE VF LoadScales(const hwy::bfloat16_t* p) {
  return LoadFloats(p);
}

struct E8m0 {
  uint8_t bits;
};
struct E4m3 {
  uint8_t bits;
};

HWY_INLINE VU LoadBytes(const void* p) {
  const hn::Rebind<uint8_t, DU> d8;
  return hn::PromoteTo(DU(), hn::LoadU(d8, static_cast<const uint8_t*>(p)));
}
// A power of two; 0 is the subnormal 2^-127.
HWY_INLINE VF LoadScales(const E8m0* p) {
  const DU du;
  const auto v = LoadBytes(p);
  const auto zero = hn::Eq(v, hn::Zero(du));
  return hn::BitCast(
      DF(),
      hn::IfThenElse(zero, hn::Set(du, 0x00400000u), hn::ShiftLeft<23>(v)));
}
HWY_INLINE VF LoadScales(const E4m3* p) {
  return FromE4m3(LoadBytes(p));
}

// `count` (at most a vector) scales from p, the other lanes zero. Reads a
// whole vector where the array goes on.
template <class T>
HWY_INLINE VF LoadSome(const T* p, size_t count, const std::byte* end) {
  if (reinterpret_cast<const std::byte*>(p) + sizeof(T) * kLanes > end) {
    T copy[kLanes] = {};
    std::memcpy(copy, p, count * sizeof(T));
    return hn::IfThenElseZero(hn::FirstN(DF(), count), LoadScales(copy));
  }
  const auto v = LoadScales(p);
  return count >= kLanes ? v : hn::IfThenElseZero(hn::FirstN(DF(), count), v);
}

// Scales and biases of rows as float32, rows `stride` apart, zero beyond the
// last group: weight = scale * f + bias, with factor and offset applied.
struct RowScales {
  float* scales;
  float* biases;
  size_t stride;
};

template <class T>
void ConvertScales(const Matrix& w,
                   size_t begin,
                   size_t rows,
                   float factor,
                   float offset,
                   const RowScales& to) {
  const DF df;
  const size_t groups = w.groups();
  for (size_t r = 0; r < rows; ++r) {
    const size_t first = (begin + r) * groups;
    const T* s = reinterpret_cast<const T*>(w.scales) + first;
    const T* b = reinterpret_cast<const T*>(w.biases) + first;
    float* s_out = to.scales + r * to.stride;
    float* b_out = to.biases + r * to.stride;
    size_t g = 0;
    for (; g < groups; g += kLanes) {
      const size_t n = std::min<size_t>(kLanes, groups - g);
      const auto scale = LoadSome(s + g, n, w.scales_end);
      const auto bias =
          w.biases == nullptr ? hn::Zero(df) : LoadSome(b + g, n, w.biases_end);
      hn::StoreU(hn::Mul(scale, hn::Set(df, factor)), df, s_out + g);
      hn::StoreU(hn::MulAdd(scale, hn::Set(df, offset), bias), df, b_out + g);
    }
    for (; g < to.stride; g += kLanes) {
      hn::StoreU(hn::Zero(df), df, s_out + g);
      hn::StoreU(hn::Zero(df), df, b_out + g);
    }
  }
}

// `kMagic`: for Magic() numbers, else for Value().
template <class F, bool kMagic>
RowScales LoadRowScales(const Matrix& w, size_t begin, size_t rows) {
  if constexpr (!F::kScaled) {
    return {nullptr, nullptr, 0};
  }
  const size_t stride = PaddedGroups(w);
  float* memory = scratch().scales.floats(2 * rows * stride);
  const RowScales to{memory, memory + rows * stride, stride};
  const float factor = kMagic ? F::kFactor : 1.0f;
  const float offset = kMagic ? F::kOffset : 0.0f;
  switch (w.scale_type) {
    case ScaleType::f32:
      ConvertScales<float>(w, begin, rows, factor, offset, to);
      break;
    case ScaleType::f16:
      ConvertScales<hwy::float16_t>(w, begin, rows, factor, offset, to);
      break;
    case ScaleType::bf16:
      ConvertScales<hwy::bfloat16_t>(w, begin, rows, factor, offset, to);
      break;
    case ScaleType::e8m0:
      ConvertScales<E8m0>(w, begin, rows, factor, offset, to);
      break;
    case ScaleType::e4m3:
      ConvertScales<E4m3>(w, begin, rows, factor, offset, to);
      break;
    case ScaleType::none:
      break;
  }
  return to;
}

// Which scale each lane of a block takes.
struct ScaleIndex {
  size_t units;  // words (or blocks of 32 columns) that share a scale
  size_t shift;  // units is 2 to this power: divisions are slow
  bool uniform;  // one scale for the whole block
  bool halves;   // one for each half of it
  alignas(64) int32_t lanes[kLanes];
};

template <class F>
ScaleIndex MakeScaleIndex(const Matrix& w) {
  ScaleIndex index{};
  if constexpr (F::kScaled) {
    const size_t unit = F::kWords ? size_t{F::kVectors} : size_t{32};
    index.units = static_cast<size_t>(w.group) / unit;
    index.shift = static_cast<size_t>(std::countr_zero(index.units));
    index.uniform = !F::kWords || index.units >= size_t{kLanes};
    index.halves = F::kWords && 2 * index.units == size_t{kLanes};
    for (int i = 0; i < kLanes && !index.uniform; ++i) {
      index.lanes[i] = i / static_cast<int>(index.units);
    }
  }
  return index;
}

// How the scales of a block are spread over its lanes; by table is slowest.
enum class Spread { uniform, halves, lanes };

template <class F, Spread kSpread, class Index>
HWY_INLINE VF BlockScale(const float* row,
                         size_t block,
                         const ScaleIndex& index,
                         const Index& lanes) {
  const DF df;
  const size_t first =
      block * (F::kWords ? size_t{kLanes} : size_t{1}) >> index.shift;
  if constexpr (kSpread == Spread::uniform) {
    (void)lanes;
    return hn::Set(df, row[first]);
#if HWY_TARGET != HWY_SCALAR  // a vector of one lane has no halves
  } else if constexpr (kSpread == Spread::halves) {
    (void)lanes;
    const hn::Half<DF> half;
    return hn::Combine(
        df, hn::Set(half, row[first + 1]), hn::Set(half, row[first]));
#endif
  } else {
    return hn::TableLookupLanes(hn::LoadU(df, row + first), lanes);
  }
}

// ------------------------------------------------------------ weight rows

// A pointer from which the whole padded row can be read: the row itself, or a
// copy with zeros behind it where reading on would leave the array or find
// bits that decode to NaN. `slot`: which copy, of those in use at once.
template <class F>
const uint8_t* Row(const Matrix& w, size_t row, size_t slot) {
  const size_t bytes = w.row_bytes();
  const size_t needed = Blocks<F>(w) * F::kBlockBytes;
  const auto* p = w.data + row * bytes;
  const bool whole = F::kAnyBits || needed == bytes;
  if (whole && p + needed + F::kOverread <= w.data_end) {
    return reinterpret_cast<const uint8_t*>(p);
  }
  const size_t size = RoundUp(needed + F::kOverread, 64);
  uint8_t* copy = scratch().rows.bytes(4 * size) + slot * size;
  std::memcpy(copy, p, bytes);
  std::memset(copy + bytes, 0, size - bytes);
  return copy;
}

// ------------------------------------------------------------ sums of lanes

#if HWY_TARGET != HWY_SCALAR
template <class D, class V>
HWY_INLINE auto AddHalves(D, V v) {
  if constexpr (hn::MaxLanes(D()) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return AddHalves(half,
                     hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}

HWY_INLINE VF Fold(VF a, VF b) {
  const DF df;
  return hn::Add(hn::InterleaveLower(df, a, b), hn::InterleaveUpper(df, a, b));
}
#endif

// out[i] = sum of the lanes of v[i]: four at once, which takes a third of the
// shuffles of one after the other.
HWY_INLINE void StoreSums(const VF (&v)[4], float* out) {
  const DF df;
#if HWY_TARGET == HWY_SCALAR
  for (int i = 0; i < 4; ++i) {
    hn::Store(v[i], df, out + i);
  }
#else
  // Each block of four lanes: {v0, v1, v2, v3}.
  const auto sums = AddHalves(df, Fold(Fold(v[0], v[2]), Fold(v[1], v[3])));
  hn::StoreU(sums, hn::FixedTag<float, 4>(), out);
#endif
}

HWY_INLINE void StoreSums(const VF (&v)[1], float* out) {
  out[0] = hn::GetLane(hn::SumOfLanes(DF(), v[0]));
}

// Rows that are multiplied together are several streams, which processors do
// not foresee: asks for what comes a little later, of R rows that follow each
// other, while block b of each is taken.
template <class F, int R>
HWY_INLINE void FetchAhead(const uint8_t* first, size_t b) {
  constexpr size_t kAhead = 4096;
  constexpr size_t kLine = 64;
  constexpr size_t kBytes = R * F::kBlockBytes;
  for (size_t i = 0; i < kBytes; i += kLine) {
    hwy::Prefetch(first + b * kBytes + i + kAhead);
  }
}

// ------------------------------------------------------------ one row of x

template <class F, int R, int J>
HWY_INLINE void AccumulateBlock(const typename F::State (&v)[R],
                                const float* x,
                                VF (&part)[R]) {
  const DF df;
  const auto xj = hn::Load(df, x + J * kLanes);
  for (int r = 0; r < R; ++r) {
    part[r] = hn::MulAdd(F::template Magic<J>(v[r]), xj, part[r]);
  }
  if constexpr (J + 1 < F::kVectors) {
    AccumulateBlock<F, R, J + 1>(v, x, part);
  }
}

// Products of R weight rows with one packed row, into out[0, R).
template <class F, int R, Spread kSpread>
HWY_INLINE void MultiplyRows(const Matrix& w,
                             const uint8_t* const (&rows)[R],
                             const RowScales& scales,
                             size_t first_scale_row,
                             const ScaleIndex& index,
                             const PackedRow& x,
                             float* out) {
  const DF df;
  const auto lanes = hn::SetTableIndices(df, index.lanes);
  const size_t blocks = Blocks<F>(w);
  VF sum[R];
  const float* s[R];
  for (int r = 0; r < R; ++r) {
    sum[r] = hn::Zero(df);
    s[r] = scales.scales + (first_scale_row + r) * scales.stride;
  }
  for (size_t b = 0; b < blocks; ++b) {
    FetchAhead<F, R>(rows[0], b);
    typename F::State v[R];
    VF part[R];
    for (int r = 0; r < R; ++r) {
      v[r] = F::Load(rows[r] + b * F::kBlockBytes);
      part[r] = F::kScaled ? hn::Zero(df) : sum[r];
    }
    AccumulateBlock<F, R, 0>(v, x.values + b * kBlock<F>, part);
    for (int r = 0; r < R; ++r) {
      if constexpr (F::kScaled) {
        sum[r] = hn::MulAdd(
            part[r], BlockScale<F, kSpread>(s[r], b, index, lanes), sum[r]);
      } else {
        sum[r] = part[r];
      }
    }
  }
  if constexpr (F::kScaled && F::kOffset != 0) {
    for (size_t g = 0; g < w.groups(); g += kLanes) {
      const auto xs = hn::LoadU(df, x.sums + g);
      for (int r = 0; r < R; ++r) {
        const float* biases =
            scales.biases + (first_scale_row + r) * scales.stride;
        sum[r] = hn::MulAdd(hn::LoadU(df, biases + g), xs, sum[r]);
      }
    }
  }
  StoreSums(sum, out);
}

template <class F, Spread kSpread>
void MultiplyOneWith(const Matrix& w,
                     const ScaleIndex& index,
                     const PackedRow& x,
                     size_t begin,
                     size_t end) {
  constexpr size_t kRows = 4;
  constexpr size_t kScaleRows = 16;  // scales converted at a time
  for (size_t n = begin; n < end; n += kScaleRows) {
    const size_t count = std::min(kScaleRows, end - n);
    const auto scales = LoadRowScales<F, true>(w, n, count);
    size_t r = 0;
    for (; r + kRows <= count; r += kRows) {
      const uint8_t* const rows[kRows] = {Row<F>(w, n + r, 0),
                                          Row<F>(w, n + r + 1, 1),
                                          Row<F>(w, n + r + 2, 2),
                                          Row<F>(w, n + r + 3, 3)};
      MultiplyRows<F, kRows, kSpread>(
          w, rows, scales, r, index, x, x.out + n + r);
    }
    for (; r < count; ++r) {
      const uint8_t* const rows[1] = {Row<F>(w, n + r, 0)};
      MultiplyRows<F, 1, kSpread>(w, rows, scales, r, index, x, x.out + n + r);
    }
  }
}

template <class F>
void MultiplyOne(const Matrix& w,
                 const PackedRow& x,
                 size_t begin,
                 size_t end) {
  const ScaleIndex index = MakeScaleIndex<F>(w);
  if (index.uniform || !F::kScaled) {
    MultiplyOneWith<F, Spread::uniform>(w, index, x, begin, end);
  } else if constexpr (F::kWords) {
    MultiplyOneWith<F, Spread::lanes>(w, index, x, begin, end);
  }
}

// ------------------------------------------------------------ decoding

template <class F, int J>
HWY_INLINE void DecodeBlock(const typename F::State& v,
                            VF scale,
                            VF bias,
                            float* out) {
  const DF df;
  auto f = F::template Value<J>(v);
  if constexpr (F::kScaled) {
    f = hn::MulAdd(f, scale, bias);
  }
  hn::Store(f, df, out + J * kLanes);
  if constexpr (J + 1 < F::kVectors) {
    DecodeBlock<F, J + 1>(v, scale, bias, out);
  }
}

template <class F, Spread kSpread>
void DecodeRowWith(const Matrix& w,
                   const uint8_t* row,
                   const ScaleIndex& index,
                   const float* scales,
                   const float* biases,
                   float* out) {
  const DF df;
  const auto lanes = hn::SetTableIndices(df, index.lanes);
  const size_t blocks = Blocks<F>(w);
  for (size_t b = 0; b < blocks; ++b) {
    const auto v = F::Load(row + b * F::kBlockBytes);
    VF scale = hn::Zero(df);
    VF bias = hn::Zero(df);
    if constexpr (F::kScaled) {
      scale = BlockScale<F, kSpread>(scales, b, index, lanes);
      bias = BlockScale<F, kSpread>(biases, b, index, lanes);
    }
    DecodeBlock<F, 0>(v, scale, bias, out + b * kBlock<F>);
  }
}

// Rows [begin, begin + count) as float32 in the order of packed rows, each
// PaddedColumns long and zero beyond the columns.
template <class F>
void DecodeRows(const Matrix& w, size_t begin, size_t count, float* out) {
  const size_t padded = PaddedColumns<F>(w);
  const ScaleIndex index = MakeScaleIndex<F>(w);
  const auto scales = LoadRowScales<F, false>(w, begin, count);
  for (size_t r = 0; r < count; ++r) {
    const uint8_t* row = Row<F>(w, begin + r, 0);
    const float* s = scales.scales + r * scales.stride;
    const float* b = scales.biases + r * scales.stride;
    if (index.uniform || !F::kScaled) {
      DecodeRowWith<F, Spread::uniform>(w, row, index, s, b, out + r * padded);
    } else if constexpr (F::kWords) {
      DecodeRowWith<F, Spread::lanes>(w, row, index, s, b, out + r * padded);
    }
  }
}

// Calls f(packed position, column) for the columns of a row from `first` on,
// which begins a block.
template <class F, class Function>
HWY_INLINE void ForEachColumn(size_t first, size_t columns, const Function& f) {
  constexpr size_t kV = F::kWords ? F::kVectors : 1;
  for (size_t k = first; k < columns; k += kV) {
    const size_t word = k / kV;
    const size_t at = F::kWords ? word / kLanes * kBlock<F> + word % kLanes : k;
    for (size_t j = 0; j < kV && k + j < columns; ++j) {
      f(at + j * kLanes, k + j);
    }
  }
}

template <class F>
void Decode(const Matrix& w, size_t row, float* out) {
  float* packed = scratch().panel.floats(PaddedColumns<F>(w));
  DecodeRows<F>(w, row, 1, packed);
  ForEachColumn<F>(
      0, w.columns, [&](size_t at, size_t k) { out[k] = packed[at]; });
}

#if HWY_TARGET != HWY_SCALAR

// Four rows from `from` on, `stride` apart, become four lanes of each of
// `columns` (a multiple of four) rows that are `to_stride` apart.
inline void TurnFour(const float* from,
                     size_t stride,
                     size_t columns,
                     float* to,
                     size_t to_stride) {
  const hn::FixedTag<float, 4> d;
  for (size_t k = 0; k < columns; k += 4) {
    const auto v0 = hn::LoadU(d, from + k);
    const auto v1 = hn::LoadU(d, from + stride + k);
    const auto v2 = hn::LoadU(d, from + 2 * stride + k);
    const auto v3 = hn::LoadU(d, from + 3 * stride + k);
    const auto even = hn::InterleaveLower(d, v0, v2);
    const auto odd = hn::InterleaveLower(d, v1, v3);
    const auto even2 = hn::InterleaveUpper(d, v0, v2);
    const auto odd2 = hn::InterleaveUpper(d, v1, v3);
    float* out = to + k * to_stride;
    hn::StoreU(hn::InterleaveLower(d, even, odd), d, out);
    hn::StoreU(hn::InterleaveUpper(d, even, odd), d, out + to_stride);
    hn::StoreU(hn::InterleaveLower(d, even2, odd2), d, out + 2 * to_stride);
    hn::StoreU(hn::InterleaveUpper(d, even2, odd2), d, out + 3 * to_stride);
  }
}

// Whole blocks of a format of words: in each, the fields of a word stand below
// one another.
template <class F>
void PackBlocks(const float* x, size_t columns, float* values) {
  constexpr size_t kV = F::kVectors;
  for (size_t b = 0; b < columns; b += kBlock<F>) {
    for (size_t lane = 0; lane < kLanes; lane += 4) {
      TurnFour(x + b + lane * kV, kV, kV, values + b + lane, kLanes);
    }
  }
}

#endif

// x side by side, in this thread's memory if it is not.
inline const float* SideBySide(const Matrix& w,
                               const float* x,
                               ptrdiff_t stride) {
  if (stride == 1) {
    return x;
  }
  float* copy = scratch().panel.floats(w.columns);
  for (size_t k = 0; k < w.columns; ++k) {
    copy[k] = x[static_cast<ptrdiff_t>(k) * stride];
  }
  return copy;
}

template <class F>
void Pack(const Matrix& w,
          const float* x,
          ptrdiff_t stride,
          float* values,
          float* sums) {
  const size_t whole = w.columns / kBlock<F> * kBlock<F>;
  std::fill(values + whole, values + PaddedColumns<F>(w), 0.0f);
  size_t packed = 0;
#if HWY_TARGET != HWY_SCALAR
  if constexpr (F::kWords) {
    static_assert(F::kVectors % 4 == 0);
    if (stride == 1) {
      PackBlocks<F>(x, whole, values);
      packed = whole;
    }
  }
#endif
  ForEachColumn<F>(packed, w.columns, [&](size_t at, size_t k) {
    values[at] = x[static_cast<ptrdiff_t>(k) * stride];
  });
  if (sums == nullptr) {
    return;
  }
  const size_t padded = PaddedSums<F>(w);
  const size_t group = static_cast<size_t>(w.group);
  for (size_t g = 0; g < padded; ++g) {
    float sum = 0;
    for (size_t k = g * group; g < w.groups() && k < (g + 1) * group; ++k) {
      sum += x[static_cast<ptrdiff_t>(k) * stride];
    }
    sums[g] = sum;
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
