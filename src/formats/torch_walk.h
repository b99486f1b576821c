#pragma once

// Which of a checkpoint's values are the model's tensors, and their names.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/formats/pickle.h"

namespace assay {

struct FoundTensor {
  std::string name;
  PickleRef ref = 0;
};

struct TorchWalk {
  std::string prefix;  ///< keys on the way to the model: "state_dict"
  std::vector<FoundTensor> tensors;
  std::vector<FoundTensor> others;  ///< outside of it
};

/** Walks dictionaries, lists and modules from the root. Throws Error
 * torch.malformed where they nest without end. */
TorchWalk walk_torch(const Pickle& pickle,
                     const std::function<bool(PickleRef)>& is_tensor,
                     std::string_view where);

}  // namespace assay
