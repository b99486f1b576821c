#pragma once

// Products of activations with stored weights, spread over the pool. Sums are
// float32; only their order differs from the textbook's.

#include <cstddef>
#include <functional>
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

/** What follows a product while its sums are in the cache. */
struct Finish {
  /** Products are cut alike, and one call of `rows` is for all of them; their
   * weights have as many rows. */
  bool together = false;
  /** Called once for rows [begin, end) of the weight of `product` (the first
   * where they are together), when all activations have met them, by the
   * thread that did it. May be empty. */
  std::function<void(size_t product, size_t begin, size_t end)> rows = {};
};

/** True if activations that were brought into order for one of the weights are
 * in order for the other. */
bool meet_alike(const Matrix& a, const Matrix& b);

/** out = x @ w^T for each product; all weights meet_alike. */
void multiply(std::span<const Product> products,
              ptrdiff_t stride,
              Activations activations,
              const Finish& finish = {});

/** Rows `ids` of w as float32, one after the other. */
void decode_rows(const Matrix& w, std::span<const size_t> ids, float* out);

}  // namespace assay::kernels
