#pragma once

// TensorInfo: what a header says of one tensor, checked against its file.

#include <cstdint>
#include <string>

#include "assay/core/dtype.h"
#include "assay/core/shape.h"

namespace assay {

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;          ///< outermost first (GGUF's order is turned round)
  uint32_t file = 0;    ///< index into ModelFiles::files
  uint64_t offset = 0;  ///< first byte, from the start of the file
  uint64_t bytes = 0;
};

}  // namespace assay
