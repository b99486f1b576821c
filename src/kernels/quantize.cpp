// Compiled once for each instruction set, as simd.cpp is, but without fused
// multiply-adds: the bits are those of another program.

#include "assay/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "assay/kernels/quantize.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

#include <hwy/highway.h>

#include "assay/formats/affine.h"
#include "assay/formats/affine_group.h"
#include "assay/formats/bit_pack.h"
#include "assay/kernels/formats-inl.h"
#include "assay/kernels/quantize.h"
#include "assay/kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

using D8 = hn::Rebind<uint8_t, DF>;

// Groups that are worked on together: what one waits for, another computes.
constexpr size_t kGroups = 16;

struct Batch {
  alignas(64) std::array<float, kGroups * kLargestGroup> values;
  alignas(64) std::array<uint8_t, kGroups * kLargestGroup> quants;
  std::array<Range, kGroups> ranges;
  std::array<ScaleBias, kGroups> exact;   // as they divide
  std::array<ScaleBias, kGroups> stored;  // rounded to their type
};

struct Sums {
  VF value_squares, error_squares, largest;
};

template <class T>
HWY_INLINE Range
ReadGroup(const T* from, size_t size, float* values, Sums& sums) {
  const DF df;
  auto low = LoadFloats(from);
  auto high = low;
  auto squares = sums.value_squares;
  for (size_t j = 0; j < size; j += kLanes) {
    const auto v = LoadFloats(from + j);
    hn::Store(v, df, values + j);
    low = hn::Min(low, v);
    high = hn::Max(high, v);
    squares = hn::MulAdd(v, v, squares);
  }
  sums.value_squares = squares;
  return {hn::GetLane(hn::MinOfLanes(df, low)),
          hn::GetLane(hn::MaxOfLanes(df, high))};
}

/** The integers of a group, a byte each, and how far they are off. */
template <int kBits>
HWY_INLINE void QuantizeGroup(const float* values,
                              size_t size,
                              const ScaleBias& exact,
                              const ScaleBias& stored,
                              uint8_t* quants,
                              Sums& sums) {
  const DF df;
  const DI di;
  const auto divisor = hn::Set(df, exact.scale);
  const auto bias = hn::Set(df, exact.bias);
  const auto stored_scale = hn::Set(df, stored.scale);
  const auto stored_bias = hn::Set(df, stored.bias);
  const auto most = hn::Set(df, static_cast<float>((1 << kBits) - 1));
  const auto round = hn::Set(df, kRoundToInteger);
  const auto mask = hn::Set(di, (1 << kBits) - 1);
  auto squares = sums.error_squares;
  auto largest = sums.largest;
  for (size_t j = 0; j < size; j += kLanes) {
    const auto v = hn::Load(df, values + j);
    const auto steps = hn::Div(hn::Sub(v, bias), divisor);
    const auto rounded =
        hn::Add(hn::Min(hn::Max(steps, hn::Zero(df)), most), round);
    const auto codes = hn::And(hn::BitCast(di, rounded), mask);
    hn::StoreU(hn::DemoteTo(D8(), codes), D8(), quants + j);
    const auto back =
        hn::Add(hn::Mul(hn::Sub(rounded, round), stored_scale), stored_bias);
    const auto off = hn::Sub(v, back);
    squares = hn::MulAdd(off, off, squares);
    largest = hn::Max(largest, hn::Abs(off));
  }
  sums.error_squares = squares;
  sums.largest = largest;
}

// As pack_bits<4>, which leaves a processor's wide vectors aside.
HWY_INLINE void PackNibbles(const uint8_t* quants,
                            size_t size,
                            std::byte* out) {
#if HWY_TARGET == HWY_SCALAR
  pack_bits<4>(quants, size, out);
#else
  const hn::ScalableTag<uint8_t> d8;
  const hn::RepartitionToWide<decltype(d8)> d16;
  const hn::RebindToSigned<decltype(d16)> di16;
  const hn::Half<decltype(d8)> half;
  for (size_t j = 0; j < size; j += hn::MaxLanes(d8)) {
    const auto pairs = hn::BitCast(d16, hn::Load(d8, quants + j));
    const auto bytes =
        hn::And(hn::Or(pairs, hn::ShiftRight<4>(pairs)), hn::Set(d16, 0xff));
    hn::StoreU(hn::DemoteTo(half, hn::BitCast(di16, bytes)),
               half,
               reinterpret_cast<uint8_t*>(out) + j / 2);
  }
#endif
}

template <int kBits>
HWY_INLINE void PackQuants(const uint8_t* quants, size_t size, std::byte* out) {
  // Groups of 32 are half a vector of bytes of the widest set.
  if (kBits == 4 && size % hn::MaxLanes(hn::ScalableTag<uint8_t>()) == 0) {
    PackNibbles(quants, size, out);
  } else {
    pack_bits<kBits>(quants, size, out);
  }
}

HWY_INLINE double SumAsDouble(VF sums) {
  alignas(64) std::array<float, kLanes> lanes;
  hn::Store(sums, DF(), lanes.data());
  double total = 0;
  for (const float lane : lanes) {
    total += static_cast<double>(lane);
  }
  return total;
}

