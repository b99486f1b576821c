#pragma once

// Speculative decoding (Leviathan et al. 2023): a small model guesses a few
// tokens, the large one checks them all in one pass.

#include <mlx/array.h>

#include "assay/generate/emitter.h"
#include "assay/generate/runner.h"

namespace assay {

/** Keys for one generation: each call gives another. */
class Keys {
 public:
  explicit Keys(uint64_t seed);
  mlx::core::array next();

 private:
  mlx::core::array key_;
};

/** The last `context` of `ids` as int32 [n]. */
mlx::core::array recent_ids(std::span<const int32_t> ids, int context);

/** Draws until the emitter has ended. `history`: prompt and the first token,
 * which is not in the target's caches yet; grows. `vocab`: width of the
 * target's logits. What both caches hold at the
 * end is a beginning of it. */
void speculate(Runner& target,
               Runner& draft,
               const GenerateOptions& options,
               Keys& keys,
               int vocab,
               std::vector<int32_t>& history,
               Emitter& emitter,
               GenerationStats& stats);

}  // namespace assay
