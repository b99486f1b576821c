#pragma once

// bench: how fast a model loads, reads a prompt and writes, and what memory it
// takes. Warm-up runs are thrown away; a figure is the median of the others.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "assay/core/json.h"
#include "assay/core/measurement.h"
#include "assay/core/progress.h"

namespace assay {

struct BenchOptions {
  /** Lengths of the prompts of pseudo-random ids. */
  std::vector<int> prompt_lengths = {128, 512};
  /** Tokens written after the first of these prompts; 0: none. */
  int decode_tokens = 64;
  int runs = 5;
  int warmup = 1;
  /** Threads of the CPU kernels; 0: one a physical core. */
  int threads = 0;
  /** Positions of a prompt that run at once. */
  int prefill_chunk = 512;
  /** Bits of the KV cache, as in nn::CacheOptions: 0 or 16. */
  int kv_bits = 0;
  /** Loads that are timed; the last one is run. */
  int loads = 3;
};

struct BenchReport {
  std::filesystem::path path;
  std::string architecture;
  /** Each with all conditions: "load" (s), "prefill N" (tokens/s) for each
   * length, "decode N" (tokens/s), "peak memory" (bytes, resident set),
   * "peak MLX memory" (bytes; mapped weights are not in it). */
  std::vector<Measurement> measurements;
};

/** Throws Error: those of load_model, measure.option for counts below 1. */
BenchReport bench(const std::filesystem::path& path,
                  const BenchOptions& options = {},
                  const Progress& progress = {});

/** Median and half the range of the middle half. Precondition: not empty. */
struct MedianSpread {
  double median = 0;
  double spread = 0;
};
MedianSpread median_spread(std::vector<double> values);

/** What every figure of this machine carries: machine, system, back end,
 * versions, threads. */
std::vector<std::pair<std::string, std::string>> machine_conditions();

Json to_json(const Measurement& measurement);
Json to_json(const BenchReport& report);

}  // namespace assay
