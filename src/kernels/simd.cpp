// Compiles the kernels once for each instruction set and picks among them.

#include "assay/kernels/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "assay/kernels/simd.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.
#include <algorithm>
#include <atomic>
#include <string_view>
#include <vector>

#include <hwy/highway.h>

#include "assay/kernels/attend-inl.h"
#include "assay/kernels/exp_sum-inl.h"
#include "assay/kernels/fours-inl.h"
#include "assay/kernels/silu-inl.h"
#include "assay/kernels/simd.h"
#include "assay/kernels/tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace assay::kernels::HWY_NAMESPACE {

// Calls Use::Call<F>(args...) with the format of w.
template <class Use, class... Args>
auto WithFormat(const Matrix& w, Args... args) {
  switch (w.format) {
    case Format::f32:
      return Use::template Call<Dense<float>>(w, args...);
    case Format::f16:
      return Use::template Call<Dense<hwy::float16_t>>(w, args...);
    case Format::bf16:
      return Use::template Call<Dense<hwy::bfloat16_t>>(w, args...);
    case Format::mxfp8:
      return Use::template Call<Fp8Words>(w, args...);
    case Format::mxfp4:
    case Format::nvfp4:
      return Use::template Call<Fp4Words>(w, args...);
    case Format::affine:
      break;
  }
  switch (w.bits) {
    case 2:
      return Use::template Call<AffineWords<2>>(w, args...);
    case 3:
      return Use::template Call<AffineBits<3>>(w, args...);
    case 4:
      return Use::template Call<AffineWords<4>>(w, args...);
    case 5:
      return Use::template Call<AffineBits<5>>(w, args...);
    case 6:
      return Use::template Call<AffineBits<6>>(w, args...);
    default:
      return Use::template Call<AffineWords<8>>(w, args...);
  }
}

struct UsePaddedColumns {
  template <class F>
  static size_t Call(const Matrix& w) {
    return PaddedColumns<F>(w);
  }
};
struct UsePaddedSums {
  template <class F>
  static size_t Call(const Matrix& w) {
    return PaddedSums<F>(w);
  }
};
struct UsePack {
  template <class F>
  static void Call(const Matrix& w,
                   const float* x,
                   ptrdiff_t stride,
                   float* values,
                   float* sums) {
    Pack<F>(w, x, stride, values, sums);
  }
};
struct UseMultiplyOne {
  template <class F>
  static void Call(const Matrix& w,
                   const PackedRow* x,
                   size_t begin,
                   size_t end) {
    MultiplyOne<F>(w, *x, begin, end);
  }
};
struct UseMultiplyMany {
  template <class F>
  static void Call(const Matrix& w,
                   std::span<const PackedRow> x,
                   size_t begin,
                   size_t end) {
    MultiplyMany<F>(w, x, begin, end);
  }
};
template <class T>
struct UseIntegers {
  struct Has {
    template <class F>
    static bool Call(const Matrix& w) {
      return IntegerProducts<T, F>::Has(w);
    }
  };
  struct ValueBytes {
    template <class F>
    static size_t Call(const Matrix& w) {
      return IntegerProducts<T, F>::ValueBytes(w);
    }
  };
  struct Groups {
    template <class F>
    static size_t Call(const Matrix& w) {
      return IntegerProducts<T, F>::Groups(w);
    }
  };
  struct Pack {
    template <class F>
    static void Call(const Matrix& w, const float* x, const IntegerRow* to) {
      IntegerProducts<T, F>::Pack(w, x, to);
    }
  };
  struct Multiply {
    template <class F>
    static void Call(const Matrix& w,
                     const IntegerRow* x,
                     float* out,
                     size_t begin,
                     size_t end) {
      IntegerProducts<T, F>::Multiply(w, x, out, begin, end);
    }
  };
};
struct UseDecode {
  template <class F>
  static void Call(const Matrix& w, size_t row, float* out) {
    Decode<F>(w, row, out);
  }
};

size_t CallPaddedColumns(const Matrix& w) {
  return WithFormat<UsePaddedColumns>(w);
}
size_t CallPaddedSums(const Matrix& w) {
  return WithFormat<UsePaddedSums>(w);
}
void CallPack(const Matrix& w,
              const float* x,
              ptrdiff_t stride,
              float* values,
              float* sums) {
  WithFormat<UsePack>(w, x, stride, values, sums);
}
void CallMultiplyOne(const Matrix& w,
                     const PackedRow& x,
                     size_t begin,
                     size_t end) {
  WithFormat<UseMultiplyOne>(w, &x, begin, end);
}
void CallMultiplyMany(const Matrix& w,
                      std::span<const PackedRow> x,
                      size_t begin,
                      size_t end) {
  WithFormat<UseMultiplyMany>(w, x, begin, end);
}

template <class T>
struct CallIntegers {
  using Use = UseIntegers<T>;

