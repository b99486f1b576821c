#pragma once

// The numbers by which GGUF names element types (`enum ggml_type` of ggml.h).
// The one table of them.

#include <cstdint>
#include <optional>
#include <string_view>

#include "assay/core/dtype.h"

namespace assay {

/** The type with that number; nothing for unknown and for removed ones. */
std::optional<DType> dtype_from_ggml(uint32_t id);

/** The number of a type; nothing for types that GGUF lacks (U8, BOOL...). */
std::optional<uint32_t> ggml_id(DType dtype);

/** The name of a type that ggml once had and removed, or empty. */
std::string_view removed_ggml_type(uint32_t id);

}  // namespace assay
