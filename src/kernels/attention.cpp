#include "assay/kernels/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include <mlx/fast.h>

#include "assay/kernels/check.h"
#include "assay/kernels/node.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/simd.h"

namespace assay::kernels {
namespace mx = mlx::core;

namespace {

// q times the transpose of keys, or scores times values, over grouped heads:
// a [batch, kv_heads, group, length, ...].
mx::array product(const mx::array& a, const Weight& b, bool transpose) {
  auto grouped = [](const mx::array& part) { return mx::expand_dims(part, 2); };
  if (b.scales) {
    return mx::quantized_matmul(a,
                                grouped(b.data),
                                grouped(*b.scales),
                                grouped(*b.biases),
                                transpose,
                                b.quantization.group_size,
                                b.quantization.bits);
  }
  auto right = grouped(b.data);
  return mx::matmul(a, transpose ? mx::swapaxes(right, -1, -2) : right);
}

mx::array cast_like(const mx::array& a, const mx::array& x) {
  return mx::astype(a, x.dtype());
}

// Attention written out, for what MLX's fused operation does not know: soft
// caps and quantized caches.
mx::array written_out(const AttentionInputs& in) {
  const auto& q = in.q;
  int batch = q.shape(0);
  int heads = q.shape(1);
  int length = q.shape(2);
  int kv_heads = in.keys.data.shape(1);
  int remembered = in.keys.data.shape(2);
  auto grouped =
      mx::reshape(q * mx::array(in.scale, q.dtype()),
                  {batch, kv_heads, heads / kv_heads, length, q.shape(3)});
  auto scores = product(grouped, in.keys, true);
  if (in.softcap > 0) {
    auto cap = mx::array(in.softcap, scores.dtype());
    scores = cap * mx::tanh(scores / cap);
  }
  auto mask = in.mask;
  if (mask && mask->ndim() == 4) {
    mask =
        mx::reshape(mx::broadcast_to(*mask, {batch, heads, length, remembered}),
                    {batch, kv_heads, heads / kv_heads, length, remembered});
  }
  if (in.causal) {
    auto keys = mx::expand_dims(mx::arange(remembered), 0);
    auto queries =
        mx::expand_dims(mx::arange(remembered - length, remembered), 1);
    mask = mx::less_equal(keys, queries);
  }
  if (mask) {
    scores = mx::where(
        *mask,
        scores,
        mx::array(-std::numeric_limits<float>::infinity(), scores.dtype()));
  }
  if (in.sinks) {
    auto sinks =
        mx::broadcast_to(mx::reshape(cast_like(*in.sinks, scores),
                                     {1, kv_heads, heads / kv_heads, 1, 1}),
                         {batch, kv_heads, heads / kv_heads, length, 1});
    scores = mx::softmax(mx::concatenate({sinks, scores}, -1), -1, true);
    scores =
        mx::slice(scores,
                  {0, 0, 0, 0, 1},
                  {batch, kv_heads, heads / kv_heads, length, remembered + 1});
  } else {
    scores = mx::softmax(scores, -1, true);
  }
  auto out = product(scores, in.values, false);
  return mx::reshape(out, {batch, heads, length, out.shape(-1)});
}

mx::array by_mlx(AttentionInputs in) {
  for (auto* part : {&in.keys, &in.values}) {
    if (!part->scales) {  // a cache may be of another type
      part->data = cast_like(part->data, in.q);
    }
  }
  if (in.softcap > 0 || in.keys.scales) {
    return written_out(in);
  }
  auto sinks =
      in.sinks ? std::optional(cast_like(*in.sinks, in.q)) : std::nullopt;
  return mx::fast::scaled_dot_product_attention(in.q,
                                                in.keys.data,
                                                in.values.data,
                                                in.scale,
                                                in.causal ? "causal" : "",
                                                in.mask,
                                                sinks);
}

// Where the parts of the inputs stand among those of the node.
struct Places {
  size_t key_parts = 1, value_parts = 1;
  bool mask = false, sinks = false;

  size_t values() const { return 1 + key_parts; }
  size_t mask_at() const { return values() + value_parts; }
  size_t sinks_at() const { return mask_at() + (mask ? 1 : 0); }
};

size_t append(Arrays& arrays, const Weight& weight) {
  arrays.push_back(weight.data);
  if (!weight.scales) {
    return 1;
  }
  arrays.push_back(*weight.scales);
  arrays.push_back(*weight.biases);
  return 3;
}

// What the node keeps of its inputs beside arrays, which it must not hold: a
// cache is written to in place once nobody else has it.
struct Settings {
  Places places;
  Quantization keys, values;
  bool causal = false;
  float scale = 1, softcap = 0;

  // The inputs again from those of the node.
  AttentionInputs inputs(const Arrays& arrays) const {
    auto weight = [&](size_t at, size_t parts, const Quantization& q) {
      Weight result{arrays[at], {}, {}, q};
      if (parts == 3) {
        result.scales = arrays[at + 1];
        result.biases = arrays[at + 2];
      }
      return result;
    };
    AttentionInputs in{arrays[0],
                       weight(1, places.key_parts, keys),
                       weight(places.values(), places.value_parts, values)};
    in.causal = causal;
    in.scale = scale;
    in.softcap = softcap;
    if (places.mask) {
      in.mask = arrays[places.mask_at()];
    }
    if (places.sinks) {
      in.sinks = arrays[places.sinks_at()];
    }
    return in;
  }
};

// The work of the node: cuts it into tasks of some queries and some positions.
class AttentionWork {
 public:
  AttentionWork(const Settings& settings, Matrix keys, Matrix values)
      : places_(settings.places),
        keys_(keys),
        values_(values),
        causal_(settings.causal),
        scale_(settings.scale),
        softcap_(settings.softcap) {}

