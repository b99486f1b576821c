// Products of one row of activations, as integers, with 4-bit weights, four of
// their rows at a time: the sums of a group of each are brought together in one
// block of four lanes, so that they meet their scales in one multiplication.
// Included once for each instruction set (see simd.cpp).
//
// Activations are integers of 16 bits, as integer-inl.h says, or of 8 bits,
// where a group's largest becomes 127: their products are half the
// instructions, and what is left out is 258 times as much.

#if defined(ASSAY_KERNELS_FOURS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_FOURS_INL_H_
#undef ASSAY_KERNELS_FOURS_INL_H_
#else
#define ASSAY_KERNELS_FOURS_INL_H_
#endif

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>

#include <hwy/highway.h>

#include "assay/kernels/integer-inl.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

constexpr size_t kFour = 4;
constexpr size_t kUnit = 32;               // columns in a block of four lanes
constexpr size_t kPairBytes = 4 * kLanes;  // in a vector

// Formats that are taken so.
template <class F>
constexpr bool kFours = kHasIntegers<F> && kFieldBits<F> == 4;

// Floats of the group-wise parts, whole vectors of them.
inline size_t PaddedFours(const Matrix& w) {
  return RoundUp(kFour * w.groups(), kLanes) + kLanes;
}

// Sets with an instruction that multiplies bytes, which the Highway of Debian
// 12 has no name for. Elsewhere activations have 16 bits.
#undef ASSAY_KERNELS_BYTES
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128
#define ASSAY_KERNELS_BYTES 1
using DU8 = hn::Repartition<uint8_t, DI>;
using DI8 = hn::Repartition<int8_t, DI>;

// Of neighbours, in 16 bits.
HWY_INLINE hn::Vec<DI16> PairProducts(hn::Vec<DU8> w, hn::Vec<DI8> x) {
#if HWY_TARGET <= HWY_AVX3
  return hn::Vec<DI16>{_mm512_maddubs_epi16(w.raw, x.raw)};
#elif HWY_TARGET == HWY_AVX2
  return hn::Vec<DI16>{_mm256_maddubs_epi16(w.raw, x.raw)};
#else
  return hn::Vec<DI16>{_mm_maddubs_epi16(w.raw, x.raw)};
#endif
}
#else
#define ASSAY_KERNELS_BYTES 0
#endif

#if HWY_TARGET != HWY_SCALAR

// ------------------------------------------------------------ activations

// Group-wise numbers stand four times, once for each row that they meet.
inline void StoreGroup(const QuantizedGroup& group,
                       float middle,
                       size_t g,
                       const IntegerRow& to) {
  std::fill_n(to.steps + kFour * g, kFour, group.step);
  std::fill_n(to.sums + kFour * g, kFour, group.sum);
  std::fill_n(to.rests + kFour * g, kFour, middle * group.rest);
}

// In the order of the halves, see PackIntegers.
inline void PlaceUnit(const int16_t* integers, size_t unit, int16_t* to) {
  constexpr size_t kFields = 4;
  constexpr size_t kHalvesOfUnit = kUnit / kFields;
  const size_t half = unit * kHalvesOfUnit;
  int16_t* out = to + half / kHalves * kBlock<AffineWords<4>> + half % kHalves;
  for (size_t i = 0; i < kHalvesOfUnit; ++i) {
    for (size_t j = 0; j < kFields; ++j) {
      out[j * kHalves + i] = integers[i * kFields + j];
    }
  }
}

// Even columns of a block, then odd ones.
inline void PlaceUnit(const int8_t* integers, size_t unit, int8_t* to) {
  constexpr size_t kUnits = kLanes / kFour;
  int8_t* out =
      to + unit / kUnits * kBlock<AffineWords<4>> + unit % kUnits * (kUnit / 2);
  for (size_t i = 0; i < kUnit / 2; ++i) {
    out[i] = integers[2 * i];
    out[kPairBytes + i] = integers[2 * i + 1];
  }
}

// T: int16_t or int8_t.
template <class T>
void PackFours(const Matrix& w, const float* x, const IntegerRow& to) {
  constexpr size_t kMostGroup = 128;
  constexpr float kMiddle = 7.5f;
  const size_t group = static_cast<size_t>(w.group);
  T integers[kMostGroup];
  auto* values = reinterpret_cast<T*>(to.values);
  std::fill_n(values, PaddedColumns<AffineWords<4>>(w), T{0});
  for (size_t g = 0; g < w.groups(); ++g) {
    StoreGroup(QuantizeGroup(x + g * group, group, integers), kMiddle, g, to);
    for (size_t k = 0; k < group; k += kUnit) {
      PlaceUnit(integers + k, (g * group + k) / kUnit, values);
    }
  }
  for (float* part : {to.steps, to.sums, to.rests}) {
    std::fill(part + kFour * w.groups(), part + PaddedFours(w), 0.0f);
  }
}

