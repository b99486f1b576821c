#pragma once

// The peak memory of evaluating an MLX graph, without evaluating it: a walk in
// the order in which MLX would compute, that counts what is alive.

#include <cstdint>
#include <unordered_set>
#include <vector>

#include <mlx/array.h>

namespace assay {

/** Ids of arrays whose memory is counted elsewhere (weights, caches); the walk
 * ends there. */
using Leaves = std::unordered_set<std::uintptr_t>;

/** Peak bytes alive while `outputs` are computed, leaves not counted. Views
 * take nothing, elementwise operations write over an input of their size that
 * nobody needs any more, and `lag` operations may be under way before the
 * memory of what they read is given back (MLX queues that many on a CPU). */
uint64_t graph_peak_bytes(const std::vector<mlx::core::array>& outputs,
                          const Leaves& leaves,
                          int lag);

}  // namespace assay
