#pragma once

// The weights of one part of a larger folder: a component of a diffusers
// pipeline, a module of sentence-transformers. Which files they are follows
// the libraries that load them: safetensors before PyTorch's pickles
// (diffusers 0.42, models/modeling_utils.py; sentence-transformers 6.2,
// base/modules/module.py), a plain file before a variant of it.

#include <filesystem>
#include <vector>

#include "assay/core/finding.h"
#include "assay/formats/model_files.h"
#include "assay/formats/tensor_info.h"

namespace assay {

struct ComponentFiles {
  Container container = Container::safetensors;
  std::vector<std::filesystem::path> files;  ///< sorted
  std::filesystem::path index;               ///< empty: none
  bool others = false;  ///< weights of another format lie there
};

/** diffusion_pytorch_model, model or pytorch_model, single or sharded; of a
 * component by its own name also other *.safetensors. Never throws for what is
 * found. */
ComponentFiles component_files(const std::filesystem::path& folder);

/** The tensors of all of them, TensorInfo::file the number in `files`. Torch's
 * notes on what is no tensor go to `findings`. Throws as read_safetensors and
 * read_torch do. */
std::vector<TensorInfo> component_tensors(const ComponentFiles& chosen,
                                          std::vector<Finding>& findings);

/** The same of one of the files. */
std::vector<TensorInfo> component_tensors(const ComponentFiles& chosen,
                                          size_t number,
                                          std::vector<Finding>& findings);

}  // namespace assay
