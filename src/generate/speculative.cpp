#include "assay/generate/speculative.h"

#include <algorithm>
#include <limits>

#include <mlx/ops.h>
#include <mlx/random.h>
#include <mlx/transforms.h>

namespace assay {
namespace mx = mlx::core;

Keys::Keys(uint64_t seed) : key_(mx::random::key(seed)) {}

mx::array Keys::next() {
  auto [rest, key] = mx::random::split(key_);
  key_ = rest;
  return key;
}

mx::array recent_ids(std::span<const int32_t> ids, int context) {
  auto last = ids.last(std::min(ids.size(), static_cast<size_t>(context)));
  return mx::array(last.begin(), {static_cast<int>(last.size())}, mx::int32);
}

namespace {

struct Round {
  Runner& target;
  Runner& draft;
  const GenerateOptions& options;
  Keys& keys;
  std::vector<int32_t>& history;

  bool greedy() const { return options.sampling.temperature == 0; }

  mx::array logprobs(const mx::array& logits) const {
    return penalized_logprobs(
        options.sampling,
        logits,
        recent_ids(history, options.sampling.penalty_context));
  }

  // The distribution that tokens are drawn from, [vocab].
  mx::array probabilities(const mx::array& logprobs) const {
    return mx::softmax(filtered_logprobs(options.sampling, logprobs), -1, true);
  }
};

struct Guess {
  int32_t id;
  std::optional<mx::array> probabilities;  ///< absent at temperature 0
};

mx::array row(const mx::array& logits, int index) {
  return mx::take(logits, index, 0);
}

// The draft's logits at the target's width: vocabularies are padded to
// different sizes.
mx::array fit_width(const mx::array& logits, int vocab) {
  int width = logits.shape(0);
  if (width >= vocab) {
    return mx::slice(logits, {0}, {vocab});
  }
  return mx::concatenate({logits,
                          mx::full({vocab - width},
                                   -std::numeric_limits<float>::infinity(),
                                   logits.dtype())},
                         0);
}

std::vector<Guess> guess(Round& round, int count, int vocab) {
  std::vector<Guess> guesses;
  auto& history = round.history;
  size_t known = history.size();
  for (int i = 0; i < count; ++i) {
    auto missing = std::span(history).subspan(round.draft.ids().size());
    auto logits = fit_width(row(round.draft.step(missing, 1), 0), vocab);
    auto logprobs = round.logprobs(logits);
    Guess next{0, std::nullopt};
    auto token = mx::argmax(logprobs);
    if (!round.greedy()) {
      next.probabilities = round.probabilities(logprobs);
      token = mx::random::categorical(
          mx::log(*next.probabilities), -1, round.keys.next());
    }
    next.id = mx::astype(token, mx::int32).item<int32_t>();
    guesses.push_back(next);
    history.push_back(next.id);
  }
  history.resize(known);
  return guesses;
}

// The target's word on one guess: the guess itself, or another token.
mx::array verdict(Round& round, const mx::array& logprobs, const Guess& guess) {
  auto guessed = mx::array(guess.id, mx::int32);
  if (round.greedy()) {
    return mx::astype(mx::argmax(logprobs), mx::int32);
  }
  auto p = round.probabilities(logprobs);
  const auto& q = *guess.probabilities;
  auto chance = mx::take(p, guessed, 0) / mx::take(q, guessed, 0);
  auto accepted =
      mx::less(mx::random::uniform({}, mx::float32, round.keys.next()), chance);
  // Refused: what the target gives more than the draft did. (Nothing is left
  // only if both agree, and then no guess is refused.)
  auto rest = mx::maximum(p - q, mx::array(0.0f));
  auto other = mx::astype(
      mx::random::categorical(mx::log(rest), -1, round.keys.next()), mx::int32);
  return mx::where(accepted, guessed, other);
}

}  // namespace

void speculate(Runner& target,
               Runner& draft,
               const GenerateOptions& options,
               Keys& keys,
               int vocab,
               std::vector<int32_t>& history,
               Emitter& emitter,
               GenerationStats& stats) {
  Round round{target, draft, options, keys, history};
  while (!emitter.ended()) {
    // One token comes without a guess, so the last needs none.
    int count = std::min(options.num_draft_tokens, emitter.left() - 1);
    auto guesses = guess(round, count, vocab);
    std::vector<int32_t> run = {history.back()};
    for (const auto& each : guesses) {
      run.push_back(each.id);
    }
    auto logits = target.step(run, count + 1);
    mx::eval(logits);
    for (int i = 0; i <= count && !emitter.ended(); ++i) {
      auto logprobs = round.logprobs(row(logits, i));
      auto token = i < count ? verdict(round, logprobs, guesses[i])
                             : draw(options.sampling, logprobs, keys.next());
      auto drawn = as_drawn(options, logprobs, token);
      mx::eval(drawn.arrays());
      int32_t id = drawn.token.item<int32_t>();
      bool accepted = i < count && id == guesses[i].id;
      history.push_back(id);
      stats.accepted_tokens += accepted;
      emitter.add(drawn, accepted);
      if (!accepted) {
        break;
      }
    }
    stats.drafted_tokens += count;
    // The last token of the history has not run; a guess that was refused has.
    size_t good = history.size() - 1;
    for (auto* runner : {&target, &draft}) {
      runner->trim(std::max(runner->ids().size(), good) - good);
    }
  }
}

}  // namespace assay
