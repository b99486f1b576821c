#pragma once

// The parts of compare, each of one kind of thing. Internal to the room.

#include <vector>

#include "assay/arch/architecture.h"
#include "assay/measure/compare.h"

namespace assay::comparison {

/** Fields that differ, both configs brought to the spelling of transformers 5.
 * Where the spellings differ, or a side is a GGUF, a field that only one side
 * states says nothing: the other spelling may leave it to be derived. What
 * only says who wrote the file, and how weights are packed, is left out. */
std::vector<FieldDifference> compare_configs(const Json& a,
                                             const Json& b,
                                             bool same_container);

/** Nothing where neither side has a tokenizer. What can't be read goes to
 * `findings`. */
std::optional<TokenizerComparison> compare_tokenizers(
    const ModelFiles& a,
    const ModelFiles& b,
    const std::string& probe,
    std::vector<Finding>& findings);

/** One side of a comparison. */
struct Side {
  const ModelFiles& files;
  const arch::Tree& tree;
};

/** Fills shapes, weights (if asked for) and equal_weights. */
void compare_parameters(const Side& a,
                        const Side& b,
                        bool weights,
                        const Progress& progress,
                        CompareReport& report);

}  // namespace assay::comparison
