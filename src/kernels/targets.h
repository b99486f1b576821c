#pragma once

// The instruction sets that kernels are compiled for. Comes before Highway's
// headers.

// SSSE3 without SSE4, AVX-512 with more than its first set, and scalable
// vectors would be rarely taken paths that nobody tests. Arm has one set, the
// one that the compiler assumes.
#define HWY_DISABLED_TARGETS \
  (HWY_SSSE3 | HWY_AVX3_DL | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
#if !defined(__x86_64__)
#define HWY_COMPILE_ONLY_STATIC
#endif
