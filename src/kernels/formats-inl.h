// How the weights of each format are decoded into vectors of floats. Included
// once for each instruction set (see simd.cpp).
//
// A format decodes blocks of kVectors vectors. Where kWords is true, each lane
// holds one 32-bit word of packed values and vector J takes value J of every
// word: shift and mask, no shuffles, and the activations are packed in the
// same order once. Otherwise columns lie in their natural order.
//
// Value() gives the stored number, weight = scale * Value() + bias. Magic()
// gives a number that is cheaper to make, with
//   weight = kFactor * scale * Magic() + (bias + kOffset * scale);
// for packed integers it is 1 + q / 2^bits, made by putting the field q at the
// top of the mantissa of 1.0f. It stays exact: q has at most 8 bits.

#if defined(ASSAY_KERNELS_FORMATS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_FORMATS_INL_H_
#undef ASSAY_KERNELS_FORMATS_INL_H_
#else
#define ASSAY_KERNELS_FORMATS_INL_H_
#endif

#include <array>
#include <cstring>

#include <hwy/highway.h>

#include "assay/kernels/matrix.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::ScalableTag<float>;
using DU = hn::ScalableTag<uint32_t>;
using DI = hn::ScalableTag<int32_t>;
using VF = hn::Vec<DF>;
using VU = hn::Vec<DU>;

constexpr int kLanes = static_cast<int>(hn::MaxLanes(DF()));
constexpr uint32_t kOne = 0x3f800000;  // bits of 1.0f

template <int kShift>
HWY_INLINE VU ShiftTo(VU v) {
  if constexpr (kShift > 0) {
    return hn::ShiftRight<kShift>(v);
  } else if constexpr (kShift < 0) {
    return hn::ShiftLeft<-kShift>(v);
  } else {
    return v;
  }
}

// The field of kBits bits from bit kFrom, as 1 + q / 2^kBits.
template <int kBits, int kFrom>
HWY_INLINE VF FieldAsMantissa(VU v) {
  const DU du;
  const auto mask = hn::Set(du, ((1u << kBits) - 1) << (23 - kBits));
  return hn::BitCast(
      DF(),
      hn::OrAnd(hn::Set(du, kOne), ShiftTo<kFrom - (23 - kBits)>(v), mask));
}

template <int kBits, int kFrom>
HWY_INLINE VF FieldAsFloat(VU v) {
  const DU du;
  const auto q = hn::And(ShiftTo<kFrom>(v), hn::Set(du, (1u << kBits) - 1));
  return hn::ConvertTo(DF(), hn::BitCast(DI(), q));
}

HWY_INLINE VU LoadWords(const uint8_t* p) {
  return hn::LoadU(DU(), reinterpret_cast<const uint32_t*>(p));
}

/** Affine with 2, 4 or 8 bits. */
template <int kBits>
struct AffineWords {
  static constexpr bool kWords = true;
  static constexpr bool kScaled = true;
  static constexpr bool kAnyBits = true;  // decodes any bits to finite floats
  static constexpr int kVectors = 32 / kBits;
  static constexpr size_t kBlockBytes = 4 * kLanes;
  static constexpr size_t kOverread = 0;
  static constexpr float kFactor = 1 << kBits;
  static constexpr float kOffset = -(1 << kBits);

  using State = VU;
  static HWY_INLINE State Load(const uint8_t* p) { return LoadWords(p); }
  template <int J>
  static HWY_INLINE VF Magic(const State& v) {
    return FieldAsMantissa<kBits, kBits * J>(v);
  }
  template <int J>
  static HWY_INLINE VF Value(const State& v) {
    return FieldAsFloat<kBits, kBits * J>(v);
  }
};

// Bytes 2 * v + 12 for the sixteen values v of e2m1 (0, .5, 1, 1.5, 2, 3, 4, 6
// and their negatives), so that a byte shuffle looks four of them up a lane
// and the rest is as for 8-bit integers.
alignas(16) constexpr uint8_t kFp4Bytes[16] = {
    12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};

