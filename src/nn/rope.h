#pragma once

// Rotary position embedding (Su et al. 2021) and its published ways to reach
// longer contexts: linear, dynamic NTK, llama3, yarn (Peng et al. 2023),
// longrope (Ding et al. 2024). The formulas follow transformers'
// modeling_rope_utils, which the golden logits hold them to.

#include <optional>
#include <string>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/fused.h"

namespace assay::nn {

/** What a config says of rotary embeddings, in either spelling. */
struct RopeConfig {
  std::string type = "default";
  double theta = 0;
  /** Share of each head that is rotated. */
  double partial_rotary_factor = 1;
  double factor = 1;
  double max_position_embeddings = 0;
  /** Where the stretching starts; the field of that name, or the above. */
  double original_max_position_embeddings = 0;
  /** Scales the rotated values; found from the type where absent. */
  std::optional<double> attention_factor;
  double beta_fast = 32, beta_slow = 1;              // yarn
  bool truncate = true;                              // yarn
  std::optional<double> mscale, mscale_all_dim;      // yarn of DeepSeek
  double low_freq_factor = 1, high_freq_factor = 4;  // llama3
  std::vector<float> short_factor, long_factor;      // longrope
};

/** The periods of `dims` / 2 rotated pairs (inverse frequencies, as
 * mlx::fast::rope takes them) that do not depend on the context's length: all
 * but dynamic past its length, and longrope, whose short ones these are. */
std::vector<float> rope_periods(const RopeConfig& config, int dims);

class Rope {
 public:
  /** For heads of `head_dim`. `interleaved`: rotate neighbours (2i, 2i + 1)
   * instead of the two halves. Throws Error config.invalid-value for a type
   * that is not known or lacks what it needs. */
  Rope(const RopeConfig& config, int head_dim, bool interleaved = false);

  /** x [batch, heads, length, head_dim], rotated by positions `offset`,
   * `offset` + 1... `context`: length of the context that they belong to, if
   * it is longer than they reach; the frequencies of some types follow it. */
  mlx::core::array operator()(const mlx::core::array& x,
                              int offset,
                              int context = 0) const;

  /** The same for a node that rotates by itself; `length` is x's. The result
   * refers to this Rope or to `scratch`. */
  kernels::RopeAt at(int offset,
                     int context,
                     int length,
                     kernels::RopePeriods& scratch) const;

  /** True if a context of `longer` positions is rotated by other frequencies
   * than one of `shorter`, so that cached keys must be made anew. */
  bool changes_between(int shorter, int longer) const;

 private:
  /** Angle steps for a context of `length` positions: head_dim / 2 periods
   * (the inverse of frequencies, as mlx::fast::rope takes them). */
  const kernels::RopePeriods& periods(int length,
                                      kernels::RopePeriods& scratch) const;

  RopeConfig config_;
  int dims_;
  bool interleaved_;
  float scale_ = 1;
  kernels::RopePeriods periods_;       ///< for any length, or for short ones
  kernels::RopePeriods long_periods_;  ///< longrope past the original length
};

}  // namespace assay::nn
