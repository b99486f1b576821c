#pragma once

// Sizes of the parts of single-file checkpoints: the tensors that each cannot
// be without, how deep and how wide published ones are.

#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/checkpoint_layout.h"

namespace assay::rules {

/** "model.safetensors: UNet". */
std::string where(const ModelFiles& files, const CheckpointPart& part);

void missing_tensor(std::vector<Finding>& findings,
                    const ModelFiles& files,
                    const CheckpointPart& part,
                    const std::string& tensor);

/** How many different numbers follow the prefix. */
size_t count_blocks(const CheckpointPart& part, std::string_view prefix);

/** What a part needs, its depth, and the width that runs through it. */
void part_sizes(std::vector<Finding>& findings,
                const ModelFiles& files,
                const Checkpoint& checkpoint,
                const CheckpointPart& part);

}  // namespace assay::rules