HWY_INLINE VU LookUpFp4(VU nibbles) {
#if HWY_TARGET == HWY_SCALAR
  const uint32_t v = hn::GetLane(nibbles);
  return hn::Set(DU(),
                 uint32_t{kFp4Bytes[v & 15]} |
                     uint32_t{kFp4Bytes[v >> 8 & 15]} << 8 |
                     uint32_t{kFp4Bytes[v >> 16 & 15]} << 16 |
                     uint32_t{kFp4Bytes[v >> 24 & 15]} << 24);
#else
  const hn::Repartition<uint8_t, DU> d8;
  const auto table = hn::LoadDup128(d8, kFp4Bytes);
  return hn::BitCast(DU(),
                     hn::TableLookupBytes(table, hn::BitCast(d8, nibbles)));
#endif
}

/** mxfp4 and nvfp4: e2m1 values. */
struct Fp4Words {
  static constexpr bool kWords = true;
  static constexpr bool kScaled = true;
  static constexpr bool kAnyBits = true;
  static constexpr int kVectors = 8;
  static constexpr size_t kBlockBytes = 4 * kLanes;
  static constexpr size_t kOverread = 0;
  // The bytes need 5 bits: v = (32 (magic - 1) - 12) / 2.
  static constexpr float kFactor = 16;
  static constexpr float kOffset = -22;

  struct State {
    VU even, odd;  // bytes of values 0, 2, 4, 6 and 1, 3, 5, 7 of each word
  };
  static HWY_INLINE State Load(const uint8_t* p) {
    const auto v = LoadWords(p);
    const auto mask = hn::Set(DU(), 0x0f0f0f0fu);
    return {LookUpFp4(hn::And(v, mask)),
            LookUpFp4(hn::And(hn::ShiftRight<4>(v), mask))};
  }
  template <int J>
  static HWY_INLINE VF Magic(const State& v) {
    return FieldAsMantissa<5, 8 * (J / 2)>(J % 2 == 0 ? v.even : v.odd);
  }
  template <int J>
  static HWY_INLINE VF Value(const State& v) {
    const auto q = FieldAsFloat<8, 8 * (J / 2)>(J % 2 == 0 ? v.even : v.odd);
    return hn::MulAdd(q, hn::Set(DF(), 0.5f), hn::Set(DF(), -6.0f));
  }
};

// e4m3 in the low byte of each lane (the rest zero) to float: exponent and
// mantissa move into place, the bias goes from 7 to 127. Subnormals are made
// as normals with an implicit one, which is then taken off; 0x7f is NaN.
HWY_INLINE VF FromE4m3(VU byte) {
  const DU du;
  const DF df;
  const auto magnitude = hn::And(byte, hn::Set(du, 0x7fu));
  const auto sign = hn::ShiftLeft<24>(hn::And(byte, hn::Set(du, 0x80u)));
  const auto subnormal = hn::Lt(hn::BitCast(DI(), magnitude), hn::Set(DI(), 8));
  const auto bits =
      hn::Add(hn::ShiftLeft<20>(magnitude), hn::Set(du, 120u << 23));
  const auto lifted =
      hn::Sub(hn::BitCast(df, hn::Add(bits, hn::Set(du, 1u << 23))),
              hn::Set(df, 0.015625f));
  auto v = hn::IfThenElse(
      hn::RebindMask(df, subnormal), lifted, hn::BitCast(df, bits));
  const auto nan = hn::Eq(magnitude, hn::Set(du, 0x7fu));
  v = hn::IfThenElse(
      hn::RebindMask(df, nan), hn::BitCast(df, hn::Set(du, 0x7fc00000u)), v);
  return hn::BitCast(df, hn::Or(hn::BitCast(du, v), sign));
}

/** mxfp8: e4m3 values. */
struct Fp8Words {
  static constexpr bool kWords = true;
  static constexpr bool kScaled = true;
  static constexpr bool kAnyBits = false;  // NaN
  static constexpr int kVectors = 4;
  static constexpr size_t kBlockBytes = 4 * kLanes;
  static constexpr size_t kOverread = 0;
  static constexpr float kFactor = 1;
  static constexpr float kOffset = 0;

  using State = VU;
  static HWY_INLINE State Load(const uint8_t* p) { return LoadWords(p); }
  template <int J>
  static HWY_INLINE VF Value(const State& v) {
    return FromE4m3(hn::And(ShiftTo<8 * J>(v), hn::Set(DU(), 0xffu)));
  }
  template <int J>
  static HWY_INLINE VF Magic(const State& v) {
    return Value<J>(v);
  }
};

/** Affine with 3, 5 or 6 bits: fields straddle bytes, so a byte shuffle
 * brings to each lane the two bytes that hold its field. */
