#pragma once

// One piece of memory for all rewritten weights of a model. A step of decoding
// reads them once from end to end: under large pages the processor looks up
// few addresses, and the kernel clears few pages when they are loaded.

#include <cstddef>
#include <optional>

#include <mlx/array.h>

namespace assay::nn {

/** An array of memory of its own, to be filled. */
mlx::core::array fresh(mlx::core::Shape shape, mlx::core::Dtype dtype);

/** Its copies share the memory: one kept from before gives back what was taken
 * since. */
class WeightSlab {
 public:
  /** Without memory: every array gets its own. */
  WeightSlab() = default;
  /** For arrays of `bytes` in all, where that is worth it (see the source). */
  explicit WeightSlab(size_t bytes);

  /** What an array of so many bytes takes of it. */
  static size_t room(size_t bytes);
  /** An array within the slab, to be filled; like fresh() where it is full. */
  mlx::core::array take(mlx::core::Shape shape, mlx::core::Dtype dtype);
  /** `x`, evaluated and copied into the slab; `x` itself where it is full. */
  mlx::core::array settle(const mlx::core::array& x);

 private:
  bool has_room(size_t bytes) const;

  std::optional<mlx::core::array> memory_;  ///< uint64 [bytes / 8]
  size_t used_ = 0;
};

}  // namespace assay::nn
