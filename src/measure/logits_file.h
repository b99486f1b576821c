#pragma once

// Logits in a file, so that any other implementation can be compared: a
// safetensors file with F32 "logits" [length, vocab], I32 "tokens" [length]
// and metadata "format" = "assay-logits", "model", "text".

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <mlx/array.h>

#include "assay/core/json.h"
#include "assay/core/progress.h"
#include "assay/measure/text_sample.h"

namespace assay {

struct LogitsReport {
  std::filesystem::path model, output;
  std::vector<int32_t> tokens;
  std::string text;  ///< empty for ids
  int64_t vocab = 0;
  uint64_t bytes = 0;
};

/** Runs the sequence from an empty context and writes its logits, atomically.
 * Throws Error: those of load_model, sample_tokens, file.unwritable. */
LogitsReport write_logits(const std::filesystem::path& model,
                          const SampleOptions& sample,
                          const std::filesystem::path& output,
                          const Progress& progress = {});

struct LogitsFile {
  std::vector<int32_t> tokens;
  mlx::core::array logits;  ///< float32 [length, vocab]
  std::string model, text;  ///< of the metadata; may be empty
};

/** Reads what write_logits, or another implementation, wrote: needs the two
 * tensors, not the metadata; F16 and BF16 logits too. Throws Error
 * safetensors.*, measure.logits-file. */
LogitsFile read_logits(const std::filesystem::path& path);

/** True for a single .safetensors file with tensors "logits" and "tokens". */
bool is_logits_file(const std::filesystem::path& path);

Json to_json(const LogitsReport& report);

}  // namespace assay
