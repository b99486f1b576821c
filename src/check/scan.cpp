#include "assay/check/scan.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace assay {
namespace fs = std::filesystem;

namespace {

constexpr size_t kMaxThreads = 8;

/** Workers take models in order; the caller's thread runs what they hand over
 * to it and gives out the reports. */
class Scan {
 public:
  Scan(std::span<const fs::path> models, const CheckOptions& options)
      : models_(models), options_(options), reports_(models.size()) {
    options_.on_main_thread = [this](const std::function<void()>& job) {
      run_on_caller(job);
    };
    if (options.progress) {
      options_.progress =
          [this, draw = options.progress](const ProgressUpdate& update) {
            std::lock_guard lock(drawing_);
            draw(update);
          };
    }
  }

  std::vector<CheckReport> run(
      size_t threads, const std::function<void(const CheckReport&)>& each) {
    std::vector<std::jthread> workers;
    for (size_t i = 0; i < threads; ++i) {
      workers.emplace_back([this] { work(); });
    }
    std::vector<CheckReport> done;
    std::exception_ptr failure;
    while (done.size() < models_.size() && !failure) {
      try {
        if (auto report = next(done.size())) {
          if (each) {
            each(*report);
          }
          done.push_back(std::move(*report));
        }
      } catch (...) {
        failure = std::current_exception();
      }
    }
    if (failure) {
      taken_ = models_.size();
      drain(workers.size());
      workers.clear();
      std::rethrow_exception(failure);
    }
    return done;
  }

 private:
  struct Job {
    const std::function<void()>* body;
    bool done = false;
  };

  void work() {
    for (;;) {
      size_t i = taken_.fetch_add(1);
      if (i >= models_.size()) {
        break;
      }
      std::optional<CheckReport> report;
      std::exception_ptr failure;
      try {
        report = check(models_[i], options_);
      } catch (...) {
        failure = std::current_exception();
      }
      std::lock_guard lock(mutex_);
      reports_[i] = std::move(report);
      failure_ = failure_ ? failure_ : failure;
      changed_.notify_all();
    }
    std::lock_guard lock(mutex_);
    ++ended_;
    changed_.notify_all();
  }

  void run_on_caller(const std::function<void()>& body) {
    Job job{&body};
    std::unique_lock lock(mutex_);
    jobs_.push_back(&job);
    changed_.notify_all();
    changed_.wait(lock, [&] { return job.done; });
  }

  // The report of model `i` once it is there, or nothing after one job.
  std::optional<CheckReport> next(size_t i) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock,
                  [&] { return !jobs_.empty() || reports_[i] || failure_; });
    if (failure_) {
      std::rethrow_exception(failure_);
    }
    if (reports_[i]) {
      return std::exchange(reports_[i], std::nullopt);
    }
    run_job(lock);
    return std::nullopt;
  }

  void run_job(std::unique_lock<std::mutex>& lock) {
    auto* job = jobs_.front();
    jobs_.pop_front();
    lock.unlock();
    (*job->body)();  // a step of check: what it throws stays inside
    lock.lock();
    job->done = true;
    changed_.notify_all();
  }

  void drain(size_t workers) {
    std::unique_lock lock(mutex_);
    while (ended_ < workers) {
      changed_.wait(lock, [&] { return !jobs_.empty() || ended_ >= workers; });
      if (!jobs_.empty()) {
        run_job(lock);
      }
    }
  }

  std::span<const fs::path> models_;
  CheckOptions options_;
  std::vector<std::optional<CheckReport>> reports_;
  std::atomic<size_t> taken_ = 0;
  size_t ended_ = 0;
  std::mutex mutex_, drawing_;
  std::condition_variable changed_;
  std::deque<Job*> jobs_;
  std::exception_ptr failure_;
};

}  // namespace

std::vector<CheckReport> check_all(
    std::span<const fs::path> models,
    const CheckOptions& options,
    const std::function<void(const CheckReport&)>& each,
    size_t threads) {
  if (threads == 0) {
    threads =
        std::clamp<size_t>(std::thread::hardware_concurrency(), 1, kMaxThreads);
  }
  threads = std::min(threads, models.size());
  if (threads > 1) {
    return Scan(models, options).run(threads, each);
  }
  std::vector<CheckReport> reports;
  for (const auto& model : models) {
    reports.push_back(check(model, options));
    if (each) {
      each(reports.back());
    }
  }
  return reports;
}

std::string summary_of(std::span<const CheckReport> reports) {
  std::map<std::string_view, size_t> counts;
  std::vector<std::string_view> order = {name(Verdict::sound)};
  for (const auto& report : reports) {
    auto verdict = name(report.verdict);
    ++counts[verdict];
    if (std::ranges::find(order, verdict) == order.end()) {
      order.push_back(verdict);
    }
  }
  std::vector<std::string> parts;
  for (auto verdict : order) {
    parts.push_back(fmt::format("{} {}", counts[verdict], verdict));
  }
  return fmt::format("{} model{}: {}",
                     reports.size(),
                     reports.size() == 1 ? "" : "s",
                     fmt::join(parts, ", "));
}

}  // namespace assay
