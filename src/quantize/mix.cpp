#include "assay/quantize/mix.h"

#include <algorithm>
#include <limits>
#include <tuple>

namespace assay::quantization {
namespace {

struct Step {
  size_t group = 0;
  Option to;
  uint64_t saved = 0;
  double cost = 0;  ///< loss added
  double rate() const { return cost / static_cast<double>(saved); }
};

// Of the options below `at`, the one that saves bytes at the smallest loss for
// each; of equals the one that saves most.
const Option* cheapest_step(const Options& options, const Option& at) {
  const Option* best = nullptr;
  double best_rate = std::numeric_limits<double>::infinity();
  for (const auto& option : options) {
    if (option.bytes >= at.bytes) {
      continue;
    }
    double rate = std::max(0.0, option.loss - at.loss) /
                  static_cast<double>(at.bytes - option.bytes);
    if (best == nullptr || rate < best_rate ||
        (rate <= best_rate && option.bytes < best->bytes)) {
      best = &option;
      best_rate = rate;
    }
  }
  return best;
}

std::vector<Step> steps_of(const std::vector<Options>& groups) {
  std::vector<Step> steps;
  for (size_t group = 0; group < groups.size(); ++group) {
    auto at = groups[group].front();
    while (const auto* to = cheapest_step(groups[group], at)) {
      steps.push_back({group,
                       *to,
                       at.bytes - to->bytes,
                       std::max(0.0, to->loss - at.loss)});
      at = *to;
    }
  }
  // Equals in the order of the groups, and of the steps in each.
  std::ranges::sort(steps, [](const Step& a, const Step& b) {
    return std::tuple(a.rate(), a.group, b.to.bytes) <
           std::tuple(b.rate(), b.group, a.to.bytes);
  });
  return steps;
}

}  // namespace

MixPath mix_path(const std::vector<Options>& groups) {
  MixPath path;
  uint64_t bytes = 0;
  for (const auto& options : groups) {
    bytes += options.front().bytes;
  }
  path.mixes.emplace_back(groups.size(), kKeep);
  path.bytes.push_back(bytes);
  path.loss.push_back(0);
  for (const auto& step : steps_of(groups)) {
    auto mix = path.mixes.back();
    mix[step.group] = step.to.candidate;
    path.mixes.push_back(std::move(mix));
    path.bytes.push_back(path.bytes.back() - step.saved);
    path.loss.push_back(path.loss.back() + step.cost);
  }
  return path;
}

void forbid_step(std::vector<Options>& groups,
                 const MixPath& path,
                 size_t index) {
  for (size_t group = 0; group < groups.size(); ++group) {
    auto candidate = path.mixes[index][group];
    if (candidate == path.mixes[index - 1][group]) {
      continue;
    }
    auto taken =
        std::ranges::find(groups[group], candidate, &Option::candidate);
    auto bytes = taken->bytes;
    std::erase_if(groups[group], [bytes](const Option& option) {
      return option.candidate != kKeep && option.bytes <= bytes;
    });
  }
}

PathSearch::PathSearch(const MixPath& path,
                       size_t first,
                       double limit,
                       bool known)
    : path_(path),
      low_(first),
      high_(path.mixes.size()),
      limit_(limit),
      within_known_(known) {}

bool PathSearch::finished() const {
  if (low_ >= high_) {
    return true;
  }
  // Before any mix is known to be within, go on to the end.
  constexpr double kClose = 0.004;
  auto low = static_cast<double>(path_.bytes[low_ == 0 ? 0 : low_ - 1]);
  auto high = static_cast<double>(path_.bytes[high_ - 1]);
  return within_known_ && low - high < kClose * low;
}

size_t PathSearch::by_prediction() const {
  auto beyond = std::ranges::find_if(
      path_.loss, [this](double loss) { return loss * scale_ > limit_; });
  auto index = static_cast<size_t>(beyond - path_.loss.begin());
  return index == 0 ? 0 : index - 1;
}

size_t PathSearch::next() const {
  bool halve = told_ >= 2 && told_ % 2 == 0;
  size_t guess = halve ? low_ + (high_ - low_) / 2 : by_prediction();
  return std::clamp(guess, low_, high_ - 1);
}

void PathSearch::tell(size_t index, double measured_loss) {
  ++told_;
  double predicted = path_.loss[index];
  if (predicted > 0 && measured_loss > 0) {
    scale_ = measured_loss / predicted;
  }
  if (measured_loss <= limit_) {
    low_ = std::max(low_, index + 1);
    within_known_ = true;
  } else {
    high_ = std::min(high_, index);
  }
}

}  // namespace assay::quantization
