#pragma once

// Shapes as files state them: 64-bit, row-major, outermost dimension first.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace assay {

using Shape = std::vector<int64_t>;

/** Number of elements; nothing when a dimension is negative or the product
 * does not fit 64 bits. A scalar (no dimensions) has one. */
std::optional<uint64_t> element_count(const Shape& shape);

/** "(28672, 8192)". */
std::string to_string(const Shape& shape);

}  // namespace assay
