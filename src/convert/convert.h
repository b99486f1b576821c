#pragma once

// convert: a model rewritten in another layout, tensor by tensor, in bounded
// memory: GGUF, Hugging Face or MLX folders to an MLX folder, and back.
//
// Goals: what can be kept exactly is kept exactly; every other tensor is named
// with its error; a half-written result never looks finished. Non-goals:
// choosing a quantization by measured loss (the quantize room).

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/progress.h"
#include "assay/core/quantization.h"
#include "assay/core/shape.h"
#include "assay/nn/parameter.h"

namespace assay {

enum class ConvertTarget {
  mlx,   ///< a folder as mlx-lm writes and reads it
  gguf,  ///< one GGUF v3 file
  hf,    ///< a folder under Hugging Face's names, in floating point
};

/** "mlx", "gguf", "hf"; nothing for other words. */
std::optional<ConvertTarget> convert_target(std::string_view word);

/** How one parameter is to be quantized; nothing: not at all. */
using ChooseQuantization =
    std::function<std::optional<Quantization>(const nn::ParameterSpec&)>;

struct ConvertOptions {
  ConvertTarget to = ConvertTarget::mlx;

  /** To mlx: 0 keeps what is quantized exactly, and quantizes nothing else. */
  int bits = 0;
  /** 0: the mode's own (affine 64, mxfp4 and mxfp8 32, nvfp4 16). */
  int group_size = 0;
  /** "affine", "mxfp4", "mxfp8", "nvfp4"; empty: affine. A mode other than
   * affine quantizes without `bits`. */
  std::string mode;
  /** "mixed_2_6", "mixed_3_4", "mixed_3_6", "mixed_4_6", as mlx-lm chooses
   * layers; instead of `bits`. Empty: none. */
  std::string recipe;
  /** Instead of all of these: asked for each parameter that may be quantized,
   * in the order of the tree. */
  ChooseQuantization choose;

  /** Type of what is not quantized, and of scales: "float16", "bfloat16",
   * "float32"; empty: as the source has it, float16 for blocks without an
   * exact form. */
  std::string dtype;
  /** To gguf: type of the matrices: "F32", "F16", "BF16", "Q8_0", "Q4_0",
   * "Q4_1", "Q5_0", "Q5_1"; empty: the exact one where there is one, else the
   * float type that `dtype` or the source says. */
  std::string gguf_type;

  uint64_t max_shard_bytes = uint64_t{5} << 30;
  /** Replace an existing destination, at the end, in one step. */
  bool force = false;
  /** Compare the logits of source and result. */
  bool verify = true;
};

/** What became of one tensor whose values changed. */
struct ConvertedTensor {
  std::string name;  ///< in MLX's layout
  std::string from;  ///< "Q6_K", "BF16", "affine 4 bit, group 64"
  std::string to;
  Shape shape;
  /** Root of the mean square of the error over that of the values. */
  double rms_relative = 0;
  double max_abs = 0;
};

/** How far the result's logits are from the source's, on one short text. */
struct Drift {
  int tokens = 0;
  std::string text;     ///< empty: pseudo-random ids, as there is no tokenizer
  double mean_abs = 0;  ///< of the difference of logits
  double max_abs = 0;
  double kl = 0;              ///< mean of KL(source || result), nats a token
  double top1_agreement = 0;  ///< share of positions, 0 to 1
};

struct ConvertReport {
  std::filesystem::path source, destination;
  ConvertTarget to = ConvertTarget::mlx;
  std::string architecture;   ///< model_type
  uint64_t tensors = 0;       ///< parameters written
  uint64_t parameters = 0;    ///< their elements
  uint64_t source_bytes = 0;  ///< of tensor data
  uint64_t bytes = 0;         ///< of tensor data written
  double bits_per_weight = 0;
  int files = 0;                             ///< that hold tensors
  std::optional<Quantization> quantization;  ///< the most common
  uint64_t quantized = 0;                    ///< matrices stored quantized
  uint64_t exact = 0;  ///< parameters whose values did not change
  std::vector<ConvertedTensor> changed;  ///< the others
  std::vector<Finding> findings;
  std::optional<Drift> drift;
  double seconds = 0;       ///< of reading and writing, no verification
  uint64_t peak_bytes = 0;  ///< largest resident set, before verification
};

/** Converts `source` (anything open_model takes) to `destination`. Progress
 * counts source bytes. The destination appears when all is written and, if
 * asked for, verified: a result that does not load is not put in place.
 *
 * Throws Error: those of open_model, build_tree and WeightReader;
 * convert.destination (inside the source, or around it), file.exists without
 * `force`, file.no-space, convert.option (what does not go together),
 * quantize.not-representable (values that the type cannot hold),
 * gguf.no-equivalent and convert.no-way-back for what the target cannot say. */
ConvertReport convert(const std::filesystem::path& source,
                      const std::filesystem::path& destination,
                      const ConvertOptions& options = {},
                      const Progress& progress = {});

Json to_json(const ConvertReport& report);

}  // namespace assay
