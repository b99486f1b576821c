#pragma once

// A job that is killed cannot remove the folder that it was filling. The next
// one to the same destination does: while a job lives, a process has the number
// in its folder's name, or (on another machine, say) somebody the folder's
// lock.

#include <filesystem>
#include <vector>

#include "assay/core/finding.h"

namespace assay {

/** Holds the lock of an AtomicFolder's partial(), and removes what jobs that
 * are gone left of the same result. For jobs that take their time. */
class Claim {
 public:
  explicit Claim(const std::filesystem::path& partial);
  ~Claim();
  Claim(const Claim&) = delete;
  Claim& operator=(const Claim&) = delete;

  /** A note file.leftover for each folder that was left. */
  const std::vector<Finding>& findings() const { return findings_; }

 private:
  void remove_leftover(const std::filesystem::path& folder);

  int lock_ = -1;
  std::vector<Finding> findings_;
};

}  // namespace assay
