#pragma once

// The tensors of a PyTorch checkpoint: found in its pickle read as data, each
// held against the storage that it is a view of. Nothing is executed.

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/tensor_info.h"

namespace assay {

struct TorchTensors {
  std::vector<TensorInfo> tensors;  ///< sorted by offset
  /** What is there and not among them: torch.unsupported, torch.other-tensors
   * (an optimizer's state beside the model's). */
  std::vector<Finding> findings;
};

/** Names are the keys of the dictionary that holds the model's tensors (a
 * state dict, or what a trainer wraps around one), nested ones joined by dots;
 * those of a whole module are its state dict's. Throws Error zip.*,
 * torch.malformed, torch.no-tensors, torch.storage and torch.view for what
 * torch.load could not read or would read beyond its bounds. */
TorchTensors parse_torch(std::span<const std::byte> bytes,
                         std::string_view where);

TorchTensors read_torch(const std::filesystem::path& path);

}  // namespace assay
