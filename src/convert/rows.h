#pragma once

// The rows of one parameter as its files hold them: as floats, or rewritten in
// MLX's quantized form without change. Steps that only move rows around are
// applied row by row, so that nothing of a tensor's size is held.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <mlx/array.h>

#include "assay/formats/ggml.h"
#include "assay/nn/loader.h"

namespace assay::conversion {

/** A quantized form, and the type of its scales and biases (U8 where the mode
 * is not affine). */
struct Form {
  Quantization quantization;
  DType scale_type = DType::f16;
};

/** What is known of the scales in ggml's blocks: nearly always the type's
 * usual form holds them, and reading them is reading the file once more. */
enum class BlockScales : uint8_t { read, assumed };

/** Rows of equal size that lie in one or several tensors. */
struct RowSet {
  std::vector<std::span<const std::byte>> tensors;
  size_t rows_each = 0;  ///< rows of each tensor
  size_t row_bytes = 0;

  const std::byte* row(size_t index) const {
    return tensors[index / rows_each].data() + index % rows_each * row_bytes;
  }
};

/** Not copyable. Between open() and close(), floats() and pack() may be called
 * from several threads. */
class ParameterRows {
 public:
  /** Reads no data. `location` is checked: throws Error with what is wrong.
   * All three must outlive this. */
  ParameterRows(const nn::ParameterSpec& spec,
                nn::WeightReader& reader,
                TensorData& data);

  const nn::ParameterSpec& spec() const { return *spec_; }
  size_t rows() const { return rows_; }
  size_t width() const { return width_; }
  uint64_t stored_bytes() const;

  /** How the files hold it: "Q4_1", "affine 4 bit, group 64". */
  std::string stored_as() const;
  /** The floating-point type that holds the stored values, as a default for
   * the result: the stored type if that is F16, BF16 or F32; F32 for F64;
   * BF16 for F8; F16 for blocks and the affine scales' type otherwise. */
  DType float_type() const;

  /** The quantized form that holds the stored values without change; nothing
   * if there is none, or if the parameter may not be quantized. Reads the
   * scales of ggml blocks the first time, or assumes the usual form: pack()
   * tells where that does not hold them. */
  std::optional<Form> form(BlockScales scales = BlockScales::read);

  void open();
  /** Lets go of the data's pages. */
  void close();
  /** Lets go of those of rows that are done with, so that no tensor need be
   * held whole. */
  void release(size_t first, size_t count) const;

  /** float32 values of rows [first, first + count). */
  void floats(size_t first, size_t count, std::span<float> out) const;
  /** Those rows as stored, aligned to 4 bytes; copied to `buffer` where they
   * do not lie so. For rows that hold() their type. */
  std::span<const std::byte> stored(size_t first,
                                    size_t count,
                                    std::vector<std::byte>& buffer) const {
    return gather(values_, first, count, buffer);
  }
  /** Those rows in form(); false if a scale does not fit. */
  [[nodiscard]] bool pack(size_t first,
                          size_t count,
                          std::span<uint32_t> packed,
                          std::span<std::byte> scales,
                          std::span<std::byte> biases) const;
  /** The bytes of all rows in order, where they are plain values of `dtype`
   * and can be written as they lie; otherwise empty. */
  std::vector<std::span<const std::byte>> as_they_lie(DType dtype) const;
  /** True where each value is stored as one of `dtype`, so that rounding to it
   * changes none. */
  bool holds(DType dtype) const {
    return kind_ != Kind::quantized && dtype_ == dtype;
  }

 private:
  enum class Kind {
    direct,     ///< rows of values or blocks in the mapped files
    quantized,  ///< rows that MLX, or a published mxfp4, quantized
    array,      ///< a value that MLX operations made
  };
  void choose_kind();
  void check_scales() const;
  std::optional<Form> form_of_blocks() const;
  std::optional<Form> usual_form() const;
  void map_rows();
  size_t stored_row(size_t row) const {
    return row_map_.empty() ? row : row_map_[row];
  }
  std::span<const std::byte> gather(const RowSet& set,
                                    size_t first,
                                    size_t count,
                                    std::vector<std::byte>& buffer) const;
  RowSet row_set(const std::vector<const TensorInfo*>& tensors) const;

  const nn::ParameterSpec* spec_;
  nn::WeightReader* reader_;
  TensorData* data_;
  nn::Location location_;
  Kind kind_ = Kind::direct;
  size_t rows_ = 0, width_ = 0;
  DType dtype_ = DType::f32;  ///< of the values in `values_`
  std::optional<Form> form_;
  bool form_known_ = false;

  RowSet values_, scales_, biases_;
  std::vector<uint32_t> row_map_;  ///< empty: rows lie in order
  std::optional<mlx::core::array> array_;
};

/** "affine 4 bit, group 64". */
std::string describe(const Quantization& quantization);

}  // namespace assay::conversion
