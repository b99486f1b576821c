// Products of one row of activations, held as 16-bit integers, with integer
// weights: each group of activations is divided by a step of its own, so that
// its largest becomes 32767, and a pair of products is one instruction.
// Included once for each instruction set (see simd.cpp).
//
// With weight = scale * q + bias, activation = step * a + e and the middle c of
// what q may be, the sum over a group is
//   scale * step * sum(q a) + bias * sum(x) + c * scale * sum(e)
//     + scale * sum((q - c) e):
// all but the last is computed. It is at most |scale| c step / 2 an activation,
// and as signs differ about a millionth of the product's terms: no more than
// the order of float32 sums makes.

#if defined(ASSAY_KERNELS_INTEGER_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_INTEGER_INL_H_
#undef ASSAY_KERNELS_INTEGER_INL_H_
#else
#define ASSAY_KERNELS_INTEGER_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include <hwy/highway.h>

#include "assay/kernels/product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

// Formats whose fields lie in halves of words: 2, 4 and 8 bits.
template <class F>
constexpr int kFieldBits = 0;
template <int kBits>
constexpr int kFieldBits<AffineWords<kBits>> = kBits;

// A vector of one lane has no pairs.
template <class F>
constexpr bool kHasIntegers = kFieldBits<F> != 0 && kLanes > 1;

constexpr int kHalves = 2 * kLanes;  // 16-bit lanes of a vector

// Of a symmetric weight, over its scale.
constexpr float SymmetricBias(int bits) {
  return -static_cast<float>(1 << (bits - 1));
}

// ------------------------------------------------------------ activations

// What a group of activations becomes.
struct QuantizedGroup {
  float step;
  float sum;   // of the activations
  float rest;  // what their integers leave of it
};

template <class T>
QuantizedGroup QuantizeGroup(const float* x, size_t count, T* integers) {
  constexpr float kLargest = std::numeric_limits<T>::max();
  const DF df;
  const hn::Rebind<T, DF> integer;
  auto largest = hn::Zero(df);
  for (size_t k = 0; k < count; k += kLanes) {
    largest = hn::Max(largest, hn::Abs(hn::LoadU(df, x + k)));
  }
  const float most = hn::GetLane(hn::MaxOfLanes(df, largest));
  const float inverse = kLargest / most;
  // Zeros, values below 1e-34 and what is no number have no integers.
  const bool some = most > 0 && std::isfinite(most) && std::isfinite(inverse);
  const float step = some ? most / kLargest : 0.0f;
  const auto factor = hn::Set(df, some ? inverse : 0.0f);
  auto sum = hn::Zero(df);
  auto rest = hn::Zero(df);
  for (size_t k = 0; k < count; k += kLanes) {
    const auto v = hn::LoadU(df, x + k);
    const auto a = hn::NearestInt(hn::Mul(v, factor));
    hn::StoreU(hn::DemoteTo(integer, a), integer, integers + k);
    sum = hn::Add(sum, v);
    rest = hn::Add(rest,
                   hn::NegMulAdd(hn::ConvertTo(df, a), hn::Set(df, step), v));
  }
  return {step,
          hn::GetLane(hn::SumOfLanes(df, sum)),
          hn::GetLane(hn::SumOfLanes(df, rest))};
}

// `x` side by side. The order of halves: field J of all halves of a block
// stand side by side.
template <class F>
void PackIntegers(const Matrix& w, const float* x, const IntegerRow& to) {
  constexpr size_t kFields = 16 / kFieldBits<F>;
  constexpr size_t kMostGroup = 128;
  const size_t group = static_cast<size_t>(w.group);
  const float middle = static_cast<float>(1 << (w.bits - 1)) - 0.5f;
  int16_t integers[kMostGroup];
  auto* values = reinterpret_cast<int16_t*>(to.values);
  std::fill_n(values, PaddedColumns<F>(w), int16_t{0});
  for (size_t g = 0; g < w.groups(); ++g) {
    const auto [step, sum, rest] =
        QuantizeGroup(x + g * group, group, integers);
    to.steps[g] = step;
    to.sums[g] = sum;
    to.rests[g] = middle * rest;
    for (size_t k = 0; k < group; k += kFields) {
      const size_t half = (g * group + k) / kFields;
      int16_t* out = values + half / kHalves * kBlock<F> + half % kHalves;
      for (size_t j = 0; j < kFields; ++j) {
        out[j * kHalves] = integers[k + j];
      }
    }
  }
  for (size_t g = w.groups(); g < PaddedGroups(w); ++g) {
    to.steps[g] = to.sums[g] = to.rests[g] = 0;
  }
}

