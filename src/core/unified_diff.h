#pragma once

// Two texts as a unified diff, as `diff -u` writes it and `patch` reads it.

#include <string>
#include <string_view>

namespace assay {

struct DiffLabels {
  std::string before;  ///< "a/config.json"; "/dev/null" for a new file
  std::string after;
};

/** Empty where the texts are equal. Three lines of context. Texts of many
 * thousand lines that differ throughout come as one hunk. */
std::string unified_diff(std::string_view before,
                         std::string_view after,
                         const DiffLabels& labels);

}  // namespace assay
