#include <initializer_list>
#include <stdexcept>
#include <string>

#include "assay/core/platform_library.h"
#include "assay/kernels/blas.h"

namespace assay::kernels {
namespace {

// By its name, as the loader finds libraries, else where the build saw it. Null
// where OpenBLAS is gone since: then the reference BLAS of the wheel serves,
// and `assay doctor` says so.
void* openblas() {
  static void* const library = [] {
    for (const char* file : {ASSAY_OPENBLAS, ASSAY_OPENBLAS_FILE}) {
      std::string reason;
      if (void* found = platform::load_library(file, reason)) {
        return found;
      }
    }
    return static_cast<void*>(nullptr);
  }();
  return library;
}

void* find(const char* name) {
  void* library = openblas();
  void* found =
      library == nullptr ? nullptr : platform::symbol_in(library, name);
  return found == nullptr ? platform::symbol_behind_program(name) : found;
}

template <class Function>
Function* function(const char* name) {
  void* found = find(name);
  if (found == nullptr) {
    throw std::runtime_error(std::string("[matmul] no library defines ") +
                             name);
  }
  return reinterpret_cast<Function*>(found);
}

}  // namespace

std::filesystem::path blas_library() {
  return platform::library_of(find("cblas_sgemm"));
}

}  // namespace assay::kernels

// What libmlx asks for. The enums of cblas.h are passed as int.
extern "C" {

using assay::kernels::function;

void cblas_sgemm(int order,
                 int trans_a,
                 int trans_b,
                 int m,
                 int n,
                 int k,
                 float alpha,
                 const float* a,
                 int lda,
                 const float* b,
                 int ldb,
                 float beta,
                 float* c,
                 int ldc) {
  static auto* const real = function<decltype(cblas_sgemm)>("cblas_sgemm");
  real(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_dgemm(int order,
                 int trans_a,
                 int trans_b,
                 int m,
                 int n,
                 int k,
                 double alpha,
                 const double* a,
                 int lda,
                 const double* b,
                 int ldb,
                 double beta,
                 double* c,
                 int ldc) {
  static auto* const real = function<decltype(cblas_dgemm)>("cblas_dgemm");
  real(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

void cblas_cgemm(int order,
                 int trans_a,
                 int trans_b,
                 int m,
                 int n,
                 int k,
                 const void* alpha,
                 const void* a,
                 int lda,
                 const void* b,
                 int ldb,
                 const void* beta,
                 void* c,
                 int ldc) {
  static auto* const real = function<decltype(cblas_cgemm)>("cblas_cgemm");
  real(order, trans_a, trans_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
}
