#include "assay/kernels/attention_work.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <stdexcept>
#include <vector>

#include "assay/kernels/attend.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/simd.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// Queries of a task, so that a tile of keys serves many.
constexpr size_t kTaskRows = 96;
// Positions of a task at least, where they are shared among threads.
constexpr size_t kTaskPositions = 256;
constexpr size_t kTasksPerThread = 4;
// Multiplications below which one thread is enough.
constexpr size_t kWorthSharing = size_t{1} << 16;

}  // namespace

struct AttentionWork::Run {
  const AttentionWork& work;
  const AttentionViews& in;
  float* out;  // [batch, length, heads, value_dim]

  const HeadsView& q = in.q;
  size_t batch = q.shape[0];
  size_t heads = q.shape[1];
  size_t length = q.shape[2];
  size_t kv_heads = in.keys[0].shape[1];
  size_t positions = in.keys[0].shape[2];
  size_t group = heads / kv_heads;
  size_t value_width = work.values_.columns;
  // Queries of each head in a task; and tasks that share the positions.
  size_t queries = std::clamp<size_t>(kTaskRows / group, 1, length);
  size_t blocks = (length + queries - 1) / queries;
  size_t shares = 1;

  void all() {
    const size_t tasks = batch * kv_heads * blocks;
    const size_t size =
        batch * heads * length * positions * (work.keys_.columns + value_width);
    auto one = [&](size_t i) { task(i); };
    if (size < kWorthSharing) {
      for (size_t i = 0; i < tasks; ++i) {
        one(i);
      }
      return;
    }
    const auto wanted =
        static_cast<size_t>(pool_threads()) * kTasksPerThread / tasks;
    shares = std::clamp<size_t>(
        positions / kTaskPositions, 1, std::max<size_t>(1, wanted));
    if (shares == 1) {
      parallel_for(tasks, one);
    } else {
      in_shares(tasks);
    }
  }

  static CachedRows cached(const Matrix& w,
                           std::span<const HeadsView> parts,
                           size_t b,
                           size_t head) {
    CachedRows rows{w};
    auto place = [&](size_t i, const std::byte*& begin, ptrdiff_t& stride) {
      const auto& part = parts[i];
      begin = part.at(b, head, 0);
      stride = part.strides[2];
      if (parts.size() == 3 && part.strides[3] != 1 && part.shape[3] != 1) {
        throw std::invalid_argument(
            "[attention] Quantized keys and values must lie in rows");
      }
    };
    place(0, rows.w.data, rows.row_stride);
    rows.stride = parts[0].strides[3];
    if (parts.size() == 3) {
      place(1, rows.w.scales, rows.scale_stride);
      place(2, rows.w.biases, rows.bias_stride);
    }
    return rows;
  }

  // Of task i: which batch, which head of keys, which queries.
  struct Place {
    size_t batch, kv_head, first, count;
  };
  Place place(size_t i) const {
    const size_t first = i % blocks * queries;
    return {i / blocks / kv_heads,
            i / blocks % kv_heads,
            first,
            std::min(queries, length - first)};
  }

  std::vector<QueryRow> rows(const Place& at, float* to, size_t stride) const {
    std::vector<QueryRow> result;
    result.reserve(group * at.count);
    for (size_t t = at.first; t < at.first + at.count; ++t) {
      for (size_t g = 0; g < group; ++g) {
        const size_t head = at.kv_head * group + g;
        QueryRow row;
        row.q = reinterpret_cast<const float*>(q.at(at.batch, head, t));
        row.stride = q.strides[3];
        row.last = work.causal_ ? positions - length + t + 1 : positions;
        if (in.mask) {
          row.mask =
              reinterpret_cast<const bool*>(in.mask->at(at.batch, head, t));
          row.mask_stride = in.mask->strides[3];
        }
        row.values = to + result.size() * stride;
        result.push_back(row);
      }
    }
    return result;
  }