// ------------------------------------------------------------ scales

constexpr size_t kGroupsAtOnce = 8;  // whose scales are turned together

// The scales or biases of four rows.
template <class T>
struct FourRows {
  const T* first;
  size_t stride;  // 0: there are fewer rows, and the last stands for all
};

// Those of kGroupsAtOnce groups from `from` on, the rows of a group side by
// side, and zeros beyond `count` groups. With kWhole all can be read.
template <class T, bool kWhole>
HWY_INLINE void TurnScales(const FourRows<T>& from,
                           size_t g,
                           size_t count,
                           T* to) {
  const T* first = from.first + g;
  if constexpr (kWhole && sizeof(T) == 2) {
    const hn::FixedTag<uint16_t, kGroupsAtOnce> d;
    auto row = [&](size_t r) {
      const auto v = hn::LoadU(
          d, reinterpret_cast<const uint16_t*>(first + r * from.stride));
      return count == kGroupsAtOnce
                 ? v
                 : hn::IfThenElseZero(hn::FirstN(d, count), v);
    };
    const auto v0 = row(0), v1 = row(1), v2 = row(2), v3 = row(3);
    auto* out = reinterpret_cast<uint16_t*>(to);
    const auto even = hn::InterleaveLower(d, v0, v2);
    const auto odd = hn::InterleaveLower(d, v1, v3);
    hn::Store(hn::InterleaveLower(d, even, odd), d, out);
    hn::Store(hn::InterleaveUpper(d, even, odd), d, out + 8);
    const auto even2 = hn::InterleaveUpper(d, v0, v2);
    const auto odd2 = hn::InterleaveUpper(d, v1, v3);
    hn::Store(hn::InterleaveLower(d, even2, odd2), d, out + 16);
    hn::Store(hn::InterleaveUpper(d, even2, odd2), d, out + 24);
  } else {
    for (size_t i = 0; i < kGroupsAtOnce; ++i) {
      for (size_t r = 0; r < kFour; ++r) {
        auto* one = static_cast<void*>(to + kFour * i + r);
        if (i < count) {
          std::memcpy(one, first + r * from.stride + i, sizeof(T));
        } else {
          std::memset(one, 0, sizeof(T));
        }
      }
    }
  }
}

// The scales of four rows times the steps into `scales`; the result is the
// part of their products that needs no integers, spread over blocks.
template <class T, bool kWhole, bool kSymmetric>
HWY_INLINE VF ScaleFour(const FourRows<T>& own_scales,
                        const FourRows<T>& own_biases,
                        size_t groups,
                        const IntegerRow& x,
                        float* scales) {
  const DF df;
  auto sum = hn::Zero(df);
  auto rest = hn::Zero(df);
  alignas(64) T s[kFour * kGroupsAtOnce];
  alignas(64) T b[kFour * kGroupsAtOnce];
  auto some = [&](size_t i, size_t at) {
    const auto scale = LoadScales(s + i);
    const auto bias = kSymmetric ? scale : LoadScales(b + i);
    sum = hn::MulAdd(bias, hn::LoadU(df, x.sums + at), sum);
    rest = hn::MulAdd(scale, hn::LoadU(df, x.rests + at), rest);
    hn::Store(hn::Mul(scale, hn::LoadU(df, x.steps + at)), df, scales + at);
  };
  size_t g = 0;
  for (; g + kGroupsAtOnce <= groups; g += kGroupsAtOnce) {
    TurnScales<T, kWhole>(own_scales, g, kGroupsAtOnce, s);
    if constexpr (!kSymmetric) {
      TurnScales<T, kWhole>(own_biases, g, kGroupsAtOnce, b);
    }
    for (size_t i = 0; i < kFour * kGroupsAtOnce; i += kLanes) {
      some(i, kFour * g + i);
    }
  }
  if (g < groups) {
    TurnScales<T, kWhole>(own_scales, g, groups - g, s);
    if constexpr (!kSymmetric) {
      TurnScales<T, kWhole>(own_biases, g, groups - g, b);
    }
    for (size_t i = 0; i < kFour * (groups - g); i += kLanes) {
      some(i, kFour * g + i);
    }
  }
  return kSymmetric ? hn::MulAdd(sum, hn::Set(df, SymmetricBias(4)), rest)
                    : hn::Add(sum, rest);
}

