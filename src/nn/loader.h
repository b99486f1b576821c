#pragma once

// From files to parameters: finds where the files hold each parameter of a
// tree, in whichever format, and reads it as exactly as MLX can hold it.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <mlx/array.h>

#include "assay/core/finding.h"
#include "assay/formats/ggml.h"
#include "assay/formats/model_files.h"
#include "assay/formats/quantization_config.h"
#include "assay/nn/parameter.h"
#include "assay/nn/weight_slab.h"

namespace assay::nn {

/** Whose names and layout a tensor follows. */
enum class Dialect { mlx, hf, gguf };

/** Where the files hold one parameter. */
struct Location {
  Dialect dialect = Dialect::mlx;
  Source source;
  std::vector<const TensorInfo*> tensors;  ///< of source.names
  /** Beside a weight that MLX quantized. */
  const TensorInfo* scales = nullptr;
  const TensorInfo* biases = nullptr;
  std::optional<Quantization> quantization;
};

struct ReadOptions {
  /** Keep blocks that MLX can hold exactly as they are; otherwise everything
   * comes as floating point. */
  bool keep_quantized = true;
};

class WeightReader {
 public:
  /** `config`: for its quantization block. `model` must outlive the reader and
   * every array read, which may refer to its mapped files. */
  WeightReader(const ModelFiles& model, const Json& config);

  /** Where a parameter is, by names and headers alone; nothing if it is not
   * there. */
  std::optional<Location> locate(const ParameterSpec& spec) const;

  /** What is wrong with the stored shapes and types of a located parameter;
   * empty if it can be read. */
  std::vector<Finding> check(const ParameterSpec& spec,
                             const Location& location) const;

  /** Reads it. Throws Error with the first finding of check(). */
  kernels::Weight read(const ParameterSpec& spec,
                       const Location& location,
                       const ReadOptions& options = {});

  /** Memory that the weight will have if it is rewritten; 0 if it is read as
   * it is. An estimate: scales may need float32. */
  size_t rewritten_bytes(const ParameterSpec& spec,
                         const Location& location) const;
  /** From now on, rewritten weights go there. */
  void reserve(size_t bytes) { slab_ = WeightSlab(bytes); }

  /** Forgets mapped pages of what was read. */
  void release(const Location& location);

  const ModelFiles& model() const { return model_; }

 private:
  mlx::core::array values(const TensorInfo& tensor, bool borrow);
  kernels::Weight read_mlx_quantized(const Location& location);
  bool holds_blocks(const ParameterSpec& spec, const Location& location) const;
  std::optional<kernels::Weight> read_blocks(const ParameterSpec& spec,
                                             const Location& location);
  std::optional<kernels::Weight> read_blocks(const Location& location,
                                             const ggml::MlxForm& form);
  kernels::Weight read_mxfp4(const Location& location);

  const ModelFiles& model_;
  std::optional<QuantizationConfig> quantization_;
  std::shared_ptr<TensorData> data_;
  WeightSlab slab_;
};

/** Loads every parameter of a tree. What takes part in sums and norms is cast
 * to the type of activations (float32 on the CPU). Throws Error
 * tensor.missing, shape.mismatch... Progress counts bytes. */
void load_weights(const std::vector<ParameterSpec>& parameters,
                  WeightReader& reader,
                  const ReadOptions& options = {});

/** Gives every parameter lazy zeros of its declared shape: a forward pass then
 * checks the definition without memory or data. */
void load_zeros(const std::vector<ParameterSpec>& parameters,
                mlx::core::Dtype dtype = mlx::core::float32);

}  // namespace assay::nn