  AttentionTask task_of(const Place& at, std::span<QueryRow> queries_of) const {
    return {cached(work.keys_, in.keys, at.batch, at.kv_head),
            cached(work.values_, in.values, at.batch, at.kv_head),
            0,
            positions,
            work.scale_,
            work.softcap_,
            queries_of};
  }

  float* result(const Place& at, size_t row) const {
    const size_t t = at.first + row / group;
    const size_t head = at.kv_head * group + row % group;
    return out + ((at.batch * length + t) * heads + head) * value_width;
  }

  // The sinks' part of the softmax, and what is left of a query's sums.
  void finish(const Place& at, size_t row, QueryRow& query) const {
    float factor = 1;
    if (in.sinks != nullptr) {
      const size_t head = at.kv_head * group + row % group;
      const float sink =
          in.sinks[static_cast<ptrdiff_t>(head) * in.sinks_stride];
      const float largest = std::max(query.largest, sink);
      factor = std::exp(query.largest - largest);
      query.sum = query.sum * factor + std::exp(sink - largest);
    }
    float* to = result(at, row);
    for (size_t k = 0; k < value_width; ++k) {
      to[k] = query.values[k] * factor / query.sum;
    }
  }

  void task(size_t i) const {
    const auto at = place(i);
    thread_local Buffer memory;
    float* values = memory.floats(group * at.count * value_width);
    auto queries_of = rows(at, values, value_width);
    kernels().attend(task_of(at, queries_of));
    for (size_t r = 0; r < queries_of.size(); ++r) {
      finish(at, r, queries_of[r]);
    }
  }

  // Each task's positions in shares, which threads take; then put together.
  void in_shares(size_t tasks) const {
    const size_t size = group * queries * value_width;
    std::vector<float> memory(tasks * shares * size);
    std::vector<std::vector<QueryRow>> parts(tasks * shares);
    parallel_for(parts.size(), [&](size_t i) {
      const auto at = place(i / shares);
      parts[i] = rows(at, memory.data() + i * size, value_width);
      auto part = task_of(at, parts[i]);
      part.begin = positions * (i % shares) / shares;
      part.end = positions * (i % shares + 1) / shares;
      kernels().attend(part);
    });
    for (size_t i = 0; i < tasks; ++i) {
      const auto at = place(i);
      auto& first = parts[i * shares];
      for (size_t r = 0; r < first.size(); ++r) {
        for (size_t s = 1; s < shares; ++s) {
          add(first[r], parts[i * shares + s][r]);
        }
        finish(at, r, first[r]);
      }
    }
  }

  void add(QueryRow& to, const QueryRow& other) const {
    const float largest = std::max(to.largest, other.largest);
    if (largest == -std::numeric_limits<float>::infinity()) {
      return;
    }
    const float own = std::exp(to.largest - largest);
    const float others = std::exp(other.largest - largest);
    for (size_t k = 0; k < value_width; ++k) {
      to.values[k] = to.values[k] * own + other.values[k] * others;
    }
    to.sum = to.sum * own + other.sum * others;
    to.largest = largest;
  }
};

void AttentionWork::compute(const AttentionViews& views, float* out) const {
  Run{*this, views, out}.all();
}

void AttentionWork::operator()(const Arrays& arrays, mx::array& out) const {
  AttentionViews views{HeadsView(arrays[0])};
  for (size_t i = 0; i < places_.key_parts; ++i) {
    views.keys.emplace_back(arrays[1 + i]);
  }
  for (size_t i = 0; i < places_.value_parts; ++i) {
    views.values.emplace_back(arrays[places_.values() + i]);
  }
  if (places_.mask) {
    views.mask.emplace(arrays[places_.mask_at()]);
  }
  if (places_.sinks) {
    const auto& sinks = arrays[places_.sinks_at()];
    views.sinks = sinks.data<float>();
    views.sinks_stride = sinks.strides()[0];
  }
  compute(views, out.data<float>());
}

}  // namespace assay::kernels
