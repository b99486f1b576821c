#include "assay/kernels/blas.h"

#include "assay/core/platform_library.h"

namespace assay::kernels {

// Elsewhere MLX is linked against a fast BLAS.
std::filesystem::path blas_library() {
  return platform::library_of(platform::symbol_of_process("cblas_sgemm"));
}

}  // namespace assay::kernels