  static bool Has(const Matrix& w) { return WithFormat<typename Use::Has>(w); }
  static size_t ValueBytes(const Matrix& w) {
    return WithFormat<typename Use::ValueBytes>(w);
  }
  static size_t Groups(const Matrix& w) {
    return WithFormat<typename Use::Groups>(w);
  }
  static void Pack(const Matrix& w,
                   const float* x,
                   ptrdiff_t stride,
                   const IntegerRow& to) {
    WithFormat<typename Use::Pack>(w, SideBySide(w, x, stride), &to);
  }
  static void Multiply(const Matrix& w,
                       const IntegerRow& x,
                       float* out,
                       size_t begin,
                       size_t end) {
    WithFormat<typename Use::Multiply>(w, &x, out, begin, end);
  }
  static constexpr IntegerKernels kTable{
      Has, ValueBytes, Groups, Pack, Multiply};
};

void CallDecode(const Matrix& w, size_t row, float* out) {
  WithFormat<UseDecode>(w, row, out);
}
void CallAttend(const AttentionTask& task) {
  Attend(task, CallDecode);
}

// In quantize.cpp, which is compiled without fused multiply-adds.
bool QuantizeAffine(const AffineRows& rows, RoundingError& error);

const Kernels* GetKernels() {
  static const Kernels table{hwy::TargetName(HWY_TARGET),
                             size_t{kLanes},
                             CallPaddedColumns,
                             CallPaddedSums,
                             CallPack,
                             CallMultiplyOne,
                             CallMultiplyMany,
                             CallIntegers<int16_t>::kTable,
                             CallIntegers<int8_t>::kTable,
                             CallAttend,
                             CallDecode,
                             SumOfExps,
                             SiluGate,
                             QuantizeAffine};
  return &table;
}

}  // namespace assay::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace assay::kernels {
namespace {

// What Highway assumes of each set. Asked of the compiler's run-time library
// and not of libhwy, whose constructors measure the timer when the program
// starts: 4.5 ms that `assay inspect` has no use for.
#if HWY_ARCH_X86
bool has_crypto() {
  return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
}
bool has_sse4() {
  return __builtin_cpu_supports("x86-64-v2") && has_crypto();
}
bool has_avx2() {
  return __builtin_cpu_supports("x86-64-v3") && has_crypto();
}
bool has_avx512() {
  return __builtin_cpu_supports("x86-64-v4") && has_crypto();
}
bool has_vnni() {
  return has_avx512() && __builtin_cpu_supports("avx512vnni");
}
#endif

// A set that was not compiled, for the compiler is too old or assumes a better
// one, is null here.
std::vector<Kernels> find_kernels() {
  std::vector<Kernels> found;
  auto add = [&](const Kernels* (*get)(),
                 const char* name = nullptr,
                 const IntegerTileKernels* tile = nullptr) {
    if (get == nullptr || (name != nullptr && tile == nullptr)) {
      return;
    }
    Kernels set = *get();
    set.integer_tile = tile;
    if (name != nullptr) {
      set.name = name;
    }
    bool seen = std::ranges::any_of(found, [&](const Kernels& other) {
      return std::string_view(other.name) == set.name;
    });
    if (!seen) {
      found.push_back(set);
    }
  };
#if HWY_ARCH_X86
  __builtin_cpu_init();
  if (has_vnni()) {
    add(HWY_CHOOSE_AVX3(GetKernels),
        "AVX3_VNNI",
        integer_tile(InstructionSet::avx512_vnni));
  }
  if (has_avx512()) {
    add(HWY_CHOOSE_AVX3(GetKernels));
  }
  if (has_avx2()) {
    add(HWY_CHOOSE_AVX2(GetKernels));
    // Slower than float32, so never the best: for tests where there is no VNNI.
    add(HWY_CHOOSE_AVX2(GetKernels),
        "AVX2_INTEGER",
        integer_tile(InstructionSet::avx2));
  }
  if (has_sse4()) {
    add(HWY_CHOOSE_SSE4(GetKernels));
  }
#endif
  add(HWY_CHOOSE_FALLBACK(GetKernels));
  return found;
}

std::vector<const Kernels*> addresses(const std::vector<Kernels>& all) {
  std::vector<const Kernels*> result;
  for (const auto& one : all) {
    result.push_back(&one);
  }
  return result;
}

std::atomic<const Kernels*>& chosen() {
  static std::atomic<const Kernels*> kernels{available_kernels().front()};
  return kernels;
}

}  // namespace

std::span<const Kernels* const> available_kernels() {
  static const auto kFound = find_kernels();
  static const auto kAddresses = addresses(kFound);
  return kAddresses;
}

const Kernels& kernels() {
  return *chosen().load(std::memory_order_relaxed);
}

void use_kernels(const Kernels& kernels) {
  chosen().store(&kernels, std::memory_order_relaxed);
}

}  // namespace assay::kernels
#endif
