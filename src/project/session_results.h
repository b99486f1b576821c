#pragma once

// What sessions and the check of a project say of results.

#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/project/page.h"
#include "assay/project/results.h"
#include "assay/project/store.h"

namespace assay::project {

/** The ids of all recorded runs, by time. */
std::vector<std::string> run_ids(const Ledger& ledger);

/** "2 of SmolLM2 (bench, perplexity)": the runs not among `before`. */
std::string runs_since(const Ledger& ledger,
                       const std::vector<std::string>& before);

/** The section RESULTS: what is worse beyond noise (and by at least `percent`),
 * then the newest runs. */
PageSection results_section(const Ledger& ledger, double percent);

/** result.model-changed for each model whose newest run was measured on other
 * bytes than lie there now, and what is wrong with the ledger or its view.
 * Returns how many runs were looked at. */
size_t check_results(const Store& store, std::vector<Finding>& findings);

}  // namespace assay::project
