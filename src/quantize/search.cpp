#include "assay/quantize/search.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "assay/convert/rows.h"

namespace assay::quantization {
namespace {

// Groups in layers that are probed, each by a run over the probe's tokens.
constexpr size_t kGroups = 32;
// Fewest bits of a probe: low enough to tell, high enough to be in the range
// where loss grows with the square of the error.
constexpr int kProbeBits = 3;

class Search {
 public:
  Search(TrialModel& model,
         const std::vector<Quantization>& candidates,
         const Reference& reference,
         const QuantizeOptions& options,
         const Progress& progress)
      : model_(model),
        candidates_(candidates),
        reference_(reference),
        options_(options),
        progress_(progress),
        groups_(make_groups(model, kGroups)),
        limit_(std::log1p(*options.max_loss_percent / 100)) {
    total_ = groups_.size() + static_cast<size_t>(options.max_tries) + 2;
  }

  Found run() {
    walk(probe_groups());
    try_uniform();
    choose();
    return std::move(found_);
  }

 private:
  // Options that save bytes in at least one parameter of the group.
  std::vector<size_t> useful(const Group& group) const {
    std::vector<size_t> result;
    auto kept = bytes(group, kKeep);
    for (size_t c = 0; c < candidates_.size(); ++c) {
      if (bytes(group, c) < kept) {
        result.push_back(c);
      }
    }
    return result;
  }

  uint64_t bytes(const Group& group, size_t candidate) const {
    uint64_t total = 0;
    for (auto parameter : group.parameters) {
      total += model_.stored(parameter, candidate).bytes;
    }
    return total;
  }

  // Mean square of the relative error over the group's weights.
  double error(const Group& group, size_t candidate) const {
    double sum = 0;
    double elements = 0;
    for (auto parameter : group.parameters) {
      auto count = static_cast<double>(model_.elements(parameter));
      sum += count * model_.relative_error(parameter, candidate);
      elements += count;
    }
    return sum / elements;
  }

  size_t probe_of(const Group& group, const std::vector<size_t>& useful) const {
    auto best = useful.front();
    auto rank = [&](size_t c) {
      bool enough = candidates_[c].bits >= kProbeBits;
      return std::pair(enough ? 0 : 1, bytes(group, c));
    };
    for (auto c : useful) {
      best = rank(c) < rank(best) ? c : best;
    }
    return best;
  }

  void set(const Group& group, size_t candidate) {
    for (auto parameter : group.parameters) {
      model_.set(parameter, candidate);
    }
  }

  // Loss by the second-order law: KL grows with the square of the error.
  std::vector<Options> probe_groups() {
    auto probe_text = shortened(
        reference_, static_cast<size_t>(std::max(2, options_.probe_tokens)));
    std::vector<Options> all;
    for (const auto& group : groups_) {
      Options options = {{kKeep, bytes(group, kKeep), 0}};
      if (auto some = useful(group); !some.empty()) {
        auto probe = probe_of(group, some);
        set(group, probe);
        double kl = measure(model_.model(), probe_text).divergence.kl_mean;
        set(group, kKeep);
        note(group, probe, kl);
        double probe_error = error(group, probe);
        for (auto c : some) {
          double share = probe_error > 0 ? error(group, c) / probe_error : 0;
          options.push_back({c, bytes(group, c), kl * share});
        }
      }
      all.push_back(std::move(options));
      step(group.name);
    }
    return all;
  }

  void note(const Group& group, size_t probe, double kl) {
    GroupSensitivity entry{.name = group.name,
                           .modules = {},
                           .parameters = 0,
                           .probe = candidates_[probe],
                           .kl = kl};
    for (auto parameter : group.parameters) {
      entry.modules.push_back(
          conversion::module_path(model_.spec(parameter).name));
      entry.parameters += model_.elements(parameter);
    }
    found_.sensitivities.push_back(std::move(entry));
  }

  Settings spread(const Mix& mix) const {
    Settings settings(model_.parameters(), kKeep);
    for (size_t g = 0; g < groups_.size(); ++g) {
      for (auto parameter : groups_[g].parameters) {
        settings[parameter] = mix[g];
      }
    }
    return settings;
  }

  // Along the path, then around the step that went too far, while tries last.
  void walk(std::vector<Options> groups) {
    auto most = static_cast<size_t>(options_.max_tries);
    auto path = mix_path(groups);
    size_t first = 0;
    while (first < path.mixes.size() && !small_enough(path.mixes[first])) {
      ++first;
    }
    bool known = false;
    while (first < path.mixes.size() && found_.tries.size() < most) {
      PathSearch search(path, first, limit_, known);
      while (!search.finished() && found_.tries.size() < most) {
        auto index = search.next();
        auto what = fmt::format("mix {}", found_.tries.size() + 1);
        search.tell(index, attempt(what, spread(path.mixes[index])));
      }
      first = search.low();
      known = search.known();
      if (!known || first >= path.mixes.size()) {
        break;
      }
      forbid_step(groups, path, first);
      path = mix_path(groups);
    }
  }

