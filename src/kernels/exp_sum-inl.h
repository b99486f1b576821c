// Sums of exponentials, for one instruction set. Included once for each (see
// simd.cpp).

#if defined(ASSAY_KERNELS_EXP_SUM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_EXP_SUM_INL_H_
#undef ASSAY_KERNELS_EXP_SUM_INL_H_
#else
#define ASSAY_KERNELS_EXP_SUM_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <limits>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "assay/kernels/product-inl.h"
#include "assay/kernels/simd.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

// See Kernels::exp_sum.
inline ExpSum SumOfExps(const float* x, size_t count) {
  const DF df;
  const size_t whole = count / kLanes * kLanes;
  ExpSum result;
  auto largest = hn::Set(df, result.largest);
  auto numbers = hn::Eq(largest, largest);
  for (size_t i = 0; i < whole; i += kLanes) {
    const auto v = hn::LoadU(df, x + i);
    largest = hn::Max(largest, v);
    numbers = hn::And(numbers, hn::Eq(v, v));
  }
  bool all_numbers = hn::AllTrue(df, numbers);
  result.largest = hn::GetLane(hn::MaxOfLanes(df, largest));
  for (size_t i = whole; i < count; ++i) {
    result.largest = std::max(result.largest, x[i]);
    all_numbers = all_numbers && !std::isnan(x[i]);
  }
  if (!all_numbers) {
    result.sum = std::numeric_limits<float>::quiet_NaN();
    return result;
  }
  if (std::isinf(result.largest)) {
    return result;
  }
  const auto shift = hn::Set(df, result.largest);
  auto sum = hn::Zero(df);
  for (size_t i = 0; i < whole; i += kLanes) {
    const auto v = hn::LoadU(df, x + i);
    sum = hn::Add(sum, hn::Exp(df, hn::Sub(v, shift)));
  }
  result.sum = hn::GetLane(hn::SumOfLanes(df, sum));
  for (size_t i = whole; i < count; ++i) {
    result.sum += std::exp(x[i] - result.largest);
  }
  return result;
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
