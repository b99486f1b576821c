#include "assay/generate/runner.h"

#include <algorithm>
#include <stdexcept>

#include <mlx/memory.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/arch/loaded_model.h"

namespace assay {
namespace mx = mlx::core;

Runner::Runner(const nn::LanguageModel& model, const nn::CacheOptions& options)
    : model_(model), options_(options), caches_(model.make_caches(options)) {}

size_t Runner::cache_bytes() const {
  size_t total = 0;
  for (const auto& cache : caches_) {
    total += cache.bytes();
  }
  return total;
}

void Runner::reset() {
  adopt(model_.make_caches(options_), {}, 0);
}

void Runner::adopt(nn::KVCaches caches, std::vector<int32_t> ids, int context) {
  caches_ = std::move(caches);
  ids_ = std::move(ids);
  expect(context);
}

void Runner::expect(int length) {
  context_ = length;
  for (auto& cache : caches_) {
    cache.expect(length);
  }
}

size_t Runner::reuse(std::span<const int32_t> ids, size_t most) {
  auto [end, other] = std::ranges::mismatch(ids_, ids);
  size_t common = std::min(static_cast<size_t>(end - ids_.begin()), most);
  int surplus = static_cast<int>(ids_.size() - common);
  int length = static_cast<int>(ids.size());
  // Caches rotated for a longer context do not serve a shorter one either.
  bool serve = !model_.cache_outdated(std::min(context_, length),
                                      std::max(context_, length)) &&
               std::ranges::all_of(caches_, [&](const nn::KVCache& cache) {
                 return surplus == 0 || cache.can_trim(surplus);
               });
  if (serve) {
    trim(static_cast<size_t>(surplus));
  } else {
    reset();
  }
  expect(length);
  return ids_.size();
}

void Runner::feed(std::span<const int32_t> ids,
                  int chunk,
                  const Progress& progress,
                  size_t total) {
  chunk_ = chunk;
  while (!ids.empty()) {
    size_t count = std::min(ids.size(), static_cast<size_t>(chunk));
    model_.hidden(arch::to_array(ids.first(count)), &caches_);
    ids_.insert(ids_.end(), ids.begin(), ids.begin() + count);
    ids = ids.subspan(count);
    // What the last layer computes past its keys and values is never asked
    // for, so it does not run.
    std::vector<mx::array> state;
    for (const auto& cache : caches_) {
      auto part = cache.state();
      state.insert(state.end(), part.begin(), part.end());
    }
    mx::eval(state);
    if (progress) {
      progress({"prompt", ids_.size(), total});
    }
  }
}

// Before the caches grow to `length`: where keys of a longer context are
// rotated otherwise (longrope), all are made anew.
void Runner::reach(int length) {
  if (context_ > 0 && model_.cache_outdated(context_, length)) {
    auto known = std::move(ids_);
    reset();
    expect(length);
    feed(known, chunk_);
  }
  context_ = std::max(context_, length);
}

mx::array Runner::step(std::span<const int32_t> ids, int rows) {
  int count = static_cast<int>(ids.size());
  reach(static_cast<int>(ids_.size()) + count);
  auto hidden = model_.hidden(arch::to_array(ids), &caches_);
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  auto last =
      mx::slice(hidden, {0, count - rows, 0}, {1, count, hidden.shape(2)});
  return mx::squeeze(model_.logits(last), 0);
}

mx::array Runner::step(const mx::array& token) {
  reach(static_cast<int>(ids_.size()) + 1);
  return mx::squeeze(model_(mx::reshape(token, {1, 1}), &caches_), 0);
}

void Runner::trim(size_t count) {
  if (count == 0) {
    return;
  }
  for (auto& cache : caches_) {
    if (!cache.trim(static_cast<int>(count))) {
      throw std::logic_error("a cache that was asked first refused to trim");
    }
  }
  ids_.resize(ids_.size() - count);
}

}  // namespace assay
