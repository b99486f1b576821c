#pragma once

// How far a result's logits are from its source's on one short text. Loads one
// model at a time.

#include <filesystem>

#include "assay/arch/architecture.h"
#include "assay/convert/convert.h"
#include "assay/formats/model_files.h"

namespace assay::conversion {

/** On a built-in text, or on pseudo-random ids where the source has no
 * tokenizer that serves. Throws Error: those of load_model, and shape.mismatch
 * where the vocabularies differ in size. */
Drift measure_drift(const ModelFiles& source,
                    const arch::Tree& tree,
                    const std::filesystem::path& result);

}  // namespace assay::conversion
