#pragma once

// A config as a GGUF says it: metadata, with what an architecture fixes and
// what follows from several fields, and the factors of rotary settings, which
// are tensors.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/arch/architecture.h"
#include "assay/core/json.h"

namespace assay::arch {

/** Of architectures whose GGUFs say which layers slide. */
inline constexpr std::string_view kWindowPatternKey =
    "{arch}.attention.sliding_window_pattern";

/** The number p for which "every p-th layer attends to all, the others slide"
 * says the same as "layer_types"; nothing if there is none. */
std::optional<int> window_pattern(const std::vector<std::string>& layer_types);

/** Throws Error config.invalid-value, gguf.no-equivalent. */
GgufMetadata gguf_metadata(const Architecture& architecture,
                           const Json& config);

struct GgufFactors {
  std::string name;
  std::vector<float> values;
};

/** The tensors of factors for a config's RoPE: of type "llama3" the divisors
 * of each frequency, of "longrope" both lists; otherwise none. Throws Error
 * config.*. */
std::vector<GgufFactors> gguf_rope_factors(const Json& config);

}  // namespace assay::arch
