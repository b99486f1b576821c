#pragma once

// The source model, loaded once, with some of its matrices as the converter
// would write them, bit for bit; and what that does to its predictions.
// Internal to the room.

#include <map>
#include <optional>
#include <vector>

#include "assay/arch/loaded_model.h"
#include "assay/convert/plan.h"
#include "assay/measure/divergence.h"
#include "assay/measure/perplexity.h"

namespace assay::quantization {

/** Logits of the source, kept to compare with: float32, [rows, vocab] each. */
struct Reference {
  std::vector<int32_t> ids;
  int window = 512;
  std::vector<mlx::core::array> logits = {};  ///< of each window
  double mean_nll = 0;
};

Reference make_reference(const nn::LanguageModel& model,
                         std::vector<int32_t> ids);
/** The first `count` tokens of a reference, which is one window. */
Reference shortened(const Reference& reference, size_t count);

struct TrialResult {
  double mean_nll = 0;
  Divergence divergence;
};

/** Runs the model over the reference's tokens. */
TrialResult measure(const nn::LanguageModel& model, const Reference& reference);

/** One parameter as it may be written. */
struct Stored {
  uint64_t bytes = 0;
  std::optional<Quantization> quantization;
};

/** A model whose matrices can be replaced. */
class TrialModel {
 public:
  TrialModel(const std::filesystem::path& source,
             const std::vector<Quantization>& candidates,
             const std::string& dtype);

  const arch::LoadedModel& loaded() const { return loaded_; }
  const nn::LanguageModel& model() const { return loaded_.model(); }
  size_t parameters() const { return kept_.parameters.size(); }
  const nn::ParameterSpec& spec(size_t parameter) const;
  uint64_t elements(size_t parameter) const;
  /** May be given another form: quantizable, no router. */
  bool open(size_t parameter) const;
  uint64_t source_bytes() const { return source_bytes_; }
  /** How the converter would write it, for a candidate or kKeep. */
  Stored stored(size_t parameter, size_t candidate) const;

  /** Mean square of the error over that of the values, of some of its rows. */
  double relative_error(size_t parameter, size_t candidate);

  /** Makes the parameter what the candidate (or kKeep) would be. */
  void set(size_t parameter, size_t candidate);

 private:
  conversion::Plan plan(const std::optional<Quantization>& candidate);

  arch::LoadedModel loaded_;
  TensorData data_;
  nn::WeightReader reader_;
  std::string dtype_;
  conversion::Plan kept_;
  std::vector<conversion::Plan> plans_;  ///< one a candidate
  std::vector<kernels::Weight> original_;
  std::vector<size_t> current_;
  std::map<size_t, std::vector<float>> samples_;
  uint64_t source_bytes_ = 0;
};

}  // namespace assay::quantization