  // A mix must save something, and not be larger than the source.
  bool small_enough(const Mix& mix) const {
    return options_.allow_larger ||
           (std::ranges::any_of(mix, [](size_t c) { return c != kKeep; }) &&
            bytes_of(model_, spread(mix)) <= model_.source_bytes());
  }

  // Measures; returns the loss in nats a token.
  double attempt(const std::string& what, const Settings& settings) {
    for (size_t i = 0; i < settings.size(); ++i) {
      model_.set(i, settings[i]);
    }
    auto result = measure(model_.model(), reference_);
    double loss = result.mean_nll - reference_.mean_nll;
    QuantizeTry entry{.what = what};
    entry.bytes = bytes_of(model_, settings);
    entry.bits_per_weight = 8.0 * static_cast<double>(entry.bytes) /
                            static_cast<double>(element_total(model_));
    entry.perplexity = std::exp(result.mean_nll);
    entry.loss_percent = 100 * std::expm1(loss);
    entry.kl = result.divergence.kl_mean;
    entry.top1_agreement = result.divergence.top1_agreement;
    entry.within = loss <= limit_ && (options_.allow_larger ||
                                      entry.bytes <= model_.source_bytes());
    found_.tries.push_back(std::move(entry));
    found_.settings.push_back(settings);
    step(what);
    return loss;
  }

  uint64_t smallest_within() const {
    uint64_t smallest = model_.source_bytes() + 1;
    for (const auto& entry : found_.tries) {
      if (entry.within) {
        smallest = std::min(smallest, entry.bytes);
      }
    }
    return smallest;
  }

  // The uniform settings next in size to the mix: what it is to be compared
  // with, and better than it where they are smaller and within.
  void try_uniform() {
    auto mark = smallest_within();
    std::optional<size_t> above, below;
    auto size = [this](size_t c) { return bytes_of(model_, uniform(c)); };
    for (size_t c = 0; c < candidates_.size(); ++c) {
      auto own = size(c);
      if (own < mark && (!below || own > size(*below))) {
        below = c;
      }
      if (own >= mark && own <= model_.source_bytes() &&
          (!above || own < size(*above))) {
        above = c;
      }
    }
    for (auto candidate : {above, below}) {
      if (candidate) {
        attempt("uniform " + conversion::describe(candidates_[*candidate]),
                uniform(*candidate));
      }
    }
  }

  Settings uniform(size_t candidate) const {
    Settings settings(model_.parameters(), kKeep);
    for (size_t i = 0; i < settings.size(); ++i) {
      if (model_.open(i)) {
        settings[i] = candidate;
      }
    }
    return settings;
  }

  void choose() {
    for (size_t i = 0; i < found_.tries.size(); ++i) {
      if (found_.tries[i].within) {
        found_.order.push_back(i);
      }
    }
    std::ranges::sort(found_.order, {}, [this](size_t index) {
      return std::pair(found_.tries[index].bytes, index);
    });
    if (!found_.order.empty()) {
      return;
    }
    auto best =
        std::ranges::min_element(found_.tries, {}, &QuantizeTry::loss_percent);
    fail("quantize.no-mix",
         model_.loaded().files->path.string(),
         fmt::format("a mix that is no larger than the source ({} bytes) and "
                     "loses at most {}%",
                     model_.source_bytes(),
                     *options_.max_loss_percent),
         best == found_.tries.end()
             ? "no candidate that is smaller than what the source has"
             : fmt::format("{:.3f}% at {} bytes ({})",
                           best->loss_percent,
                           best->bytes,
                           best->what));
  }

  void step(const std::string& what) {
    ++done_;
    if (progress_) {
      progress_({what, std::min(done_, total_), total_});
    }
  }

  TrialModel& model_;
  const std::vector<Quantization>& candidates_;
  const Reference& reference_;
  const QuantizeOptions& options_;
  const Progress& progress_;
  std::vector<Group> groups_;
  double limit_;
  Found found_;
  uint64_t done_ = 0, total_ = 0;
};

}  // namespace

Found search(TrialModel& model,
             const std::vector<Quantization>& candidates,
             const Reference& reference,
             const QuantizeOptions& options,
             const Progress& progress) {
  return Search(model, candidates, reference, options, progress).run();
}

uint64_t bytes_of(const TrialModel& model, const Settings& settings) {
  uint64_t bytes = 0;
  for (size_t i = 0; i < settings.size(); ++i) {
    bytes += model.stored(i, settings[i]).bytes;
  }
  return bytes;
}

uint64_t element_total(const TrialModel& model) {
  uint64_t elements = 0;
  for (size_t i = 0; i < model.parameters(); ++i) {
    elements += model.elements(i);
  }
  return elements;
}

}  // namespace assay::quantization
