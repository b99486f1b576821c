#pragma once

// Members of a JSON object that may be absent, null, or of another kind: for
// rules, which report what is there and never stop at what is not.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "assay/core/json.h"

namespace assay::fields {

/** A member that is there and not null. */
const Json* member(const Json& object, std::string_view name);
/** The same by a path: "rope_parameters.rope_theta". */
const Json* member_at(const Json& object, std::string_view path);
std::optional<int64_t> integer(const Json& object, std::string_view name);
std::optional<double> number(const Json& object, std::string_view name);
/** Empty where it is no text. */
std::string text(const Json& object, std::string_view name);
/** False where it is not true. */
bool truth(const Json& object, std::string_view name);
/** As a finding shows it: one line, cut where it is long. */
std::string shown(const Json& value);

}  // namespace assay::fields
