#pragma once

// A pool of threads that stays: workers spin for a moment after each job, since
// a model's products follow each other within microseconds, then sleep.

#include <cstddef>
#include <functional>

namespace assay::kernels {

/** Calls job(0) ... job(count - 1), each once, on the caller and the workers;
 * returns when all are done. Jobs must not throw. A call from a second thread
 * while a first is inside runs on that second thread alone. */
void parallel_for(size_t count, const std::function<void(size_t)>& job);

/** Threads that parallel_for uses, the caller among them. */
int pool_threads();
/** 0: one a physical core that this process may use. */
void set_pool_threads(int threads);

}  // namespace assay::kernels
