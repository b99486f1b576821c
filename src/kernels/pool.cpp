#include "assay/kernels/pool.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "assay/core/platform.h"

#if defined(__x86_64__) || defined(__i386__)
#include <immintrin.h>
#endif

namespace assay::kernels {
namespace {

void pause() {
#if defined(__x86_64__) || defined(__i386__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// Waits a moment for `ready`; true if it came. Longer than the work between
// two products of a layer, shorter than anybody notices. After the first steps
// the core is offered to others: with as many workers as cores, the thread
// that builds the next step needs one of them.
template <class Ready>
bool spin_until(const Ready& ready) {
  constexpr int kSteps = 200;
  constexpr int kPauses = 10;
  for (int step = 0; step < kSteps; ++step) {
    for (int i = 0; i < kPauses; ++i) {
      if (ready()) {
        return true;
      }
      pause();
    }
    if (step > 4) {
      std::this_thread::yield();
    }
  }
  return false;
}

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) {}

  int threads() const { return threads_.load(std::memory_order_relaxed); }

  void resize(int threads) {
    std::lock_guard lock(mutex_);
    stop();
    threads_.store(threads);
  }

  void run(size_t count, const std::function<void(size_t)>& job) {
    std::unique_lock lock(mutex_, std::try_to_lock);
    bool shared = lock && threads() > 1 && count > 1 && count <= kMostJobs;
    if (shared && workers_.empty()) {
      start();
    }
    if (!shared) {
      for (size_t i = 0; i < count; ++i) {
        job(i);
      }
      return;
    }
    job_ = &job;
    done_.store(0, std::memory_order_relaxed);
    uint64_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
    tickets_.store(epoch << 32 | count, std::memory_order_release);
    epoch_.fetch_add(1);
    if (sleeping_.load() > 0) {
      epoch_.notify_all();
    }
    take_jobs();
    wait_for(count);
  }

 private:
  static constexpr size_t kMostJobs = 0xffffffff;

  // Not before the first job: most commands compute nothing.
  void start() {
    stopping_.store(false);
    for (int i = 1; i < threads(); ++i) {
      workers_.emplace_back([this, seen = epoch_.load()] { work(seen); });
    }
  }

  void stop() {
    stopping_.store(true);
    epoch_.fetch_add(1);
    epoch_.notify_all();
    for (auto& worker : workers_) {
      worker.join();
    }
    workers_.clear();
  }

  void work(uint32_t seen) {
    while (true) {
      wait_for_epoch(seen);
      seen = epoch_.load(std::memory_order_acquire);
      if (stopping_.load()) {
        return;
      }
      take_jobs();
    }
  }

  void wait_for_epoch(uint32_t seen) {
    if (spin_until(
            [&] { return epoch_.load(std::memory_order_acquire) != seen; })) {
      return;
    }
    // Sequentially consistent on both sides: either run() sees the sleeper,
    // or the sleeper sees the new epoch.
    sleeping_.fetch_add(1);
    epoch_.wait(seen);
    sleeping_.fetch_sub(1);
  }

  // A ticket is the number of jobs left, under the epoch they belong to. Who
  // takes one keeps run() from returning, so job_ stays what it was; a worker
  // that wakes late finds none and touches nothing.
  void take_jobs() {
    uint64_t tickets = tickets_.load(std::memory_order_acquire);
    while ((tickets & kMostJobs) != 0) {
      if (tickets_.compare_exchange_weak(
              tickets, tickets - 1, std::memory_order_acquire)) {
        (*job_)((tickets & kMostJobs) - 1);
        done_.fetch_add(1, std::memory_order_release);
        tickets = tickets_.load(std::memory_order_acquire);
      }
    }
  }

  void wait_for(size_t count) {
    auto finished = [&] {
      return done_.load(std::memory_order_acquire) >= count;
    };
    while (!spin_until(finished)) {
    }
  }

  std::mutex mutex_;
  std::vector<std::thread> workers_;
  std::atomic<int> threads_;
  std::atomic<bool> stopping_{false};
  const std::function<void(size_t)>* job_ = nullptr;
  alignas(64) std::atomic<uint32_t> epoch_{0};
  alignas(64) std::atomic<int> sleeping_{0};
  alignas(64) std::atomic<uint64_t> tickets_{0};
  alignas(64) std::atomic<size_t> done_{0};
};

int default_threads() {
  return std::max(1, machine_info().physical_cores);
}

// Never destroyed: MLX's stream threads may still compute while the program
// ends.
Pool& pool() {
  static Pool& instance = *new Pool(default_threads());
  return instance;
}

}  // namespace

void parallel_for(size_t count, const std::function<void(size_t)>& job) {
  pool().run(count, job);
}

int pool_threads() {
  return pool().threads();
}

void set_pool_threads(int threads) {
  int wanted = threads > 0 ? threads : default_threads();
  if (wanted != pool().threads()) {
    pool().resize(wanted);
  }
}

}  // namespace assay::kernels