// ------------------------------------------------------------ weights

// A row's scales times the steps into `scales`, and into `rest` lane by lane
// the part of its product that needs no integers. `tail` is the mask of the
// groups that fill no vector; with `kWhole` a vector of them can be read.
template <class T, bool kWhole, bool kSymmetric>
HWY_INLINE void ScaleRow(const Matrix& w,
                         size_t groups,
                         size_t row,
                         const IntegerRow& x,
                         VF tail,
                         float* scales,
                         float* rest) {
  const DF df;
  const T* s = reinterpret_cast<const T*>(w.scales) + row * groups;
  const T* b = reinterpret_cast<const T*>(w.biases) + row * groups;
  auto sum = hn::Zero(df);
  auto rests = hn::Zero(df);
  const IntegerRow in = x;  // or each store would make its pointers be read
  auto some = [&](size_t g, VF scale, VF bias) {
    sum = hn::MulAdd(bias, hn::LoadU(df, in.sums + g), sum);
    rests = hn::MulAdd(scale, hn::LoadU(df, in.rests + g), rests);
    hn::StoreU(hn::Mul(scale, hn::LoadU(df, in.steps + g)), df, scales + g);
  };
  size_t g = 0;
  for (; g + kLanes <= groups; g += kLanes) {
    const auto scale = LoadScales(s + g);
    some(g, scale, kSymmetric ? scale : LoadScales(b + g));
  }
  if (g < groups) {
    if constexpr (kWhole) {
      const auto scale = hn::And(tail, LoadScales(s + g));
      some(g, scale, kSymmetric ? scale : hn::And(tail, LoadScales(b + g)));
    } else {
      const size_t n = groups - g;
      const auto scale = LoadSome(s + g, n, w.scales_end);
      some(g, scale, kSymmetric ? scale : LoadSome(b + g, n, w.biases_end));
    }
  }
  if constexpr (kSymmetric) {
    sum = hn::Mul(sum, hn::Set(df, SymmetricBias(w.bits)));
  }
  hn::StoreU(hn::Add(sum, rests), df, rest);
}

template <class T, bool kSymmetric>
void ScaleRows(const Matrix& w,
               size_t begin,
               size_t count,
               const IntegerRow& x,
               const RowScales& to) {
  const DF df;
  const size_t groups = w.groups();  // a division: not once a row
  const auto tail =
      hn::VecFromMask(df, hn::FirstN(df, groups % size_t{kLanes}));
  // Rows behind which a whole vector of scales and of biases can be read.
  const auto scales = static_cast<size_t>(
      std::min(w.scales_end - w.scales, w.biases_end - w.biases));
  const size_t last = (begin + count) * groups + size_t{kLanes};
  const bool whole = last * sizeof(T) <= scales;
  for (size_t r = 0; r < count; ++r) {
    float* own = to.scales + r * to.stride;
    float* rest = to.biases + r * size_t{kLanes};
    if (whole) {
      ScaleRow<T, true, kSymmetric>(w, groups, begin + r, x, tail, own, rest);
    } else {
      ScaleRow<T, false, kSymmetric>(w, groups, begin + r, x, tail, own, rest);
    }
  }
}

template <class T>
void ScaleRows(const Matrix& w,
               size_t begin,
               size_t count,
               const IntegerRow& x,
               const RowScales& to) {
  if (w.symmetric) {
    ScaleRows<T, true>(w, begin, count, x, to);
  } else {
    ScaleRows<T, false>(w, begin, count, x, to);
  }
}

inline RowScales ScaleRows(const Matrix& w,
                           size_t begin,
                           size_t count,
                           const IntegerRow& x) {
  const size_t stride = PaddedGroups(w);
  float* memory = scratch().scales.floats(count * (stride + kLanes));
  const RowScales to{memory, memory + count * stride, stride};
  switch (w.scale_type) {
    case ScaleType::f16:
      ScaleRows<hwy::float16_t>(w, begin, count, x, to);
      break;
    case ScaleType::bf16:
      ScaleRows<hwy::bfloat16_t>(w, begin, count, x, to);
      break;
    default:
      ScaleRows<float>(w, begin, count, x, to);
      break;
  }
  return to;
}

#if HWY_TARGET == HWY_SCALAR
using DI16 = hn::ScalableTag<int16_t>;  // never used
using DU16 = hn::ScalableTag<uint16_t>;
#else
using DI16 = hn::Repartition<int16_t, DI>;
using DU16 = hn::Repartition<uint16_t, DI>;
#endif

