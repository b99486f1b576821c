#pragma once

// The catalogue of findings: one table of stable ids, each with its cause and
// remedy. `assay explain ID` prints an entry.

#include <span>
#include <string_view>

#include "assay/core/finding.h"

namespace assay {

struct CatalogueEntry {
  std::string_view id;
  Severity severity;
  std::string_view title;
  std::string_view cause;
  std::string_view remedy;
};

/** All entries, sorted by id. */
std::span<const CatalogueEntry> catalogue();

/** The entry of that id, or null. */
const CatalogueEntry* find_entry(std::string_view id);

}  // namespace assay
