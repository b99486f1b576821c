#pragma once

// The data of one planned parameter, piece by piece, into a file: several
// threads make a batch, one writes it. Also measures what changed.

#include <functional>
#include <optional>
#include <span>

#include "assay/convert/plan.h"

namespace assay::conversion {

/** Takes the next bytes of a file. */
using Sink = std::function<void(std::span<const std::byte>)>;

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

/** Writes the entries of a parameter, whose rows are open, in their order.
 * Throws Error quantize.not-representable. */
Change stream(const PlannedParameter& parameter, const Sink& sink);

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
