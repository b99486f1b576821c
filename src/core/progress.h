#pragma once

// Progress of long work. A job calls the function it was given; a face draws
// it (a bar on a terminal, nothing in a pipe). A job never prints.

#include <cstdint>
#include <functional>
#include <string>

namespace assay {

struct ProgressUpdate {
  std::string what;    ///< "convert", "model.layers.3.mlp.up_proj.weight"
  uint64_t done = 0;   ///< of `total`, in bytes or steps
  uint64_t total = 0;  ///< 0 when not known
};

/** May be empty: then nobody watches. */
using Progress = std::function<void(const ProgressUpdate&)>;

/** Draws a bar on standard error if that is a terminal; otherwise an empty
 * function. The bar is wiped when the function is destroyed or finished. */
Progress terminal_progress();

}  // namespace assay
