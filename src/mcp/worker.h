#pragma once

// The one thread that tools run on, since MLX's streams belong to a thread.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace assay::mcp {

class Worker {
 public:
  Worker();
  /** Runs what is queued, then ends. */
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /** False where too much is waiting already. `work` throws nothing. */
  bool run(std::function<void()> work);

 private:
  void loop();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace assay::mcp
