#pragma once

// What the two exports share: which parameters go into which tensors of a
// format, and their values put together.

#include <mlx/array.h>

#include "assay/convert/exports.h"

namespace assay::conversion {

enum class Format { hf, gguf };

/** Parameters that are shares of the same tensors. */
struct ExportGroup {
  struct Tensor {
    std::string name;
    Shape shape;
  };
  std::vector<std::unique_ptr<ParameterRows>> rows;
  std::vector<const nn::Source*> sources;  ///< of each
  std::vector<Tensor> tensors;             ///< in the order of writing
};

/** In the order of the tree. Throws Error convert.no-way-back. */
std::vector<ExportGroup> export_groups(const Job& job, Format format);

std::vector<ExportGroup::Tensor> declared_tensors(const ExportGroup& group);

/** The tensors that a group's values make. */
std::vector<std::pair<std::string, mlx::core::array>> undo(
    const ExportGroup& group, const std::vector<mlx::core::array>& values);

/** Writes a group's tensors as `dtype`. Throws Error
 * quantize.not-representable. */
Change write_floats(const Job& job,
                    ExportGroup& group,
                    DType dtype,
                    const Sink& sink);

Exported exported(const ExportGroup& group, DType dtype, const Change& change);

/** A name for a model, out of its path. */
std::string fs_name(const std::filesystem::path& path);

/** Throws Error file.no-space. */
void check_space(const std::filesystem::path& folder, uint64_t bytes);

}  // namespace assay::conversion
