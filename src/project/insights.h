#pragma once

// What LEARNINGS.md says besides decisions, and what of it touches some work.

#include <string>
#include <string_view>
#include <vector>

#include "assay/project/document.h"

namespace assay::project {

struct Learning {
  std::string text;     ///< in one line
  bool failed = false;  ///< under a heading that speaks of failure
  int line = 1;
};

/** Each list item (and, under a heading of failed approaches, each heading
 * below it), in the order of the document. */
std::vector<Learning> list_learnings(const Document& document);

/** Texts ranked by the words they share with others: rare words count more,
 * endings of words and the commonest words not at all. */
class Relevance {
 public:
  explicit Relevance(const std::vector<std::string>& texts);

  /** `words` is what is at work; a text may come several times to count more.
   * Indices of the texts that share a word, the best first, at most `limit`;
   * of two as good, the later one. */
  std::vector<size_t> rank(const std::vector<std::string>& words,
                           size_t limit) const;

 private:
  std::vector<std::vector<std::string>> words_;  ///< of each text, sorted
};

}  // namespace assay::project
