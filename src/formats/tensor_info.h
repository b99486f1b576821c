#pragma once

// TensorInfo: what a header says of one tensor, checked against its file.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "assay/core/dtype.h"
#include "assay/core/shape.h"

namespace assay {

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Shape shape;          ///< outermost first (GGUF's order is turned round)
  uint32_t file = 0;    ///< index into ModelFiles::files
  uint64_t offset = 0;  ///< first byte, from the start of the file
  uint64_t bytes = 0;   ///< of the values, row after row

  // What only PyTorch's files have; TensorData undoes it on reading.

  /** Elements from a value to its neighbour along each axis, where the values
   * do not lie row after row without gaps (a view); empty: they do. */
  std::vector<int64_t> strides = {};
  bool big_endian = false;
  /** Bytes of the file that hold the storage deflated; `offset` counts from
   * the start of the storage then. */
  struct Packed {
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint64_t size = 0;  ///< unpacked
  };
  std::optional<Packed> packed = {};

  /** The values can be used where they lie in the file. */
  bool is_plain() const { return strides.empty() && !big_endian && !packed; }
};

}  // namespace assay
