#pragma once

// What a weight must be before a product is built from it. Everything here
// asks for shapes and types only, so it holds for arrays that have no data.

#include <string_view>

#include <mlx/array.h>

#include "assay/kernels/linear.h"
#include "assay/kernels/matrix.h"

namespace assay::kernels {

/** Format, bits and group of the weight; pointers are left null, rows and
 * columns are set. Throws std::invalid_argument in MLX's form, naming the
 * `operation`, unless data has `dimensions` axes and scales and biases fit. */
Matrix describe(std::string_view operation,
                const Weight& weight,
                size_t dimensions);

/** Throws unless x is of a floating type, has at least one axis and its last is
 * w.columns. */
void check_width(std::string_view operation,
                 const mlx::core::array& x,
                 const Weight& weight,
                 const Matrix& w);
void check_width(std::string_view operation,
                 const mlx::core::Shape& x,
                 const Weight& weight,
                 const Matrix& w);

/** check_width, and throws unless x has rows and experts are integers whose
 * axes broadcast against the batch axes of x. */
void check_gathered(const mlx::core::array& x,
                    const Weight& weight,
                    const Matrix& w,
                    const mlx::core::array& experts);

/** Throws unless q [batch, heads, length, dim] can meet keys and values
 * [batch, kv_heads, positions, ...] of these shapes. */
void check_attention(const mlx::core::Shape& q,
                     const Weight& keys,
                     const Matrix& described_keys,
                     const Weight& values);

/** Throws unless x [batch, heads, length, dim] has that many pairs to rotate.
 */
void check_rope(const mlx::core::Shape& x, size_t pairs);

/** Throws unless the array holds integers. */
void check_integers(std::string_view operation,
                    std::string_view what,
                    const mlx::core::array& ids);

}  // namespace assay::kernels