  void operator()(const Arrays& arrays, mx::array& out) const;

 private:
  struct Run;

  Places places_;
  Matrix keys_, values_;
  bool causal_;
  float scale_, softcap_;
};

// Queries of a task, so that a tile of keys serves many.
constexpr size_t kTaskRows = 96;
// Positions of a task at least, where they are shared among threads.
constexpr size_t kTaskPositions = 256;
constexpr size_t kTasksPerThread = 4;
// Multiplications below which one thread is enough.
constexpr size_t kWorthSharing = size_t{1} << 16;

struct AttentionWork::Run {
  const AttentionWork& work;
  const Arrays& arrays;
  float* out;  // [batch, length, heads, value_dim]

  const mx::array& q = arrays[0];
  size_t batch = static_cast<size_t>(q.shape(0));
  size_t heads = static_cast<size_t>(q.shape(1));
  size_t length = static_cast<size_t>(q.shape(2));
  size_t kv_heads = static_cast<size_t>(arrays[1].shape(1));
  size_t positions = static_cast<size_t>(arrays[1].shape(2));
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

  CachedRows cached(
      const Matrix& w, size_t at, size_t parts, size_t b, size_t head) const {
    CachedRows rows{w};
    auto place = [&](size_t i, const std::byte*& begin, ptrdiff_t& stride) {
      const auto& a = arrays[at + i];
      begin = a.data<std::byte>() +
              static_cast<ptrdiff_t>(a.itemsize()) *
                  (static_cast<ptrdiff_t>(b) * a.strides()[0] +
                   static_cast<ptrdiff_t>(head) * a.strides()[1]);
      stride = a.strides()[2];
      if (parts == 3 && a.strides()[3] != 1 && a.shape(3) != 1) {
        throw std::invalid_argument(
            "[attention] Quantized keys and values must lie in rows");
      }
    };
    place(0, rows.w.data, rows.row_stride);
    rows.stride = arrays[at].strides()[3];
    if (parts == 3) {
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
        auto offset = [&](const mx::array& a) {
          return static_cast<ptrdiff_t>(at.batch) * a.strides()[0] +
                 static_cast<ptrdiff_t>(head) * a.strides()[1] +
                 static_cast<ptrdiff_t>(t) * a.strides()[2];
        };
        QueryRow row;
        row.q = q.data<float>() + offset(q);
        row.stride = q.strides()[3];
        row.last = work.causal_ ? positions - length + t + 1 : positions;
        if (work.places_.mask) {
          const auto& mask = arrays[work.places_.mask_at()];
          row.mask = mask.data<bool>() + offset(mask);
          row.mask_stride = mask.strides()[3];
        }
        row.values = to + result.size() * stride;
        result.push_back(row);
      }
    }
    return result;
  }

  AttentionTask task_of(const Place& at, std::span<QueryRow> queries_of) const {
    const auto& places = work.places_;
    return {cached(work.keys_, 1, places.key_parts, at.batch, at.kv_head),
            cached(work.values_,
                   places.values(),
                   places.value_parts,
                   at.batch,
                   at.kv_head),
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
    if (work.places_.sinks) {
      const auto& sinks = arrays[work.places_.sinks_at()];
      const size_t head = at.kv_head * group + row % group;
      const float sink =
          sinks
              .data<float>()[static_cast<ptrdiff_t>(head) * sinks.strides()[0]];
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

void AttentionWork::operator()(const Arrays& arrays, mx::array& out) const {
  Run{*this, arrays, out.data<float>()}.all();
}

}  // namespace

mx::array attention(const AttentionInputs& inputs) {
  if (!on_cpu()) {
    return by_mlx(inputs);
  }
  const auto keys = describe("attention", inputs.keys, 4);
  const auto values = describe("attention", inputs.values, 4);
  check_attention(inputs.q, inputs.keys, keys, inputs.values);
  Arrays arrays{mx::astype(inputs.q, mx::float32)};
  Places places;
  places.key_parts = append(arrays, inputs.keys);
  places.value_parts = append(arrays, inputs.values);
  const auto& q = inputs.q;
  const mx::Shape scores{
      q.shape(0), q.shape(1), q.shape(2), inputs.keys.data.shape(2)};
  if (inputs.mask) {
    places.mask = true;
    arrays.push_back(mx::broadcast_to(*inputs.mask, scores));
  }
  if (inputs.sinks) {
    places.sinks = true;
    arrays.push_back(mx::astype(*inputs.sinks, mx::float32));
  }
  // Positions first, as the next layer wants them: a view puts heads first.
  const mx::Shape shape{
      q.shape(0), q.shape(2), q.shape(1), static_cast<int>(values.columns)};
  const Settings settings{places,
                          inputs.keys.quantization,
                          inputs.values.quantization,
                          inputs.causal,
                          inputs.scale,
                          inputs.softcap};
  auto out = fuse(
      "Attention",
      std::move(arrays),
      shape,
      [settings](const Arrays& all) {
        return Arrays{
            mx::transpose(by_mlx(settings.inputs(all)), {0, 2, 1, 3})};
      },
      AttentionWork(settings, keys, values));
  if (q.shape(2) == 1) {
    return mx::reshape(
        out, {q.shape(0), q.shape(1), 1, static_cast<int>(values.columns)});
  }
  return mx::transpose(out, {0, 2, 1, 3});
}

}  // namespace assay::kernels
