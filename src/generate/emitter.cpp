#include "assay/generate/emitter.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

namespace assay {
namespace mx = mlx::core;

std::vector<mx::array> Drawn::arrays() const {
  std::vector<mx::array> all = {token, logprob};
  if (top_ids) {
    all.push_back(*top_ids);
    all.push_back(*top_logprobs);
  }
  return all;
}

Drawn as_drawn(const GenerateOptions& options,
               const mx::array& logprobs,
               const mx::array& token) {
  Drawn drawn{token, mx::take(logprobs, token, 0)};
  int count = std::min(options.top_logprobs, logprobs.shape(0));
  if (count > 0) {
    auto order = mx::argpartition(mx::negative(logprobs), count - 1, 0);
    drawn.top_ids = mx::astype(mx::slice(order, {0}, {count}), mx::int32);
    drawn.top_logprobs = mx::take(logprobs, *drawn.top_ids, 0);
  }
  return drawn;
}

Drawn draw_token(const GenerateOptions& options,
                 const mx::array& logits,
                 const mx::array& recent,
                 const mx::array& key) {
  auto logprobs = penalized_logprobs(options.sampling, logits, recent);
  return as_drawn(options, logprobs, draw(options.sampling, logprobs, key));
}

Emitter::Emitter(const Tokenizer* tokenizer,
                 const std::vector<int32_t>& eos,
                 const GenerateOptions& options,
                 const OnToken& on_token,
                 Generation& result)
    : tokenizer_(tokenizer),
      options_(options),
      on_token_(on_token),
      result_(result),
      stop_ids_(options.stop_ids.begin(), options.stop_ids.end()),
      stop_(options.stop) {
  if (!options.ignore_eos) {
    stop_ids_.insert(eos.begin(), eos.end());
  }
  if (tokenizer != nullptr) {
    decoder_.emplace(*tokenizer, options.skip_special);
  }
}

int Emitter::left() const {
  return ended_ ? 0
                : options_.max_tokens - static_cast<int>(result_.ids.size());
}

void Emitter::end(FinishReason reason) {
  ended_ = true;
  result_.finish = reason;
}

std::vector<TokenLogprob> Emitter::top_of(const Drawn& drawn) const {
  std::vector<TokenLogprob> top;
  if (!drawn.top_ids) {
    return top;
  }
  auto ids = mx::contiguous(*drawn.top_ids);
  auto logprobs = mx::contiguous(*drawn.top_logprobs);
  mx::eval(ids, logprobs);
  for (size_t i = 0; i < ids.size(); ++i) {
    int32_t id = ids.data<int32_t>()[i];
    auto token = tokenizer_ != nullptr ? tokenizer_->id_to_token(id)
                                       : std::optional<std::string>();
    top.push_back({id, token.value_or(""), logprobs.data<float>()[i]});
  }
  std::ranges::stable_sort(top, std::greater<>(), &TokenLogprob::logprob);
  return top;
}

void Emitter::add(const Drawn& drawn, bool from_draft) {
  auto token = drawn.token;
  auto logprob = drawn.logprob;
  int32_t id = token.item<int32_t>();
  float value = logprob.item<float>();
  if (std::isnan(value)) {
    fail("inference.not-finite",
         fmt::format("token {} of the answer", result_.ids.size()),
         "a log-probability",
         "NaN");
  }
  result_.ids.push_back(id);
  if (stop_ids_.contains(id)) {
    end(FinishReason::stop);
  } else if (left() == 0) {
    end(FinishReason::length);
  }
  std::string text;
  if (decoder_) {
    std::string piece;
    if (!stop_ids_.contains(id)) {
      piece = decoder_->push(id);
    }
    if (ended_) {
      piece += decoder_->finish();
    }
    text = stop_.push(piece);
    if (!stop_.matched().empty()) {
      result_.stop_text = stop_.matched();
      end(FinishReason::stop);
    } else if (ended_) {
      text += stop_.finish();
    }
  }
  result_.text += text;
  result_.tokens.push_back(
      {id, std::move(text), value, top_of(drawn), from_draft});
  if (on_token_ && !on_token_(result_.tokens.back()) && !ended_) {
    end(FinishReason::cancelled);
  }
}

}  // namespace assay
