#include "assay/core/shape.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace assay {

std::optional<uint64_t> element_count(const Shape& shape) {
  uint64_t count = 1;
  for (int64_t dim : shape) {
    if (dim < 0 ||
        __builtin_mul_overflow(count, static_cast<uint64_t>(dim), &count)) {
      return std::nullopt;
    }
  }
  return count;
}

std::string to_string(const Shape& shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

}  // namespace assay
