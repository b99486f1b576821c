// Compiles the products of many rows of integer activations.

#include "assay/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "assay/kernels/integer_tile.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <hwy/highway.h>

#include "assay/kernels/integer_tile-inl.h"
#include "assay/kernels/integer_tile.h"

#if ASSAY_INTEGER_TILE

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

bool CallHas(const Matrix& w) {
  return w.format == Format::affine && (w.bits == 4 || w.bits == 8);
}
void CallPack(const Matrix& w,
              const float* x,
              ptrdiff_t stride,
              const IntegerRow& to) {
  PackColumns(w, SideBySide(w, x, stride), to);
}
void CallMultiply(const Matrix& w,
                  std::span<const IntegerRow> x,
                  std::span<float* const> out,
                  size_t begin,
                  size_t end) {
  if (w.bits == 4) {
    MultiplyManyIntegers<4>(w, x, out, begin, end);
  } else {
    MultiplyManyIntegers<8>(w, x, out, begin, end);
  }
}

const IntegerTileKernels* GetIntegerTile() {
  static constexpr IntegerTileKernels kTable{CallHas, CallPack, CallMultiply};
  return &kTable;
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace assay::kernels {

const IntegerTileKernels* integer_tile(InstructionSet set) {
  const IntegerTileKernels* (*get)() = nullptr;
#if HWY_ARCH_X86
  get = set == InstructionSet::avx512_vnni ? HWY_CHOOSE_AVX3(GetIntegerTile)
                                           : HWY_CHOOSE_AVX2(GetIntegerTile);
#else
  static_cast<void>(set);
#endif
  return get == nullptr ? nullptr : get();
}

}  // namespace assay::kernels
#endif
