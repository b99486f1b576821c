#pragma once

// The time as people write it, in the local zone. ASSAY_NOW, say "2026-11-24
// 09:30", stands for it where a test plays several days.

#include <string>

namespace assay::project {

/** "2026-11-24 09:30:05". Throws Error clock.malformed for an ASSAY_NOW that
 * is no date and time. */
std::string now_text();

/** Minutes from one such text to a later one; negative if it is earlier.
 * Texts that are none give 0. */
long long minutes_between(const std::string& from, const std::string& to);

/** "15 hours", "3 days": for people. */
std::string span_text(long long minutes);

}  // namespace assay::project
