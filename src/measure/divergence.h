#pragma once

// How far one model's predictions are from another's on the same tokens.

#include <cstdint>
#include <span>

#include <mlx/array.h>

#include "assay/arch/loaded_model.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"

namespace assay {

struct Divergence {
  uint64_t positions = 0;
  /** Mean and largest of KL(P || Q) = sum p (log p - log q), nats a position;
   * P is the reference. */
  double kl_mean = 0;
  double kl_max = 0;
  double top1_agreement = 0;  ///< share of positions, 0 to 1
  double max_abs = 0;         ///< of the differences of logits
  double mean_abs = 0;
};

/** Sums of parts of a sequence. */
class DivergenceSum {
 public:
  /** Logits [positions, vocab] of the same tokens, or [batch, positions,
   * vocab]. Throws Error shape.mismatch. */
  void add(const mlx::core::array& reference,
           const mlx::core::array& candidate);
  Divergence mean() const;

 private:
  Divergence sums_;
  double agreements_ = 0;
};

/** Of logits [positions, vocab] of the same tokens: float32, evaluated. */
Divergence divergence(const mlx::core::array& reference,
                      const mlx::core::array& candidate);

/** Of two models over a text, in windows of `window` tokens that are run by
 * themselves. Throws Error shape.mismatch where the vocabularies differ in
 * size, measure.too-short. Progress counts tokens. */
Divergence kl(const nn::LanguageModel& reference,
              const nn::LanguageModel& candidate,
              std::span<const int32_t> ids,
              int window = 512,
              const Progress& progress = {});
Divergence kl(const arch::LoadedModel& reference,
              const arch::LoadedModel& candidate,
              std::span<const int32_t> ids,
              int window = 512,
              const Progress& progress = {});

Json to_json(const Divergence& divergence);

}  // namespace assay
