#include "assay/convert/verify.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

#include "assay/arch/loaded_model.h"
#include "assay/measure/divergence.h"
#include "assay/measure/text_sample.h"

namespace assay::conversion {
namespace {

constexpr size_t kTokens = 64;

constexpr std::string_view kText =
    "Water boils at a lower temperature on a mountain than at the shore, "
    "because the air above it weighs less. A cook who knows this lets the "
    "beans stay longer in the pot. In 1862 a traveller wrote: \"We waited "
    "three hours, and the potatoes were still as hard as stones.\" The answer "
    "is 3 * 7 = 21 minutes more.";

TokenSample choose_tokens(const ModelFiles& source, const arch::Tree& tree) {
  const auto& config = tree.config;
  auto positions = config.value("max_position_embeddings",
                                config.value("n_positions", int64_t{512}));
  auto count = std::min(kTokens, static_cast<size_t>(positions));
  SampleOptions options;
  options.text = std::string(kText);
  options.max_tokens = count;
  try {
    return sample_tokens(source, tree, options);
  } catch (const Error&) {
    // The conversion itself has said what is wrong with the tokenizer.
    return {random_ids(count, vocabulary_size(tree)), "", ""};
  }
}

mlx::core::array logits_of(const std::filesystem::path& path,
                           const TokenSample& sample) {
  auto model = arch::load_model(path);
  return arch::logits(model.model(), sample.ids);
}

}  // namespace

Drift measure_drift(const ModelFiles& source,
                    const arch::Tree& tree,
                    const std::filesystem::path& result) {
  auto sample = choose_tokens(source, tree);
  auto before = logits_of(source.path, sample);
  auto d = divergence(before, logits_of(result, sample));
  return {.tokens = static_cast<int>(d.positions),
          .text = sample.text,
          .mean_abs = d.mean_abs,
          // A NaN counts as an infinite difference, never as none.
          .max_abs = std::isnan(d.max_abs) ? HUGE_VAL : d.max_abs,
          .kl = d.kl_mean,
          .top1_agreement = d.top1_agreement};
}

}  // namespace assay::conversion
