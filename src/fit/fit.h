#pragma once

// fit: the memory that a model needs on this machine, before it is loaded:
// weights, KV cache, and the peak of what one step computes, the last by a dry
// forward pass over lazy zeros whose graph is walked in MLX's order.
//
// Goals: within 15% of what a run takes (measure_fit says how near); honest
// about what it leaves out.
// Non-goals: fragmentation, memory of other programs.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "assay/arch/architecture.h"
#include "assay/core/json.h"
#include "assay/core/measurement.h"
#include "assay/core/quantization.h"
#include "assay/nn/loader.h"
#include "assay/nn/parameter.h"

namespace assay {

struct FitOptions {
  /** Positions to hold; 0: the model's own context, at most 4096. */
  int context = 0;
  int batch = 1;
  /** Bits of the weights: 0 as stored, 16 or 32 as floats, else quantized
   * (affine, `group_size`). */
  int bits = 0;
  int group_size = 64;
  /** Instead of `bits`: how each quantizable parameter is to be stored;
   * nothing: as 16-bit floats. */
  std::function<std::optional<Quantization>(const nn::ParameterSpec&)> recipe =
      {};
  /** Bits of the KV cache; 0: as activations. */
  int kv_bits = 0;
  int kv_group_size = 64;
  /** Positions of a prompt that run at once. */
  int prefill_chunk = 512;
};

/** Memory that a model may use. */
struct MemoryLimit {
  std::string device;  ///< "CPU", "Apple M2 Max", "NVIDIA H100..."
  uint64_t total = 0;  ///< RAM, working set limit of Metal, memory of the GPU
  uint64_t free = 0;   ///< of it now
  std::string what;    ///< which of these `total` is
};

MemoryLimit memory_limit();

struct MemoryNeed {
  uint64_t weights = 0;
  uint64_t kv_cache = 0;
  uint64_t activations = 0;  ///< peak of one step beyond weights and cache
  uint64_t program = 0;      ///< what the program itself takes
  uint64_t total() const { return weights + kv_cache + activations + program; }
};

/** A change that makes it fit. */
struct FitAdvice {
  std::string what;  ///< "context 8192", "4 bits in groups of 64"
  int context = 0;
  int bits = 0;     ///< 0: as stored
  int kv_bits = 0;  ///< 0: as activations
  uint64_t total = 0;
};

struct FitReport {
  std::filesystem::path path;
  std::string architecture;
  int context = 0;
  int batch = 1;
  std::string weights_as;  ///< "as stored", "4 bits in groups of 64"
  std::string cache_as;    ///< "float32", "8 bits in groups of 64"
  double bits_per_weight = 0;
  MemoryNeed need;
  uint64_t kv_bytes_per_token = 0;  ///< where no window bounds it, batch 1
  MemoryLimit limit;
  /** need.total() <= limit.total. */
  bool fits = false;
  /** need.total() <= limit.free. */
  bool fits_now = false;
  /** The longest context that fits as asked otherwise; 0: none. At most the
   * model's own. */
  int largest_context = 0;
  /** Where it doesn't fit: what would, the least change first. */
  std::vector<FitAdvice> advice;
  std::vector<Finding> findings;
};

/** Throws Error arch.unsupported, config.*, tensor.missing, shape.mismatch:
 * what can't be loaded has no size. */
FitReport fit(const ModelFiles& model, const FitOptions& options = {});
FitReport fit(const std::filesystem::path& path,
              const FitOptions& options = {});

/** Bytes that a parameter of these files takes once loaded: the decisions of
 * nn::WeightReader::read and nn::load_weights, by headers alone. Blocks that
 * MLX has no exact form for become float32. */
uint64_t loaded_bytes(const nn::ParameterSpec& spec,
                      const nn::Location& location,
                      bool keep_quantized = true);

/** Peak bytes that one prefill step computes with: `chunk` new positions after
 * `context - chunk` old ones. Weights and KV cache are not counted. Leaves the
 * tree's parameters without values. */
uint64_t activation_bytes(arch::Tree& tree,
                          int context,
                          int batch,
                          int chunk,
                          int kv_bits = 0,
                          int kv_group_size = 64);

/** The estimate held against a run. */
struct FitMeasurement {
  FitReport estimate;
  uint64_t measured = 0;  ///< bytes, beyond what the process held before
  /** (estimate - measured) / measured. */
  double error = 0;
  std::vector<Measurement> measurements;  ///< estimated, measured, error
};

/** Loads the model, runs a prompt of `options.context` tokens (0: 256) and a
 * few single tokens, and compares peak memory: the resident set on a CPU,
 * MLX's own count on a GPU. The resident set's peak can't be told where this
 * process held more before: then a finding fit.peak-hidden. Options that
 * store the weights otherwise are not run: std::invalid_argument. */
FitMeasurement measure_fit(const std::filesystem::path& path,
                           FitOptions options = {});

Json to_json(const FitReport& report);
Json to_json(const FitMeasurement& measurement);

}  // namespace assay
