#pragma once

// recall: full-text search over the project's documents and results. Markdown
// and the ledger stay the truth: the index (SQLite FTS5 in .assay, which git
// does not carry) is renewed before each search where a file changed, and made
// anew where it is broken; each hit is held against its file before it is
// shown.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/project/store.h"

namespace assay::project {

constexpr std::string_view kIndexFile = ".assay/recall.sqlite";

enum class RecallKind { text, task, decision, failed, result };

std::string_view name(RecallKind kind);
/** The kind of that name; nothing for other words. */
std::optional<RecallKind> recall_kind(std::string_view word);

/** What is found: a task with its notes, a decision, a failed approach, a run,
 * or else a paragraph, list item, table or piece of code. */
struct Passage {
  RecallKind kind = RecallKind::text;
  std::string file;   ///< relative to the project
  int line = 1;       ///< where it begins
  size_t offset = 0;  ///< the same in bytes; of a run nothing
  std::string title;  ///< the headings above it: "Learnings > Insights"
  std::string text;
};

struct RecallHit {
  Passage passage;
  std::string snippet;  ///< the part of it that fits best, on one line
  double score = 0;     ///< larger is better
  bool all_words = false;
};

struct RecallOptions {
  std::vector<RecallKind> kinds = {};  ///< empty: all
  size_t limit = 10;
};

struct Recall {
  std::vector<RecallHit> hits;  ///< those that hold all words first
  /** Files that could not be read; an index that was broken. */
  std::vector<Finding> findings;
};

/** Passages that hold the words (each in any form that the Porter stemmer
 * takes for the same, accents aside), then those that hold some. "Words in
 * quotes" and a.b are phrases; nothing is an operator. No words at all: Error
 * project.empty. */
Recall recall(const Store& store,
              std::string_view words,
              const RecallOptions& options = {});

/** The passages of a Markdown document. */
std::vector<Passage> passages_of(const Document& document);

Json to_json(const RecallHit& hit);

}  // namespace assay::project
