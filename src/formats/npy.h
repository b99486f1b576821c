#pragma once

// Headers of numpy's .npy files: an array of objects is a pickle behind one.
// Format: numpy.lib.format, versions 1 to 3.

#include <cstddef>
#include <optional>
#include <span>

namespace assay {

struct NpyHeader {
  size_t data = 0;       ///< where the array begins
  bool objects = false;  ///< of Python objects, or with such a field
};

bool starts_as_npy(std::span<const std::byte> bytes);

/** Nothing where the header breaks off. */
std::optional<NpyHeader> read_npy(std::span<const std::byte> bytes);

}  // namespace assay