// From once a group to once a unit, from the last on, in place.
inline void SpreadScales(size_t groups, size_t units_shift, float* scales) {
  const hn::FixedTag<float, kFour> d;
  for (size_t unit = groups << units_shift; unit-- > 0;) {
    hn::Store(hn::Load(d, scales + kFour * (unit >> units_shift)),
              d,
              scales + kFour * unit);
  }
}

// ------------------------------------------------------------ products

// Adds up the lanes of each block of a and b: {a0, b0, a1, b1}.
template <class D, class V>
HWY_INLINE V FoldPairs(D d, V a, V b) {
  const DI di;
  const auto p = hn::BitCast(di, a);
  const auto q = hn::BitCast(di, b);
  return hn::Add(hn::BitCast(d, hn::InterleaveLower(di, p, q)),
                 hn::BitCast(d, hn::InterleaveUpper(di, p, q)));
}

// Each block: the sums of four rows.
template <class D, class V>
HWY_INLINE V FoldFour(D d, const V (&v)[kFour]) {
  return FoldPairs(d, FoldPairs(d, v[0], v[2]), FoldPairs(d, v[1], v[3]));
}

// Compilers would load all rows first, for which registers do not suffice; row
// by row is 5% faster. No instruction.
HWY_INLINE void KeepOrder() {
  std::atomic_signal_fence(std::memory_order_seq_cst);
}

HWY_INLINE hn::Vec<DI> BlockSums(const uint8_t* const (&rows)[kFour],
                                 size_t at,
                                 const int16_t* x) {
  const DI di;
  hn::Vec<DI> part[kFour];
  for (size_t r = 0; r < kFour; ++r) {
    const hn::Vec<DU16> v[1] = {hn::BitCast(DU16(), LoadWords(rows[r] + at))};
    hn::Vec<DI> even[1] = {hn::Zero(di)};
    hn::Vec<DI> odd[1] = {hn::Zero(di)};
    AddFields<4, 1, 0>(v, x, even, odd);
    part[r] = hn::RearrangeToOddPlusEven(even[0], odd[0]);
    KeepOrder();
  }
  return FoldFour(di, part);
}

#if ASSAY_KERNELS_BYTES
// A pair of products is at most 2 * 15 * 127, and eight pairs are added before
// there are 32 bits: 30480.
HWY_INLINE hn::Vec<DI> BlockSums(const uint8_t* const (&rows)[kFour],
                                 size_t at,
                                 const int8_t* x) {
  const DI16 d16;
  const DU8 d8;
  const auto mask = hn::Set(d8, uint8_t{15});
  const auto even = hn::Load(DI8(), x);
  const auto odd = hn::Load(DI8(), x + kPairBytes);
  hn::Vec<DI16> part[kFour];
  for (size_t r = 0; r < kFour; ++r) {
    const auto v = hn::BitCast(DU16(), LoadWords(rows[r] + at));
    const auto low = hn::And(hn::BitCast(d8, v), mask);
    const auto high = hn::And(hn::BitCast(d8, hn::ShiftRight<4>(v)), mask);
    part[r] = hn::Add(PairProducts(low, even), PairProducts(high, odd));
    KeepOrder();
  }
  auto none = hn::Zero(DI());
  return hn::RearrangeToOddPlusEven(
      hn::ReorderWidenMulAccumulate(DI(),
                                    FoldFour(d16, part),
                                    hn::Set(d16, int16_t{1}),
                                    hn::Zero(DI()),
                                    none),
      none);
}
#endif

template <class T>
HWY_INLINE VF MultiplyFour(const uint8_t* const (&rows)[kFour],
                           size_t blocks,
                           const float* scales,
                           const T* x,
                           VF sum) {
  using F = AffineWords<4>;
  const DF df;
  for (size_t b = 0; b < blocks; ++b) {
    FetchAhead<F, kFour>(rows[0], b);
    const auto sums = BlockSums(rows, b * F::kBlockBytes, x + b * kBlock<F>);
    sum = hn::MulAdd(
        hn::ConvertTo(df, sums), hn::Load(df, scales + b * kLanes), sum);
  }
  return sum;
}

// How many of w's rows can be read beyond their ends as far as is needed.
template <class S>
size_t WholeRows(const Matrix& w) {
  auto whole = [&](const std::byte* begin,
                   const std::byte* end,
                   size_t row_bytes,
                   size_t read) {
    const auto all = static_cast<size_t>(end - begin);
    return all < read ? 0 : (all - read) / row_bytes + 1;
  };
  using F = AffineWords<4>;
  const size_t groups = w.groups();
  const size_t scales_read = RoundUp(groups, kGroupsAtOnce) * sizeof(S);
  return std::min(
      {whole(w.data, w.data_end, w.row_bytes(), Blocks<F>(w) * F::kBlockBytes),
       whole(w.scales, w.scales_end, groups * sizeof(S), scales_read),
       whole(w.biases, w.biases_end, groups * sizeof(S), scales_read)});
}

