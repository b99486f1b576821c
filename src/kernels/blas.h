#pragma once

// The BLAS that MLX's own products end in on the CPU. The wheel of MLX for
// Linux bundles the reference BLAS, and calls the first definition of
// `cblas_sgemm` that the loader meets: the program's, which loads OpenBLAS at
// its first call. Linked, OpenBLAS would cost every start 3 ms (14,000
// relocations) and a thread that spins.
//
// Non-goal: LAPACK. MLX's linalg, which Assay does not call, keeps the wheel's.

#include <filesystem>

namespace assay::kernels {

/** The library whose cblas_sgemm is used, loaded if it was not; empty where
 * there is none. */
std::filesystem::path blas_library();

}  // namespace assay::kernels
