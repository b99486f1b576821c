#pragma once

// Products of activations with stored weights, spread over the pool. Sums are
// float32; only their order differs from the textbook's.

#include <cstddef>
#include <span>
#include <vector>

#include "assay/kernels/matrix.h"

namespace assay::kernels {

/** One row of activations in memory, and where its product goes. */
struct ActivationRow {
  const float* x = nullptr;  ///< w.columns values, `stride` apart
  float* out = nullptr;      ///< w.rows values
};

/** Rows of activations that meet the same weight. */
struct Product {
  Matrix w;
  std::vector<ActivationRow> rows;
};

/** out = x @ w^T for each product; all weights have one shape and format.
 * `integers`: few rows may meet integer weights as 16-bit integers. */
void multiply(std::span<const Product> products,
              ptrdiff_t stride,
              bool integers);

/** Rows `ids` of w as float32, one after the other. */
void decode_rows(const Matrix& w, std::span<const size_t> ids, float* out);

}  // namespace assay::kernels
