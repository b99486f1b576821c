#pragma once

// The vocabulary of a tokenizer.json by its text, for rules that need no
// tokenizer: which token has which id.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/formats/gguf.h"

namespace assay::rules {

/** Pieces and added tokens. */
struct Vocabulary {
  std::map<std::string, int64_t, std::less<>> pieces, added;
  bool known = false;  ///< has pieces by name

  std::optional<int64_t> id_of(std::string_view text) const;
};

Vocabulary vocabulary_of(const Json& tokenizer);

/** What a GGUF does not say about its vocabulary, though readers need it.
 * `where` is the file. */
std::vector<Finding> gguf_vocabulary(const GgufMetadata& metadata,
                                     const std::string& where);

/** A token's text: "</s>" or {"content": "</s>"}; empty for anything else. */
std::string content(const Json* value);

}  // namespace assay::rules
