#include "assay/measure/perplexity.h"

#include <chrono>
#include <cmath>
#include <vector>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/measure/forward.h"

namespace assay {
namespace mx = mlx::core;
using namespace measurement;

namespace {

struct Sums {
  double loss = 0;
  double squares = 0;
  uint64_t count = 0;
};

void add_window(const nn::LanguageModel& model,
                std::span<const int32_t> ids,
                size_t first_predicted,
                int step,
                Sums& sums) {
  auto hidden = hidden_states(model, ids, step);
  // Row i predicts token i + 1; the last row predicts nothing.
  auto first = static_cast<int>(first_predicted) - 1;
  auto last = static_cast<int>(ids.size()) - 1;
  auto width = hidden.shape(1);
  auto vocab = model.logits(mx::slice(hidden, {0, 0}, {1, width})).shape(-1);
  for (auto [start, count] : row_pieces(last - first, vocab, step)) {
    int row = first + start;
    auto logits =
        logits_of(model, mx::slice(hidden, {row, 0}, {row + count, width}));
    auto targets = mx::array(ids.begin() + row + 1, {count}, mx::int32);
    for (double loss : losses(logits, targets)) {
      sums.loss += loss;
      sums.squares += loss * loss;
      ++sums.count;
    }
  }
}

}  // namespace

Perplexity perplexity(const nn::LanguageModel& model,
                      std::span<const int32_t> ids,
                      const PerplexityOptions& options,
                      const Progress& progress) {
  if (options.prefill_step_size < 1) {
    fail("measure.option",
         "prefill_step_size",
         "1 position or more",
         fmt::format("{}", options.prefill_step_size));
  }
  auto start = std::chrono::steady_clock::now();
  Sums sums;
  for (const auto& window :
       windows(ids.size(), options.window, options.stride)) {
    add_window(model,
               ids.subspan(window.start, window.length),
               window.first_predicted,
               options.prefill_step_size,
               sums);
    if (progress) {
      progress({"perplexity", window.start + window.length, ids.size()});
    }
  }
  auto count = static_cast<double>(sums.count);
  double mean = sums.loss / count;
  double variance = std::max(0.0, sums.squares / count - mean * mean);
  std::chrono::duration<double> elapsed =
      std::chrono::steady_clock::now() - start;
  return {.perplexity = std::exp(mean),
          .mean_nll = mean,
          .standard_error = std::sqrt(variance / count),
          .tokens = ids.size(),
          .predicted = sums.count,
          .window = options.window,
          .stride = options.stride == 0 ? options.window : options.stride,
          .prefill_step_size = options.prefill_step_size,
          .seconds = elapsed.count()};
}

Perplexity perplexity(const arch::LoadedModel& model,
                      std::span<const int32_t> ids,
                      const PerplexityOptions& options,
                      const Progress& progress) {
  return perplexity(model.model(), ids, options, progress);
}

Json to_json(const Perplexity& p) {
  return {{"perplexity", p.perplexity},
          {"mean_nll", p.mean_nll},
          {"standard_error", p.standard_error},
          {"tokens", p.tokens},
          {"predicted", p.predicted},
          {"window", p.window},
          {"stride", p.stride},
          {"prefill_step_size", p.prefill_step_size},
          {"seconds", p.seconds}};
}

}  // namespace assay
