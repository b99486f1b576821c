#pragma once

// check --against: a model held against one that is known to be good. Only
// differences that change what is computed; spellings of library versions are
// no difference.

#include <map>
#include <string>
#include <vector>

#include "assay/check/check.h"
#include "assay/check/profile.h"
#include "assay/core/finding.h"

namespace assay {

/** Findings against.*; `actual` is of `model`, `expected` of `good`. */
std::vector<Finding> compare_with(const Profile& model, const Profile& good);

/** The step "against" of check. */
ExtraStep against_step(Profile good);

/** A config's fields by dotted path, in one spelling: rope_parameters and
 * dtype (transformers 5) for rope_theta, rope_scaling and torch_dtype
 * (transformers 4), no nulls, nothing about who wrote it or how it was
 * trained. */
std::map<std::string, Json> plain_fields(const Json& config);

}  // namespace assay
