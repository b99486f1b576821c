#pragma once

// The data of planned parameters, piece by piece, into a file: while one thread
// writes, others make more. Also measures what changed.

#include <exception>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "assay/convert/plan.h"

namespace assay::conversion {

/** Takes the next bytes of a file. */
using Sink = std::function<void(std::span<const std::byte>)>;
/** Takes bytes that begin `at` in what is written; one call at a time. */
using Place = std::function<void(uint64_t at, std::span<const std::byte>)>;

/** Sums of a comparison of values before and after. */
struct Change {
  double error_squares = 0;
  double value_squares = 0;
  double max_abs = 0;

  void add(std::span<const float> before, std::span<const float> after);
  void add(const Change& other);
  bool none() const { return max_abs == 0; }
  double rms_relative() const;
};

/** Scales of blocks do not fit the form that was assumed. */
struct UnfitScales : std::exception {
  const char* what() const noexcept override {
    return "scales of blocks do not fit";
  }
};

/** Writes the entries of parameters, whose rows are open, one behind the other;
 * what changed in each. Throws Error quantize.not-representable, UnfitScales.
 */
std::vector<Change> stream(std::span<const PlannedParameter* const> parameters,
                           const Place& place);

/** Rows of float32 values, read piece by piece on several threads. */
struct FloatRows {
  size_t rows = 0, width = 0;
  std::function<void(size_t first, size_t count, std::span<float> out)> read;
};

/** Writes them as `dtype`, a plain float type or a block type that ggml
 * quantizes to. Nothing if a finite value does not fit the type. */
std::optional<Change> stream_floats(const FloatRows& rows,
                                    DType dtype,
                                    const Sink& sink);

}  // namespace assay::conversion
