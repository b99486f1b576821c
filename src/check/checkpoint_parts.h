#pragma once

// The tensors of the parts of single-file checkpoints, derived from the blocks
// that are there: a residual block that has one of its tensors needs them all.
// Names are those of the original code bases; how many blocks there are is
// what the file shows (checkpoint_sizes.h holds depths against published ones).

#include <set>
#include <string>
#include <vector>

#include "assay/formats/checkpoint_layout.h"

namespace assay::rules {

struct PartTensors {
  std::set<std::string> wanted;     ///< without the part's prefix
  std::vector<std::string> blocks;  ///< whole blocks that are not there
};

/** Nothing for kinds whose structure is not known here, and for weights that
 * are packed under other names. */
std::optional<PartTensors> part_tensors(const Checkpoint& checkpoint,
                                        const CheckpointPart& part);

}  // namespace assay::rules
