#pragma once

// The factor of a whole tensor that llama.cpp stores beside NVFP4 blocks.

#include "assay/formats/model_files.h"

namespace assay::nn {

/** One value, or one for each expert of a stack; null where there is none. */
const TensorInfo* tensor_scale(const ModelFiles& model,
                               const TensorInfo& tensor);

}  // namespace assay::nn
