#pragma once

// Emitter: takes tokens as they are drawn, makes text of them, knows when to
// end, and fills the Generation.

#include <optional>
#include <set>
#include <vector>

#include "assay/generate/generate.h"
#include "assay/generate/stop_text.h"

namespace assay {

/** One drawn token, not evaluated: id (int32) and log-probability without
 * axes, and the likeliest ids and their log-probabilities, [top_logprobs]. */
struct Drawn {
  mlx::core::array token, logprob;
  std::optional<mlx::core::array> top_ids = {}, top_logprobs = {};

  std::vector<mlx::core::array> arrays() const;
};

/** Logits [vocab] to a token; see draw(). */
Drawn draw_token(const GenerateOptions& options,
                 const mlx::core::array& logits,
                 const mlx::core::array& recent,
                 const mlx::core::array& key);
/** The same token, known already, with its log-probabilities. */
Drawn as_drawn(const GenerateOptions& options,
               const mlx::core::array& logprobs,
               const mlx::core::array& token);

class Emitter {
 public:
  Emitter(const Tokenizer* tokenizer,
          const std::vector<int32_t>& eos,
          const GenerateOptions& options,
          const OnToken& on_token,
          Generation& result);

  /** Waits for the token and gives it out. */
  void add(const Drawn& drawn, bool from_draft = false);
  bool ended() const { return ended_; }
  /** How many tokens may still come. */
  int left() const;

 private:
  void end(FinishReason reason);
  std::vector<TokenLogprob> top_of(const Drawn& drawn) const;

  const Tokenizer* tokenizer_;
  const GenerateOptions& options_;
  const OnToken& on_token_;
  Generation& result_;
  std::set<int32_t> stop_ids_;
  std::optional<StreamDecoder> decoder_;
  StopText stop_;
  bool ended_ = false;
};

}  // namespace assay
