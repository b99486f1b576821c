#include "assay/measure/divergence.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/kernels/fused.h"
#include "assay/measure/forward.h"

namespace assay {
namespace mx = mlx::core;
using namespace measurement;

namespace {

std::string shape_text(const mx::array& x) {
  return to_string(Shape(x.shape().begin(), x.shape().end()));
}

void expect_same_shape(const mx::array& a, const mx::array& b) {
  if (a.shape() != b.shape()) {
    fail("shape.mismatch", "logits", shape_text(a), shape_text(b));
  }
}

mx::array log_softmax(const mx::array& logits) {
  return logits - kernels::logsumexp(logits, true);
}

int64_t vocab_of(const nn::LanguageModel& model, const mx::array& hidden) {
  return model.logits(mx::slice(hidden, {0, 0}, {1, hidden.shape(1)}))
      .shape(-1);
}

}  // namespace

void DivergenceSum::add(const mx::array& reference,
                        const mx::array& candidate) {
  expect_same_shape(reference, candidate);
  auto vocab = reference.shape(-1);
  auto a = mx::astype(mx::reshape(reference, {-1, vocab}), mx::float32);
  auto b = mx::astype(mx::reshape(candidate, {-1, vocab}), mx::float32);
  for (auto [first, count] : row_pieces(a.shape(0), vocab)) {
    auto x = mx::slice(a, {first, 0}, {first + count, vocab});
    auto y = mx::slice(b, {first, 0}, {first + count, vocab});
    auto log_p = log_softmax(x);
    auto p = mx::exp(log_p);
    // A token that is excluded (-inf) on both sides adds nothing.
    auto terms = mx::where(mx::greater(p, mx::array(0.0f)),
                           p * (log_p - log_softmax(y)),
                           mx::array(0.0f));
    auto kl = mx::contiguous(mx::sum(terms, 1));
    auto agree = mx::sum(
        mx::astype(mx::equal(mx::argmax(x, 1), mx::argmax(y, 1)), mx::float32));
    auto difference =
        mx::where(mx::equal(x, y), mx::array(0.0f), mx::abs(x - y));
    auto largest = mx::max(difference);
    auto total = mx::sum(mx::mean(difference, 1));
    mx::eval(std::vector<mx::array>{kl, agree, largest, total});
    for (int i = 0; i < count; ++i) {
      // Rounding may leave a sum of zero slightly below it.
      double value = kl.data<float>()[i];
      value = value < 0 ? 0 : value;
      sums_.kl_mean += value;
      sums_.kl_max =
          value > sums_.kl_max || std::isnan(value) ? value : sums_.kl_max;
    }
    agreements_ += agree.item<float>();
    sums_.mean_abs += total.item<float>();
    auto most = static_cast<double>(largest.item<float>());
    sums_.max_abs =
        most > sums_.max_abs || std::isnan(most) ? most : sums_.max_abs;
    sums_.positions += static_cast<uint64_t>(count);
  }
}

Divergence DivergenceSum::mean() const {
  auto result = sums_;
  auto count = static_cast<double>(std::max<uint64_t>(1, sums_.positions));
  result.kl_mean /= count;
  result.mean_abs /= count;
  result.top1_agreement = agreements_ / count;
  return result;
}

Divergence divergence(const mx::array& reference, const mx::array& candidate) {
  DivergenceSum sum;
  sum.add(reference, candidate);
  return sum.mean();
}

Divergence kl(const nn::LanguageModel& reference,
              const nn::LanguageModel& candidate,
              std::span<const int32_t> ids,
              int window,
              const Progress& progress) {
  DivergenceSum sum;
  for (const auto& part : windows(ids.size(), window, 0)) {
    auto tokens = ids.subspan(part.start, part.length);
    auto a = hidden_states(reference, tokens);
    auto b = hidden_states(candidate, tokens);
    for (auto [first, count] : row_pieces(a.shape(0), vocab_of(reference, a))) {
      auto rows = [first, count](const mx::array& x) {
        return mx::slice(x, {first, 0}, {first + count, x.shape(1)});
      };
      sum.add(logits_of(reference, rows(a)), logits_of(candidate, rows(b)));
    }
    if (progress) {
      progress({"kl", part.start + part.length, ids.size()});
    }
  }
  return sum.mean();
}

Divergence kl(const arch::LoadedModel& reference,
              const arch::LoadedModel& candidate,
              std::span<const int32_t> ids,
              int window,
              const Progress& progress) {
  return kl(reference.model(), candidate.model(), ids, window, progress);
}

Json to_json(const Divergence& d) {
  return {{"positions", d.positions},
          {"kl_mean", d.kl_mean},
          {"kl_max", d.kl_max},
          {"top1_agreement", d.top1_agreement},
          {"max_abs", d.max_abs},
          {"mean_abs", d.mean_abs}};
}

}  // namespace assay
