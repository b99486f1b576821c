#pragma once

// What rotated values are multiplied by, for formats that state it.

#include "assay/nn/rope.h"

namespace assay::nn {

/** As the config says, or as its type has it (yarn, longrope). */
double attention_factor(const RopeConfig& config);

}  // namespace assay::nn
