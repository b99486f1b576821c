#pragma once

// Runner: a model, its caches, and the ids that the caches hold. Keeps the
// three in step; knows nothing of sampling or text.

#include <cstdint>
#include <span>
#include <vector>

#include <mlx/array.h>

#include "assay/core/progress.h"
#include "assay/nn/language_model.h"

namespace assay {

class Runner {
 public:
  Runner(const nn::LanguageModel& model, const nn::CacheOptions& options);

  /** Ids that the caches hold, in order. */
  const std::vector<int32_t>& ids() const { return ids_; }
  const nn::KVCaches& caches() const { return caches_; }
  const nn::CacheOptions& options() const { return options_; }
  const nn::LanguageModel& model() const { return model_; }
  size_t cache_bytes() const;

  void reset();
  /** Takes over restored caches, whose keys were made for `context`. */
  void adopt(nn::KVCaches caches, std::vector<int32_t> ids, int context);
  /** Length of the context that the cached keys were made for. */
  int context() const { return context_; }

  /** Makes the caches hold only a beginning of `ids`, as long as they can and
   * no longer than `most`, and readies them for all of `ids`. Returns its
   * length. */
  size_t reuse(std::span<const int32_t> ids, size_t most);
  /** Runs ids in pieces of `chunk`, without the head, and waits. `done` of
   * `total` positions are reported as already there. */
  void feed(std::span<const int32_t> ids,
            int chunk,
            const Progress& progress = {},
            size_t total = 0);
  /** Queues ids; logits [rows, vocab] of the last `rows` of them. */
  mlx::core::array step(std::span<const int32_t> ids, int rows);
  /** Queues one token whose id need not be known yet (int32, one element);
   * logits [1, vocab]. Call note() when it is, before anything else. */
  mlx::core::array step(const mlx::core::array& token);
  void note(int32_t id) { ids_.push_back(id); }

  /** Forgets the last positions. Precondition: the caches can. */
  void trim(size_t count);

 private:
  void reach(int length);
  void expect(int length);

  const nn::LanguageModel& model_;
  nn::CacheOptions options_;
  nn::KVCaches caches_;
  std::vector<int32_t> ids_;
  int context_ = 0;
  int chunk_ = 512;
};

}  // namespace assay