// T: of the activations, S: of the scales.
template <class T, class S>
class Fours {
  using F = AffineWords<4>;

 public:
  Fours(const Matrix& w, const IntegerRow& x)
      : w_(w),
        x_(x),
        groups_(w.groups()),
        blocks_(Blocks<F>(w)),
        shift_(static_cast<size_t>(
            std::countr_zero(static_cast<size_t>(w.group) / kUnit))) {
    const size_t padded = (blocks_ + 1) * kLanes;
    scales_ = scratch().scales.floats(padded);
    std::fill_n(scales_, padded, 0.0f);
  }

  void Multiply(size_t begin, size_t end, float* out) const {
    const hn::FixedTag<float, kFour> four;
    const size_t whole = std::min(end, WholeRows<S>(w_));
    size_t n = begin;
    for (; n + kFour <= whole; n += kFour) {
      hn::StoreU(Sums<true>(n, 1), four, out + n);
    }
    for (; n < end; ++n) {
      out[n] = hn::GetLane(Sums<false>(n, 0));
    }
  }

 private:
  // Of row n, and of those that follow it where stride is 1.
  template <bool kWhole>
  HWY_INLINE hn::Vec<hn::FixedTag<float, kFour>> Sums(size_t n,
                                                      size_t stride) const {
    const size_t at = n * groups_;
    const FourRows<S> scales{reinterpret_cast<const S*>(w_.scales) + at,
                             stride * groups_};
    const FourRows<S> biases{reinterpret_cast<const S*>(w_.biases) + at,
                             stride * groups_};
    const auto rest =
        w_.symmetric
            ? ScaleFour<S, kWhole, true>(scales, biases, groups_, x_, scales_)
            : ScaleFour<S, kWhole, false>(scales, biases, groups_, x_, scales_);
    if (shift_ > 0) {
      SpreadScales(groups_, shift_, scales_);
    }
    const uint8_t* row =
        kWhole ? reinterpret_cast<const uint8_t*>(w_.data) + n * w_.row_bytes()
               : Row<F>(w_, n, 0);
    const size_t bytes = stride * w_.row_bytes();
    const uint8_t* const rows[kFour] = {
        row, row + bytes, row + 2 * bytes, row + 3 * bytes};
    const T* x = reinterpret_cast<const T*>(x_.values);
    return AddHalves(DF(), MultiplyFour(rows, blocks_, scales_, x, rest));
  }

  Matrix w_;
  IntegerRow x_;
  size_t groups_, blocks_, shift_;
  float* scales_;
};

template <class T>
void MultiplyFours(const Matrix& w,
                   const IntegerRow& x,
                   float* out,
                   size_t begin,
                   size_t end) {
  switch (w.scale_type) {
    case ScaleType::f16:
      return Fours<T, hwy::float16_t>(w, x).Multiply(begin, end, out);
    case ScaleType::bf16:
      return Fours<T, hwy::bfloat16_t>(w, x).Multiply(begin, end, out);
    default:
      return Fours<T, float>(w, x).Multiply(begin, end, out);
  }
}

#endif  // HWY_SCALAR

// ------------------------------------------------------------ the table

// How rows of T meet weights of format F, if they do: by fours, or as
// integer-inl.h has it.
template <class T, class F>
struct IntegerProducts {
#if HWY_TARGET == HWY_SCALAR
  static constexpr bool kByFours = false;
#else
  static constexpr bool kByFours =
      kFours<F> && (sizeof(T) == 2 || ASSAY_KERNELS_BYTES);
#endif
  static constexpr bool kSimple =
      !kByFours && kHasIntegers<F> && sizeof(T) == 2;

  static bool Has(const Matrix&) { return kByFours || kSimple; }
  static size_t ValueBytes(const Matrix& w) {
    return PaddedColumns<F>(w) * sizeof(T);
  }
  static size_t Groups(const Matrix& w) {
    return kByFours ? PaddedFours(w) : PaddedGroups(w);
  }
  static void Pack(const Matrix& w, const float* x, const IntegerRow* to) {
    if constexpr (kByFours) {
      PackFours<T>(w, x, *to);
    } else if constexpr (kSimple) {
      PackIntegers<F>(w, x, *to);
    }
  }
  static void Multiply(const Matrix& w,
                       const IntegerRow* x,
                       float* out,
                       size_t begin,
                       size_t end) {
    if constexpr (kByFours) {
      MultiplyFours<T>(w, *x, out, begin, end);
    } else if constexpr (kSimple) {
      MultiplyIntegers<F>(w, *x, out, begin, end);
    }
  }
};

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
