#pragma once

// Views that the products work on: a weight matrix as it lies in memory, and
// rows of activations brought into the order in which the kernels read them.
// No MLX here, so that the kernels can be read and tested by themselves.

#include <bit>
#include <cstddef>
#include <cstdint>

namespace assay::kernels {

enum class Format : uint8_t { f32, f16, bf16, affine, mxfp4, mxfp8, nvfp4 };
/** What activations are on the CPU while they meet weights of 2, 4 or 8 bits,
 * one or a few rows at a time. Each group of them has a step of its own. int16:
 * 65535 steps; sums come out as near as float32's, about twice as fast. int8:
 * 255 where weights have 4 bits and the processor multiplies bytes, else as
 * int16. More rows are float32, or int16 where weights have 4 or 8 bits and the
 * processor has VNNI. */
enum class Activations : uint8_t { float32, int16, int8 };

enum class ScaleType : uint8_t { none, f32, f16, bf16, e8m0, e4m3 };

/** A matrix [rows, columns], rows one after the other. Quantized values lie as
 * MLX packs them: one little-endian stream of `bits`-wide fields a row. */
struct Matrix {
  Format format = Format::f32;
  ScaleType scale_type = ScaleType::none;
  int bits = 32;  ///< of one value
  int group = 0;  ///< columns that share a scale; 0: no scales
  size_t rows = 0;
  size_t columns = 0;
  const std::byte* data = nullptr;
  /// [rows, columns / group] of scale_type
  const std::byte* scales = nullptr;
  const std::byte* biases = nullptr;  ///< affine only, else null
  bool symmetric = false;             ///< see Weight
  /// Ends of the arrays that the pointers lie in: a vector load may reach into
  /// the next row, never past these.
  const std::byte* data_end = nullptr;
  const std::byte* scales_end = nullptr;
  const std::byte* biases_end = nullptr;

  size_t row_bytes() const { return columns * static_cast<size_t>(bits) / 8; }
  /** Group sizes are powers of two, and divisions slow. */
  size_t groups() const {
    return group == 0 ? 0
                      : columns >> std::countr_zero(static_cast<size_t>(group));
  }
};

/** A row of activations: `values` in the order of the weight's kernel, padded
 * with zeros; `sums` over each group (null where the format has no offset). */
struct PackedRow {
  const float* values = nullptr;
  const float* sums = nullptr;
  float* out = nullptr;  ///< where the products with the weight's rows go
};

/** A row of activations as integers: activation = step of its group * value
 * + what is left. Order and padding are those of the weight's kernel, and so is
 * how often the parts of a group stand there. */
struct IntegerRow {
  std::byte* values = nullptr;
  float* steps = nullptr;  ///< of each group, and so on
  float* sums = nullptr;   ///< of the activations
  float* rests = nullptr;  ///< of what is left, times the middle weight
};

}  // namespace assay::kernels
