#pragma once

// The vocabulary of a tokenizer.json by its text, for rules that need no
// tokenizer: which token has which id.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "assay/core/json.h"

namespace assay::rules {

/** Pieces and added tokens. */
struct Vocabulary {
  std::map<std::string, int64_t, std::less<>> pieces, added;
  bool known = false;  ///< has pieces by name

  std::optional<int64_t> id_of(std::string_view text) const;
};

Vocabulary vocabulary_of(const Json& tokenizer);

/** A token's text: "</s>" or {"content": "</s>"}; empty for anything else. */
std::string content(const Json* value);

}  // namespace assay::rules
