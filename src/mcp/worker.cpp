#include "assay/mcp/worker.h"

namespace assay::mcp {

namespace {
constexpr size_t kMaxWaiting = 256;
}

Worker::Worker() : thread_([this] { loop(); }) {}

Worker::~Worker() {
  {
    std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool Worker::run(std::function<void()> work) {
  {
    std::scoped_lock lock(mutex_);
    if (queue_.size() >= kMaxWaiting) {
      return false;
    }
    queue_.push_back(std::move(work));
  }
  changed_.notify_all();
  return true;
}

void Worker::loop() {
  while (true) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ending_ || !queue_.empty(); });
    if (queue_.empty()) {
      return;
    }
    auto work = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    work();
  }
}

}  // namespace assay::mcp
