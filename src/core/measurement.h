#pragma once

// Measurement: the only way to state a figure. It carries its conditions, and
// goes to RESULTS.md as one row.

#include <string>
#include <utility>
#include <vector>

namespace assay {

struct Measurement {
  std::string what;  ///< "decode", "perplexity"
  double value = 0;
  std::string unit;  ///< "tokens/s", "", "bytes"
  /** Half the range of the middle half of the runs; 0 for a single run. */
  double spread = 0;
  /** In order: model, command, machine, versions, runs... */
  std::vector<std::pair<std::string, std::string>> conditions;
};

}  // namespace assay
