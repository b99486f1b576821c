#include "assay/kernels/pool.h"

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

using namespace assay::kernels;

TEST_CASE("each job runs once, whatever the threads") {
  for (int threads : {1, 2, 3, 8}) {
    set_pool_threads(threads);
    for (size_t count : {0, 1, 2, 7, 1000}) {
      std::vector<std::atomic<int>> runs(count);
      parallel_for(count, [&](size_t i) { runs[i].fetch_add(1); });
      for (auto& run : runs) {
        CHECK(run.load() == 1);
      }
    }
  }
  set_pool_threads(0);
}

TEST_CASE("many short jobs in a row, with and without sleep between") {
  set_pool_threads(3);
  std::atomic<size_t> sum{0};
  for (int i = 0; i < 20000; ++i) {
    parallel_for(4, [&](size_t job) { sum.fetch_add(job); });
  }
  for (int i = 0; i < 50; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    parallel_for(4, [&](size_t job) { sum.fetch_add(job); });
  }
  CHECK(sum.load() == 6 * 20050);
  set_pool_threads(0);
}

TEST_CASE("calls from several threads at once all finish") {
  set_pool_threads(2);
  std::atomic<size_t> sum{0};
  std::vector<std::thread> callers;
  for (int c = 0; c < 3; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        parallel_for(3, [&](size_t) { sum.fetch_add(1); });
      }
    });
  }
  for (auto& caller : callers) {
    caller.join();
  }
  CHECK(sum.load() == 3 * 3 * 2000);
  set_pool_threads(0);
}

TEST_CASE("a job may use the pool") {
  set_pool_threads(2);
  std::atomic<size_t> sum{0};
  parallel_for(
      4, [&](size_t) { parallel_for(4, [&](size_t) { sum.fetch_add(1); }); });
  CHECK(sum.load() == 16);
  set_pool_threads(0);
}