template <int kBits, int J>
HWY_INLINE hn::Vec<DI16> Field(hn::Vec<DU16> v) {
  auto field = v;
  if constexpr (J > 0) {
    field = hn::ShiftRight<kBits * J>(field);
  }
  if constexpr (kBits * (J + 1) < 16) {
    field = hn::And(field, hn::Set(DU16(), (1u << kBits) - 1));
  }
  return hn::BitCast(DI16(), field);
}

template <int kBits, int R, int J>
HWY_INLINE void AddFields(const hn::Vec<DU16> (&v)[R],
                          const int16_t* x,
                          hn::Vec<DI> (&even)[R],
                          hn::Vec<DI> (&odd)[R]) {
  const auto xj = hn::Load(DI16(), x + J * kHalves);
  for (int r = 0; r < R; ++r) {
    even[r] = hn::ReorderWidenMulAccumulate(
        DI(), Field<kBits, J>(v[r]), xj, even[r], odd[r]);
  }
  if constexpr (kBits * (J + 1) < 16) {
    AddFields<kBits, R, J + 1>(v, x, even, odd);
  }
}

template <class F, int R, Spread kSpread>
HWY_INLINE void MultiplyIntegerRows(const Matrix& w,
                                    const uint8_t* const (&rows)[R],
                                    const RowScales& scales,
                                    size_t first_scale_row,
                                    const ScaleIndex& index,
                                    const int16_t* x,
                                    float* out) {
  const DF df;
  const DI di;
  const auto lanes = hn::SetTableIndices(df, index.lanes);
  const size_t blocks = Blocks<F>(w);
  VF sum[R];
  const float* s[R];
  for (int r = 0; r < R; ++r) {
    const size_t row = first_scale_row + static_cast<size_t>(r);
    s[r] = scales.scales + row * scales.stride;
    sum[r] = hn::LoadU(df, scales.biases + row * size_t{kLanes});
  }
  for (size_t b = 0; b < blocks; ++b) {
    FetchAhead<F, R>(rows[0], b);
    hn::Vec<DU16> v[R];
    hn::Vec<DI> even[R];
    hn::Vec<DI> odd[R];
    for (int r = 0; r < R; ++r) {
      v[r] = hn::BitCast(DU16(), LoadWords(rows[r] + b * F::kBlockBytes));
      even[r] = odd[r] = hn::Zero(di);
    }
    AddFields<kFieldBits<F>, R, 0>(v, x + b * kBlock<F>, even, odd);
    for (int r = 0; r < R; ++r) {
      const auto whole =
          hn::ConvertTo(df, hn::RearrangeToOddPlusEven(even[r], odd[r]));
      sum[r] = hn::MulAdd(
          whole, BlockScale<F, kSpread>(s[r], b, index, lanes), sum[r]);
    }
  }
  StoreSums(sum, out);
}

template <class F, Spread kSpread>
void MultiplyIntegersWith(const Matrix& w,
                          const ScaleIndex& index,
                          const IntegerRow& x,
                          float* out,
                          size_t begin,
                          size_t end) {
  constexpr size_t kRows = 4;
  constexpr size_t kScaleRows = 16;  // scales converted at a time
  const auto* values = reinterpret_cast<const int16_t*>(x.values);
  for (size_t n = begin; n < end; n += kScaleRows) {
    const size_t count = std::min(kScaleRows, end - n);
    const auto scales = ScaleRows(w, n, count, x);
    size_t r = 0;
    for (; r + kRows <= count; r += kRows) {
      const uint8_t* const rows[kRows] = {Row<F>(w, n + r, 0),
                                          Row<F>(w, n + r + 1, 1),
                                          Row<F>(w, n + r + 2, 2),
                                          Row<F>(w, n + r + 3, 3)};
      MultiplyIntegerRows<F, kRows, kSpread>(
          w, rows, scales, r, index, values, out + n + r);
    }
    for (; r < count; ++r) {
      const uint8_t* const rows[1] = {Row<F>(w, n + r, 0)};
      MultiplyIntegerRows<F, 1, kSpread>(
          w, rows, scales, r, index, values, out + n + r);
    }
  }
}

template <class F>
void MultiplyIntegers(const Matrix& w,
                      const IntegerRow& x,
                      float* out,
                      size_t begin,
                      size_t end) {
  const ScaleIndex index = MakeScaleIndex<F>(w);
  if (index.uniform) {
    MultiplyIntegersWith<F, Spread::uniform>(w, index, x, out, begin, end);
  } else if (index.halves) {
    MultiplyIntegersWith<F, Spread::halves>(w, index, x, out, begin, end);
  } else {
    MultiplyIntegersWith<F, Spread::lanes>(w, index, x, out, begin, end);
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
