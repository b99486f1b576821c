#pragma once

// A config as a GGUF says it: metadata, with what an architecture fixes and
// what follows from several fields, and the factors of rotary settings, which
// are tensors.

#include <string>
#include <vector>

#include "assay/arch/architecture.h"
#include "assay/core/json.h"

namespace assay::arch {

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
