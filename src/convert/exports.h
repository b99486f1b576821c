#pragma once

// The way back: tensors under the names and in the layouts of Hugging Face or
// GGUF, made by undoing the steps of each parameter.

#include <filesystem>

#include "assay/arch/architecture.h"
#include "assay/convert/mlx_folder.h"

namespace assay::conversion {

/** What an export did with one source tensor's worth of parameters. */
struct Exported {
  std::vector<const nn::ParameterSpec*> parameters;
  std::string from, to;
  uint64_t source_bytes = 0, bytes = 0;
  bool quantized = false;
  Change change;
};
using ExportWritten = std::function<void(const Exported&)>;

struct Job {
  const ModelFiles& files;
  const arch::Tree& tree;
  nn::WeightReader& reader;
  TensorData& data;
  const ConvertOptions& options;
};

/** Bytes of tensor data and files written. */
struct ExportSize {
  uint64_t bytes = 0;
  int files = 1;
};

/** Into a folder, under Hugging Face's names. Throws Error
 * convert.no-way-back. */
ExportSize export_hf(const Job& job,
                     const std::filesystem::path& folder,
                     const ExportWritten& written);

/** One file. Throws Error convert.no-way-back, gguf.no-equivalent. */
ExportSize export_gguf(const Job& job,
                       const std::filesystem::path& file,
                       std::vector<Finding>& findings,
                       const ExportWritten& written);

}  // namespace assay::conversion
