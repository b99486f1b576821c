#pragma once

// PyTorch's element types: what its names mean and how many bytes they take.

#include <cstdint>
#include <optional>
#include <string_view>

#include "assay/core/dtype.h"

namespace assay {

struct TorchType {
  std::string_view name;      ///< "float32"; that of a storage: "FloatStorage"
  uint32_t bytes;             ///< of one element
  std::optional<DType> type;  ///< nothing: no file of ours holds it
};

/** By "float32" or "float", as torch.float32 is pickled; or null. */
const TorchType* torch_dtype(std::string_view name);

/** By "FloatStorage"; or null. UntypedStorage counts bytes. */
const TorchType* torch_storage_type(std::string_view name);

}  // namespace assay
