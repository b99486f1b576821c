#pragma once

// The tensors that a component of a pipeline must have, by its config, until
// image architectures have module trees: for the classes of published
// pipelines, in the names of diffusers and transformers.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "assay/check/pipeline.h"

namespace assay::rules {

using TensorList = std::map<std::string, Shape, std::less<>>;

/** Adds to a list what layers hold; names begin with the layer's path. */
class TensorLister {
 public:
  void add(const std::string& name, Shape shape);
  void linear(const std::string& path, int64_t in, int64_t out, bool bias);
  void conv(const std::string& path, int64_t in, int64_t out, int64_t size);
  void norm(const std::string& path, int64_t width);  ///< weight and bias
  /** Two products with a gate or not between them. */
  void feed_forward(const std::string& path, int64_t width, int64_t first);
  /** Two linear layers, as embeddings of times and pooled texts are. */
  void embedder(const std::string& path, int64_t in, int64_t out);

  TensorList tensors;
};

/** Nothing where the class is not known, or a setting is so rare that its
 * tensors are not. */
std::optional<TensorList> tensors_of_unet(const Component& unet);
std::optional<TensorList> tensors_of_vae(const Component& vae);
std::optional<TensorList> tensors_of_tiny_vae(const Component& vae);
std::optional<TensorList> tensors_of_flux(const Component& transformer);
std::optional<TensorList> tensors_of_sd3(const Component& transformer);
std::optional<TensorList> tensors_of_pixart(const Component& transformer);
std::optional<TensorList> tensors_of_clip(const Component& encoder);
std::optional<TensorList> tensors_of_t5(const Component& encoder);
std::optional<TensorList> tensors_of_bert(const Component& encoder);

/** component.tensor-missing, -unexpected and component.shape-mismatch of a
 * component whose config is known to agree with its main shapes. */
std::vector<Finding> declared_tensors(const Component& component);

}  // namespace assay::rules
