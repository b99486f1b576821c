#pragma once

// Whether a sanitizer is compiled in: times and memory are then not those of
// the program, and tests that hold them to bounds leave that out.

namespace assay::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

}  // namespace assay::testing