template <int kBits>
struct AffineBits {
  static constexpr bool kWords = false;
  static constexpr bool kScaled = true;
  static constexpr bool kAnyBits = true;
  static constexpr int kVectors = 32 / kLanes;  // a block is 32 columns
  static constexpr size_t kBlockBytes = 4 * kBits;
  static constexpr size_t kOverread = kLanes == 1 ? 1 : 16;
  static constexpr float kFactor = 1 << kBits;
  static constexpr float kOffset = -(1 << kBits);

  using State = const uint8_t*;
  static HWY_INLINE State Load(const uint8_t* p) { return p; }

  // Where the fields of one vector lie, seen from the byte it starts in.
  struct Plan {
    alignas(64) uint8_t bytes[4 * kLanes];
    alignas(64) uint32_t shifts[kLanes];  // left, to the top of the mantissa
  };
  static constexpr Plan MakePlan(int first_bit) {
    Plan plan{};
    for (int i = 0; i < kLanes; ++i) {
      const int bit = first_bit + i * kBits;
      plan.bytes[4 * i] = static_cast<uint8_t>(bit / 8);
      plan.bytes[4 * i + 1] = static_cast<uint8_t>(bit / 8 + 1);
      plan.bytes[4 * i + 2] = 0x80;  // zero
      plan.bytes[4 * i + 3] = 0x80;
      plan.shifts[i] = static_cast<uint32_t>(23 - kBits - bit % 8);
    }
    return plan;
  }
  template <int kFirstBit>
  static constexpr Plan kPlan = MakePlan(kFirstBit);

  template <int J>
  static HWY_INLINE VF Magic(const State& p) {
    constexpr int kBit = J * kLanes * kBits;
    const DU du;
#if HWY_TARGET == HWY_SCALAR
    const auto v = hn::Set(du,
                           (p[kBit / 8] | uint32_t{p[kBit / 8 + 1]} << 8)
                               << (23 - kBits - kBit % 8));
#else
    using P = AffineBits<kBits>;
    const hn::Repartition<uint8_t, DU> d8;
    const auto bytes = hn::LoadDup128(d8, p + kBit / 8);
    const auto index = hn::Load(d8, P::template kPlan<kBit % 8>.bytes);
    const auto shift = hn::Load(du, P::template kPlan<kBit % 8>.shifts);
    const auto v =
        hn::Shl(hn::BitCast(du, hn::TableLookupBytes(bytes, index)), shift);
#endif
    const auto mask = hn::Set(du, ((1u << kBits) - 1) << (23 - kBits));
    return hn::BitCast(DF(), hn::OrAnd(hn::Set(du, kOne), v, mask));
  }
  template <int J>
  static HWY_INLINE VF Value(const State& p) {
    const DF df;
    return hn::MulAdd(Magic<J>(p), hn::Set(df, kFactor), hn::Set(df, kOffset));
  }
};

HWY_INLINE VF LoadFloats(const float* p) {
  return hn::LoadU(DF(), p);
}
HWY_INLINE VF LoadFloats(const hwy::float16_t* p) {
  return hn::PromoteTo(DF(), hn::LoadU(hn::Rebind<hwy::float16_t, DF>(), p));
}
HWY_INLINE VF LoadFloats(const hwy::bfloat16_t* p) {
  return hn::PromoteTo(DF(), hn::LoadU(hn::Rebind<hwy::bfloat16_t, DF>(), p));
}

/** Weights that are not quantized. */
template <class T>
struct Dense {
  static constexpr bool kWords = false;
  static constexpr bool kScaled = false;
  static constexpr bool kAnyBits = false;  // NaN, infinity
  static constexpr int kVectors = 2;
  static constexpr size_t kBlockBytes = kVectors * kLanes * sizeof(T);
  static constexpr size_t kOverread = 0;
  static constexpr float kFactor = 1;
  static constexpr float kOffset = 0;

  using State = const T*;
  static HWY_INLINE State Load(const uint8_t* p) {
    return reinterpret_cast<const T*>(p);
  }
  template <int J>
  static HWY_INLINE VF Value(const State& p) {
    return LoadFloats(p + J * kLanes);
  }
  template <int J>
  static HWY_INLINE VF Magic(const State& p) {
    return Value<J>(p);
  }
};

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
