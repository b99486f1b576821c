// The SiLU gate, for one instruction set. Included once for each (see
// simd.cpp).

#if defined(ASSAY_KERNELS_SILU_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef ASSAY_KERNELS_SILU_INL_H_
#undef ASSAY_KERNELS_SILU_INL_H_
#else
#define ASSAY_KERNELS_SILU_INL_H_
#endif

#include <cmath>

#include <hwy/highway.h>

#include "assay/kernels/formats-inl.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR

// exp(x) for x in [-110, 100], with a relative error below 1e-11: rounded to
// float32 it is the nearest number but where two are equally near, as it is
// from the C library. exp(x) = 2^n exp(r), with Taylor's polynomial for r,
// which is at most ln(2) / 2 away from 0.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ExpOfDoubles(D d, V x) {
  const hn::Repartition<int64_t, D> di;
  // Added to a number, it leaves the nearest integer in the lowest bits.
  const auto shifter = hn::Set(d, 0x1.8p52);
  const auto shifted = hn::MulAdd(x, hn::Set(d, 0x1.71547652b82fep0), shifter);
  const auto n = hn::Sub(shifted, shifter);
  auto r = hn::NegMulAdd(n, hn::Set(d, 0x1.62e42fefa39efp-1), x);
  r = hn::NegMulAdd(n, hn::Set(d, 0x1.abc9e3b39803fp-56), r);
  auto sum = hn::Set(d, 1.0 / 362880);
  for (double inverse : {1.0 / 40320,
                         1.0 / 5040,
                         1.0 / 720,
                         1.0 / 120,
                         1.0 / 24,
                         1.0 / 6,
                         0.5,
                         1.0,
                         1.0}) {
    sum = hn::MulAdd(sum, r, hn::Set(d, inverse));
  }
  const auto power = hn::ShiftLeft<52>(hn::BitCast(di, shifted));
  return hn::BitCast(d, hn::Add(hn::BitCast(di, sum), power));
}

#endif

// See Kernels::silu_gate.
inline void SiluGate(const float* gate,
                     const float* up,
                     size_t count,
                     float* out) {
  size_t i = 0;
#if HWY_TARGET != HWY_SCALAR
  const hn::Repartition<double, DF> dd;
  const hn::Rebind<float, decltype(dd)> d;
  const auto least = hn::Set(dd, -110.0);
  const auto most = hn::Set(dd, 100.0);
  for (; i + hn::MaxLanes(d) <= count; i += hn::MaxLanes(d)) {
    const auto g = hn::LoadU(d, gate + i);
    const auto x = hn::PromoteTo(dd, hn::Neg(g));
    const auto e =
        hn::DemoteTo(d, ExpOfDoubles(dd, hn::Min(hn::Max(x, least), most)));
    const auto sigmoid = hn::Div(g, hn::Add(hn::Set(d, 1.0f), e));
    hn::StoreU(hn::Mul(sigmoid, hn::LoadU(d, up + i)), d, out + i);
  }
#endif
  for (; i < count; ++i) {
    out[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  }
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