// The sums of squares in double precision. False if a value is not finite.
bool AddSquares(const Batch& batch,
                size_t groups,
                size_t size,
                RoundingError& error) {
  for (size_t i = 0; i < groups * size; ++i) {
    const float value = batch.values[i];
    if (!std::isfinite(value)) {
      return false;
    }
    const auto& [scale, bias] = batch.stored[i / size];
    const float back = static_cast<float>(batch.quants[i]) * scale + bias;
    const double off = static_cast<double>(value) - static_cast<double>(back);
    error.value_squares += static_cast<double>(value) * value;
    error.error_squares += off * off;
  }
  return true;
}

bool AddSums(const Batch& batch,
             size_t groups,
             size_t size,
             const Sums& sums,
             RoundingError& error) {
  // Between these, float32 sums of squares lose nothing that counts; outside,
  // and where a value is not finite, each is looked at.
  constexpr double kFewSquares = 1e-20;
  constexpr double kManySquares = 1e30;
  error.largest =
      std::max(error.largest, hn::GetLane(hn::MaxOfLanes(DF(), sums.largest)));
  const double squares = SumAsDouble(sums.value_squares);
  if (squares > kFewSquares && squares < kManySquares) {
    error.value_squares += squares;
    error.error_squares += SumAsDouble(sums.error_squares);
    return true;
  }
  return AddSquares(batch, groups, size, error);
}

bool FitScales(Batch& batch, size_t groups, int largest, StoredScale type) {
  bool finite = true;
  for (size_t i = 0; i < groups; ++i) {
    const auto exact = fit_affine(batch.ranges[i], static_cast<float>(largest));
    batch.exact[i] = exact;
    batch.stored[i] = {type.round(exact.scale), type.round(exact.bias)};
    finite = finite && std::isfinite(batch.stored[i].scale) &&
             std::isfinite(batch.stored[i].bias);
  }
  return finite;
}

template <class T, int kBits>
bool QuantizeRows(const AffineRows& rows, RoundingError& error) {
  const auto size = static_cast<size_t>(rows.group_size);
  const StoredScale type{rows.scale_type};
  const size_t scale_bytes = type.bytes();
  const size_t all = rows.scales.size() / scale_bytes;
  const auto* from = reinterpret_cast<const T*>(rows.values.data());
  std::byte* packed = std::as_writable_bytes(rows.packed).data();
  Batch batch;
  for (size_t start = 0; start < all; start += kGroups) {
    const size_t groups = std::min(kGroups, all - start);
    const auto zero = hn::Zero(DF());
    Sums sums{zero, zero, zero};
    for (size_t i = 0; i < groups; ++i) {
      batch.ranges[i] =
          ReadGroup(from + i * size, size, &batch.values[i * size], sums);
    }
    if (!FitScales(batch, groups, (1 << kBits) - 1, type)) {
      return false;
    }
    for (size_t i = 0; i < groups; ++i) {
      QuantizeGroup<kBits>(&batch.values[i * size],
                           size,
                           batch.exact[i],
                           batch.stored[i],
                           &batch.quants[i * size],
                           sums);
      const size_t at = (start + i) * scale_bytes;
      type.store(batch.exact[i].scale, rows.scales.data() + at);
      type.store(batch.exact[i].bias, rows.biases.data() + at);
    }
    PackQuants<kBits>(batch.quants.data(), groups * size, packed);
    if (!AddSums(batch, groups, size, sums, error)) {
      return false;
    }
    from += groups * size;
    packed += groups * size * kBits / 8;
  }
  return true;
}

template <class T>
bool QuantizeTyped(const AffineRows& rows, RoundingError& error) {
  switch (rows.bits) {
    case 2:
      return QuantizeRows<T, 2>(rows, error);
    case 3:
      return QuantizeRows<T, 3>(rows, error);
    case 4:
      return QuantizeRows<T, 4>(rows, error);
    case 5:
      return QuantizeRows<T, 5>(rows, error);
    case 6:
      return QuantizeRows<T, 6>(rows, error);
    default:
      return QuantizeRows<T, 8>(rows, error);
  }
}

// Entered in the table of kernels by simd.cpp.
bool QuantizeAffine(const AffineRows& rows, RoundingError& error) {
  switch (rows.type) {
    case DType::f16:
      return QuantizeTyped<hwy::float16_t>(rows, error);
    case DType::bf16:
      return QuantizeTyped<hwy::bfloat16_t>(rows, error);
    default:
      return QuantizeTyped<float>(rows, error);
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace assay::kernels {
namespace {

void require(bool agrees) {
  if (!agrees) {
    throw std::invalid_argument(
        "quantize_affine: types or sizes of values, packed, scales or biases "
        "disagree");
  }
}

bool is_float(DType type) {
  return type == DType::f32 || type == DType::f16 || type == DType::bf16;
}

}  // namespace

bool quantize_affine(const AffineRows& rows, RoundingError& error) {
  require(is_float(rows.type) && is_float(rows.scale_type));
  const size_t bytes = info(rows.type).bytes;
  require(rows.values.size() % bytes == 0 &&
          reinterpret_cast<uintptr_t>(rows.values.data()) % bytes == 0);
  const auto sizes = quantized_sizes(
      "affine", rows.group_size, rows.bits, rows.values.size() / bytes);
  require(rows.packed.size() == sizes.words &&
          rows.scales.size() == sizes.groups * info(rows.scale_type).bytes &&
          rows.biases.size() == rows.scales.size());
  return kernels().quantize_affine(rows, error);
}

}  // namespace assay::kernels
#endif
