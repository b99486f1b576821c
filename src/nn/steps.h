#pragma once

// Steps between stored tensors and parameters: on shapes (for checks, without
// data), on arrays, and backwards (for exports).

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <mlx/array.h>

#include "assay/nn/parameter.h"

namespace assay::nn {

/** The shape that the steps make of stored shapes; nothing if they do not
 * apply (a slice past the end, another number of elements...). */
std::optional<Shape> apply_steps(const std::vector<Step>& steps,
                                 const std::vector<Shape>& stored);

/** The array that the steps make of stored ones. Also for the packed words,
 * scales and biases of quantized weights, whose last axis is another, if
 * keeps_rows(). Precondition: the shapes apply. */
mlx::core::array apply_steps(const std::vector<Step>& steps,
                             const std::vector<mlx::core::array>& stored);

/** True if the steps leave the last axis of tensors with `dims` dimensions
 * alone, so that they apply to quantized rows. */
bool keeps_rows(const std::vector<Step>& steps, size_t dims);

/** One parameter's share of stored tensors: several may come from the same. */
struct Share {
  const Source* source = nullptr;
  mlx::core::array value;
};

/** The stored tensors, by name, that give all these parameters, which name the
 * same source tensors. Throws std::invalid_argument if the shares do not cover
 * them. */
std::vector<std::pair<std::string, mlx::core::array>> undo_steps(
    const std::vector<Share>& shares);

}  // namespace assay::nn
