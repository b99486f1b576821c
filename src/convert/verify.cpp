#include "assay/convert/verify.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/arch/loaded_model.h"
#include "assay/text/tokenizer.h"

namespace assay::conversion {
namespace {

constexpr size_t kTokens = 64;

constexpr std::string_view kText =
    "Water boils at a lower temperature on a mountain than at the shore, "
    "because the air above it weighs less. A cook who knows this lets the "
    "beans stay longer in the pot. In 1862 a traveller wrote: \"We waited "
    "three hours, and the potatoes were still as hard as stones.\" The answer "
    "is 3 * 7 = 21 minutes more.";

std::vector<int32_t> pseudo_random(size_t count, int64_t vocab) {
  std::vector<int32_t> ids;
  uint64_t state = 1;
  for (size_t i = 0; i < count; ++i) {
    // Knuth's linear congruential generator; the high bits are the good ones.
    state = state * 6364136223846793005u + 1442695040888963407u;
    ids.push_back(
        static_cast<int32_t>((state >> 33) % static_cast<uint64_t>(vocab)));
  }
  return ids;
}

std::vector<int32_t> encode(const ModelFiles& model) {
  try {
    return load_tokenizer(model).encode(kText);
  } catch (const Error&) {
    return {};  // the conversion itself has said what is wrong with it
  }
}

// log(sum(exp(row)))
double log_sum(std::span<const float> row) {
  double largest = *std::ranges::max_element(row);
  double sum = 0;
  for (float x : row) {
    sum += std::exp(x - largest);
  }
  return largest + std::log(sum);
}

double kl_divergence(std::span<const float> p, std::span<const float> q) {
  double p_sum = log_sum(p), q_sum = log_sum(q), kl = 0;
  for (size_t i = 0; i < p.size(); ++i) {
    double log_p = p[i] - p_sum;
    kl += std::exp(log_p) * (log_p - (q[i] - q_sum));
  }
  return std::max(kl, 0.0);
}

}  // namespace

Sample choose_tokens(const ModelFiles& model, const Json& config) {
  auto positions = config.value("max_position_embeddings",
                                config.value("n_positions", int64_t{512}));
  auto vocab = config.at("vocab_size").get<int64_t>();
  auto count = std::min(kTokens, static_cast<size_t>(positions));
  Sample sample;
  sample.ids = encode(model);
  bool serves = !sample.ids.empty() &&
                std::ranges::all_of(sample.ids,
                                    [vocab](int32_t id) { return id < vocab; });
  if (!serves) {
    sample.ids = pseudo_random(count, vocab);
    return sample;
  }
  sample.text = kText;
  sample.ids.resize(std::min(sample.ids.size(), count));
  return sample;
}

void compute_logits(const std::filesystem::path& path, Sample& sample) {
  auto model = arch::load_model(path);
  auto logits = arch::logits(model.model(), sample.ids);
  sample.vocab = logits.shape(1);
  sample.logits.assign(logits.data<float>(),
                       logits.data<float>() + logits.size());
}

Drift compare(const Sample& source, const Sample& result) {
  if (source.vocab != result.vocab) {
    fail("shape.mismatch",
         "logits of the result",
         fmt::format("{} a token", source.vocab),
         fmt::format("{}", result.vocab));
  }
  Drift drift;
  drift.tokens = static_cast<int>(source.ids.size());
  drift.text = source.text;
  auto vocab = static_cast<size_t>(source.vocab);
  double sum = 0;
  int agreed = 0;
  for (size_t at = 0; at < source.logits.size(); at += vocab) {
    auto p = std::span(source.logits).subspan(at, vocab);
    auto q = std::span(result.logits).subspan(at, vocab);
    for (size_t i = 0; i < vocab; ++i) {
      double difference = std::fabs(static_cast<double>(p[i]) - q[i]);
      // A NaN counts as an infinite difference, never as none.
      difference = std::isnan(difference) ? HUGE_VAL : difference;
      sum += difference;
      drift.max_abs = std::max(drift.max_abs, difference);
    }
    drift.kl += kl_divergence(p, q) / drift.tokens;
    auto best_p = std::ranges::max_element(p) - p.begin();
    auto best_q = std::ranges::max_element(q) - q.begin();
    agreed += best_p == best_q ? 1 : 0;
  }
  drift.mean_abs = sum / static_cast<double>(source.logits.size());
  drift.top1_agreement = static_cast<double>(agreed) / drift.tokens;
  return drift;
}

}  // namespace assay::conversion
