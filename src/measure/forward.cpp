#include "assay/measure/forward.h"

#include <algorithm>

#include <fmt/format.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/arch/loaded_model.h"
#include "assay/core/finding.h"
#include "assay/kernels/fused.h"

namespace assay::measurement {
namespace mx = mlx::core;

namespace {

// Elements of the logits of a piece: 32 MB in float32.
constexpr int64_t kElements = int64_t{1} << 23;

}  // namespace

mx::array hidden_states(const nn::LanguageModel& model,
                        std::span<const int32_t> ids,
                        int step) {
  const auto positions = static_cast<size_t>(step);
  if (ids.size() <= positions) {
    auto all = mx::squeeze(model.hidden(arch::to_array(ids), nullptr), 0);
    mx::eval(all);
    return all;
  }
  auto caches = model.make_caches();
  for (auto& cache : caches) {  // pieces are rotated as the whole would be
    cache.expect(static_cast<int>(ids.size()));
  }
  std::vector<mx::array> pieces;
  for (size_t start = 0; start < ids.size();) {
    size_t count = std::min(ids.size() - start, positions);
    auto piece =
        model.hidden(arch::to_array(ids.subspan(start, count)), &caches);
    pieces.push_back(mx::squeeze(piece, 0));
    mx::eval(pieces.back());
    start += count;
  }
  auto all = mx::concatenate(pieces, 0);
  mx::eval(all);
  return all;
}

mx::array logits_of(const nn::LanguageModel& model, const mx::array& hidden) {
  auto logits = mx::astype(model.logits(hidden), mx::float32);
  mx::eval(logits);
  return logits;
}

std::vector<float> losses(const mx::array& logits, const mx::array& targets) {
  auto chosen = mx::squeeze(
      mx::take_along_axis(logits, mx::expand_dims(targets, 1), 1), 1);
  auto loss = mx::contiguous(kernels::logsumexp(logits) - chosen);
  mx::eval(loss);
  return {loss.data<float>(), loss.data<float>() + loss.size()};
}

std::vector<Rows> row_pieces(int length, int64_t vocab, int most) {
  most = static_cast<int>(
      std::clamp<int64_t>(kElements / std::max<int64_t>(1, vocab), 1, most));
  std::vector<Rows> pieces;
  for (int first = 0; first < length; first += most) {
    pieces.push_back({first, std::min(most, length - first)});
  }
  return pieces;
}

std::vector<Window> windows(size_t tokens, int window, int stride) {
  if (tokens < 2) {
    fail("measure.too-short",
         "text",
         "at least 2 tokens, as each is predicted from those before",
         fmt::format("{}", tokens));
  }
  if (window < 2 || stride < 0 || stride > window) {
    fail("measure.option",
         "window, stride",
         "a window of 2 tokens or more, a stride from 1 to the window",
         fmt::format("{}, {}", window, stride));
  }
  auto size = static_cast<size_t>(window);
  auto step = stride == 0 ? size : static_cast<size_t>(stride);
  std::vector<Window> result;
  size_t end = 0;  // of what has been in a window
  for (size_t start = 0; end < tokens; start += step) {
    size_t length = std::min(size, tokens - start);
    size_t first = std::max<size_t>(1, end - std::min(end, start));
    end = start + length;
    if (first < length) {
      result.push_back({start, length, first});
    }
  }
  return result;
}

}  // namespace assay::measurement
