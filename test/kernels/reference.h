#pragma once

// What the kernels must compute, written plainly from the definitions of the
// formats: bit by bit, in float64. Shared by the tests of the room.

#include <string>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/linear.h"
#include "assay/kernels/simd.h"

namespace assay::kernels::test {

struct FormatCase {
  std::string name;
  std::string mode;  ///< "" for a weight that is not quantized
  int group = 0;
  int bits = 0;
  mlx::core::Dtype dtype = mlx::core::float32;  ///< of scales, or the weight
};

/** Every format that a weight may have. */
std::vector<FormatCase> all_formats();

/** Normally distributed, from a seed. */
mlx::core::array random(mlx::core::Shape shape, int seed);

/** A random weight of the shape, quantized by MLX. */
Weight make_weight(const FormatCase& format, mlx::core::Shape shape, int seed);

/** All values of the weight, row-major. */
std::vector<double> values(const Weight& weight);
/** Values of any floating array, row-major. */
std::vector<double> values(const mlx::core::array& a);

/** Largest |actual - expected| of x @ w^T, over the sum of |x w| that it was
 * made from; expected is computed here in float64. x [rows, in]. Where
 * activations may be integers, less what their rounding explains at most. */
double product_error(const mlx::core::array& actual,
                     const mlx::core::array& x,
                     const Weight& weight);

/** Restores the default when it goes. */
struct ActivationsChoice {
  explicit ActivationsChoice(Activations choice) { set_activations(choice); }
  ActivationsChoice(const ActivationsChoice&) = delete;
  ActivationsChoice& operator=(const ActivationsChoice&) = delete;
  ~ActivationsChoice() { set_activations(Activations::int16); }
};

/** Restores the choice of the processor's best set when it goes. */
struct BestTarget {
  BestTarget() = default;
  BestTarget(const BestTarget&) = delete;
  BestTarget& operator=(const BestTarget&) = delete;
  ~BestTarget() { use_kernels(*available_kernels().front()); }
};

/** Float32 sums in another order; the promise of the room is 1e-5. */
inline constexpr double kTolerance = 5e-6;

}  // namespace assay::kernels::test
