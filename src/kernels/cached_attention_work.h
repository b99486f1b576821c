#pragma once

// The computation of attention that writes to the cache it reads, within a node
// of the graph.

#include <cstddef>
#include <optional>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/attention_work.h"
#include "assay/kernels/cached_attention.h"
#include "assay/kernels/node.h"
#include "assay/kernels/row_work.h"

namespace assay::kernels {

/** Where a position of head `head` (of all batches) lies in a node's output
 * [batch, heads, capacity, dim], which stands row by row. */
std::byte* place_of(mlx::core::array& store, size_t head, size_t position);

/** New queries, keys or values, [batch, heads, length, dim]. */
struct FreshHeads {
  explicit FreshHeads(const mlx::core::array& a);
  /** Numbers that stand row by row. */
  FreshHeads(const float* numbers, const mlx::core::Shape& shape);

  Rows rows;
  HeadsView view;
  mlx::core::Shape shape;
  size_t count;  ///< of rows
  size_t length;
};

struct CachedAttentionWork {
  AttentionWork attention;
  size_t position = 0, remembered = 0;
  bool unread = false;
  std::optional<Rotation> rotation;

  /** Takes [q, k, v, keys, values, sinks]; gives [out, keys, values]. */
  void operator()(const Arrays& inputs, Arrays& outputs) const;
  std::optional<Update> update(size_t output) const {
    return output == 0 ? std::nullopt
                       : std::optional(Update{output + 2, unread});
  }

  /** Writes to the stores; `sinks` is an array or null. */
  void compute(const FreshHeads& q,
               const FreshHeads& k,
               const FreshHeads& v,
               mlx::core::array& keys,
               mlx::core::array& values,
               const mlx::core::array* sinks,
               float* out) const;

 private:
  // Rotated where there are angles.
  void write(const FreshHeads& fresh,
             const std::vector<float>& angles,
             mlx::core::array& store) const;
};

/** Throws std::invalid_argument unless `fresh` can stand at `position`. */
void check_place(const char* operation,
                 const mlx::core::array& store,
                 const mlx::core::Shape& fresh,
                 int position);

/** Throws std::invalid_argument unless new keys and values of these shapes fit
 * into the stores. */
void check_step(const mlx::core::Shape& k,
                const mlx::core::Shape& v,
                const CacheStep& step);

/** What the node of a step computes whose new keys fit. Throws
 * std::invalid_argument unless the stores serve queries of that shape. */
CachedAttentionWork cached_attention_work(const mlx::core::Shape& q,
                                          const CacheStep& step);

/** Appends [keys, values, sinks] to the inputs of a node. */
void append_step(Arrays& inputs, const CacheStep& step);

/** What a node keeps of a step beside the arrays, which it must not hold: a
 * cache is written to in place once nobody else has it. */
class KeptStep {
 public:
  explicit KeptStep(const CacheStep& step);

  /** f of the step again, whose arrays stand in `inputs` from `first` on. */
  template <class Function>
  auto with(const Arrays& inputs, size_t first, const Function& f) const {
    const RopePeriods periods(rotation_ ? rotation_->periods
                                        : std::vector<float>());
    CacheStep step{inputs[first], inputs[first + 1]};
    step.position = position_;
    step.remembered = remembered_;
    step.scale = scale_;
    step.softcap = softcap_;
    if (inputs.size() > first + 2) {
      step.sinks = inputs[first + 2];
    }
    if (rotation_) {
      step.rope.emplace(RopeAt{periods,
                               rotation_->interleaved,
                               rotation_->offset,
                               rotation_->scale});
    }
    return f(step);
  }

 private:
  std::optional<Rotation> rotation_;
  int position_, remembered_;
  float scale_, softcap_;
};

}  // namespace assay::kernels
