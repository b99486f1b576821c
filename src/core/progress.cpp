#include "assay/core/progress.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "assay/core/platform.h"

namespace assay {
namespace {

// Draws at most 20 times a second; wipes its line when it goes.
class Bar {
 public:
  Bar() = default;
  Bar(const Bar&) = delete;
  Bar& operator=(const Bar&) = delete;
  ~Bar() { wipe(); }

  void draw(const ProgressUpdate& update) {
    auto now = std::chrono::steady_clock::now();
    bool finished = update.total > 0 && update.done >= update.total;
    if (finished) {
      wipe();
      return;
    }
    if (now - drawn_ < std::chrono::milliseconds(50)) {
      return;
    }
    drawn_ = now;
    visible_ = true;
    constexpr size_t kWidth = 24;
    size_t filled =
        update.total == 0
            ? 0
            : static_cast<size_t>(static_cast<double>(update.done) /
                                  static_cast<double>(update.total) * kWidth);
    int percent = static_cast<int>(filled * 100 / kWidth);
    auto room = static_cast<size_t>(std::max(terminal_width() - 36, 10));
    fmt::print(stderr,
               "\r\033[K[{:<{}}] {:>3}% {}",
               std::string(filled, '#'),
               kWidth,
               percent,
               update.what.substr(0, room));
    std::fflush(stderr);
  }

 private:
  void wipe() {
    if (visible_) {
      fmt::print(stderr, "\r\033[K");
      std::fflush(stderr);
      visible_ = false;
    }
  }

  std::chrono::steady_clock::time_point drawn_;
  bool visible_ = false;
};

}  // namespace

Progress terminal_progress() {
  if (!is_terminal(2)) {
    return {};
  }
  return [bar = std::make_shared<Bar>()](const ProgressUpdate& update) {
    bar->draw(update);
  };
}

}  // namespace assay
