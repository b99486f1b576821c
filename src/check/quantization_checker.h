#pragma once

// What the checks of other quantizers' weights share: what a module's stored
// shapes mean in bits and groups, and a Checker that holds most modules
// against the config's block and each module against most.

#include <functional>
#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/arch/architecture.h"
#include "assay/core/finding.h"
#include "assay/formats/json_fields.h"
#include "assay/formats/model_files.h"

namespace assay::rules {

/** Bits and group size, 0 for one group a row; what the shapes mean. */
struct QuantizedPacking {
  int64_t bits = 0;
  int64_t group = 0;
  auto operator<=>(const QuantizedPacking&) const = default;
};

/** What one module's shapes tell; nothing where they contradict each other. */
struct QuantizedModule {
  const TensorInfo* packed = nullptr;
  std::optional<QuantizedPacking> packing;
  Shape weight;         ///< (out, in) that they stand for
  std::string problem;  ///< why there is no packing
};

int64_t ceil_div(int64_t a, int64_t b);
/** "4 bits, groups of 128". */
std::string words(const QuantizedPacking& packing);
/** Two dimensions, none of them 0. */
bool is_matrix(const TensorInfo* tensor);
/** True if another quantizer's names stand there in AWQ's layout: codes in
 * rows of inputs, eight to an int32 along the outputs. */
bool packs_outputs(const TensorInfo& packed, const TensorInfo& scales);

/** All that the checks of one method share. */
class QuantizationChecker {
 public:
  QuantizationChecker(const ModelFiles& model,
                      const Json& block,
                      const arch::Tree* tree,
                      std::string where)
      : model_(model), block_(block), where_(std::move(where)) {
    if (tree != nullptr) {
      for (const auto& spec : tree->parameters) {
        declared_.emplace(spec.name, spec.shape());
      }
    }
  }

  using Look = std::function<QuantizedModule(const std::string& path,
                                             const TensorInfo& packed)>;

  /** Looks at every tensor with that ending, and holds what most modules are
   * against `claimed`. */
  void hold_modules(std::string_view ending,
                    const std::optional<QuantizedPacking>& claimed,
                    const Look& look);

  const TensorInfo* part(const std::string& path, std::string_view leaf);

  void hold_type(const TensorInfo& tensor,
                 std::initializer_list<DType> allowed);

  std::optional<Shape> declared(const std::string& path) const;

  /** Where nothing of the method is stored at all. */
  void hold_use(const std::string& expected);

  /** By name, of the architecture's tree; none where it is not known. */
  const std::map<std::string, Shape>& declared_shapes() const {
    return declared_;
  }

  const ModelFiles& model() const { return model_; }
  const Json& block() const { return block_; }
  const std::string& where() const { return where_; }
  std::optional<QuantizedPacking> found() const { return found_; }

  std::vector<Finding> findings;

 private:
  void compare(const QuantizedPacking& claimed, const QuantizedPacking& most);

  void hold_weight(const std::string& path, const QuantizedModule& module);

  void judge(const QuantizedModule& module);

  const ModelFiles& model_;
  const Json& block_;
  std::string where_;
  std::map<std::string, Shape> declared_;
  std::optional<QuantizedPacking> found_;
  size_t count_ = 0;
};

/** Layers, biases and the head that the tree has against those stored. */
std::vector<Finding> foreign_modules(const ModelFiles& model,
                                     const arch::Tree& tree);

/** Where the block says, or leaves readers to take, that zeros stand in the
 * middle: holds samples of GPTQ's .qzeros against it. */
void hold_gptq_zeros(QuantizationChecker& checker);
/** The same for AWQ's, where zero_point is false. */
void hold_awq_zeros(QuantizationChecker& checker);
/** Where desc_act is false or absent: inputs stand in their groups' order. */
void hold_order(QuantizationChecker& checker);

// One function a method; each goes over all its modules.
void check_gptq(QuantizationChecker& checker);
void check_awq(QuantizationChecker& checker);
void check_bitsandbytes(QuantizationChecker& checker);
void check_compressed(QuantizationChecker& checker);
void check_compressed_targets(QuantizationChecker& checker);
void check_fp8(QuantizationChecker& checker);
void check_mxfp4(QuantizationChecker& checker);

}  // namespace assay::rules
