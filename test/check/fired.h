#pragma once

// Which ids the reports of this test program held, so that its last test can
// ask of the catalogue: is there an id that no planted defect ever fired?

#include <filesystem>
#include <set>
#include <string>

#include "assay/check/check.h"

namespace assay::testing {

/** Filled by every report that a test made. */
inline std::set<std::string>& fired_ids() {
  static std::set<std::string> ids;
  return ids;
}

/** How many reports were sound, without any finding that matters. */
inline size_t& sound_reports() {
  static size_t count = 0;
  return count;
}

inline void note_fired(const std::vector<Finding>& findings) {
  for (const auto& finding : findings) {
    fired_ids().insert(finding.id);
  }
}

/** check, with its findings noted. */
inline CheckReport checked(const std::filesystem::path& path,
                           const CheckOptions& options = {}) {
  auto report = check(path, options);
  note_fired(report.findings);
  sound_reports() += report.verdict == Verdict::sound ? 1 : 0;
  return report;
}

}  // namespace assay::testing
