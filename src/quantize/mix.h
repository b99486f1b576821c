#pragma once

// Which groups of modules get how many bits: the order in which bits are taken
// away, cheapest predicted loss for each byte first. Numbers only; measuring
// is done elsewhere. Internal to the room.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace assay::quantization {

/** One way to store a group of modules. */
struct Option {
  size_t candidate = 0;  ///< kKeep: as the source has it
  uint64_t bytes = 0;
  double loss = 0;  ///< predicted, nats a token
};
constexpr size_t kKeep = static_cast<size_t>(-1);

/** Options of one group, the first of them kKeep. */
using Options = std::vector<Option>;

/** Every group's option, by candidate. */
using Mix = std::vector<size_t>;

/** Mixes from "all as they are" down to the smallest, each differing from the
 * one before in one group: a step along the group's lower convex hull of bytes
 * and loss, and the steps of all groups sorted by loss for each byte saved.
 * Options larger than kKeep's are never taken. */
struct MixPath {
  std::vector<Mix> mixes;
  std::vector<uint64_t> bytes;  ///< of all groups together
  std::vector<double> loss;     ///< predicted, sum over groups
};

MixPath mix_path(const std::vector<Options>& groups);

/** Takes from the options of the group that mix `index` changes the one that
 * it takes, and all smaller ones: a step too far, that others may be tried
 * without. Mixes before `index` stay what they are. */
void forbid_step(std::vector<Options>& groups,
                 const MixPath& path,
                 size_t index);

/** Search along a path for the last mix whose measured loss is within a limit:
 * asks with next(), is told with tell(). */
class PathSearch {
 public:
  /** Mixes before `first` are not to be chosen; `known`: the one before it is
   * known to be within. */
  PathSearch(const MixPath& path,
             size_t first,
             double limit,
             bool known = false);

  /** True when the last mix within is known closely enough: none is left
   * between, or those left differ from it by less than 0.4% in bytes. */
  bool finished() const;
  /** Index of the mix to measure. Precondition: not finished. */
  size_t next() const;
  void tell(size_t index, double measured_loss);

  /** One past the last mix known to be within. */
  size_t low() const { return low_; }
  bool known() const { return within_known_; }

 private:
  size_t by_prediction() const;
  const MixPath& path_;
  size_t low_;   ///< one past the last mix known to be within
  size_t high_;  ///< first mix known to be beyond
  double limit_;
  double scale_ = 1;  ///< measured loss over predicted, so far
  int told_ = 0;
  bool within_known_ = false;
};

}  // namespace assay::quantization
