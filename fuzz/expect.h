#pragma once

// What must hold of anything that a reader accepts; a fuzz target that finds
// otherwise stops with the input at hand.

#include <cstdio>
#include <cstdlib>

namespace assay_fuzz {

inline void expect(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "accepted, but: %s\n", what);
    std::abort();
  }
}

}  // namespace assay_fuzz
