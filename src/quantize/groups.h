#pragma once

// Modules that get one setting together: those of one role in neighbouring
// layers; what belongs to no layer is a group of its own. Internal to the
// room.

#include <string>
#include <vector>

#include "assay/quantize/trial.h"

namespace assay::quantization {

struct Group {
  std::string name;  ///< "layers 4-5 mlp", "model.embed_tokens"
  std::vector<size_t> parameters;
};

/** Groups of the parameters that are open to quantization, in the order of the
 * tree; layers are joined until there are at most `most` groups in layers. */
std::vector<Group> make_groups(const TrialModel& model, size_t most);

}  // namespace assay::quantization
