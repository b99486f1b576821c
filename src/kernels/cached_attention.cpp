#include "assay/kernels/cached_attention.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mlx/ops.h>

#include "assay/kernels/attention.h"
#include "assay/kernels/cached_attention_work.h"
#include "assay/kernels/linear.h"
#include "assay/kernels/node.h"
#include "assay/kernels/strided.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// The part of a store that `fresh` takes: [start, stop).
std::pair<mx::Shape, mx::Shape> bounds(const mx::array& store,
                                       const mx::array& fresh,
                                       int position) {
  mx::Shape start(4, 0);
  auto stop = store.shape();
  start[2] = position;
  stop[2] = position + fresh.shape(2);
  return {start, stop};
}

mx::array append_by_mlx(const mx::array& store,
                        const mx::array& fresh,
                        int position) {
  auto [start, stop] = bounds(store, fresh, position);
  return mx::slice_update(store, fresh, start, stop);
}

struct AppendWork {
  size_t position = 0;
  bool unread = false;

  std::optional<Update> update(size_t) const { return Update{0, unread}; }

  void operator()(const Arrays& inputs, mx::array& out) const {
    const RowMajor fresh(inputs[1]);
    const auto heads =
        static_cast<size_t>(out.shape(0)) * static_cast<size_t>(out.shape(1));
    const size_t bytes = inputs[1].nbytes() / heads;
    for (size_t head = 0; bytes > 0 && head < heads; ++head) {
      std::memcpy(
          place_of(out, head, position), fresh.begin() + head * bytes, bytes);
    }
  }
};

mx::array positions(const mx::array& store, int count) {
  auto stop = store.shape();
  stop[2] = count;
  return mx::slice(store, mx::Shape(4, 0), stop);
}

CachedAttention one_by_one(const CachedAttentionInputs& in) {
  auto q = in.q;
  auto k = in.k;
  const auto& step = in.step;
  if (step.rope) {
    const auto& [periods, interleaved, offset, scale] = *step.rope;
    q = rope(q, periods, interleaved, offset, scale);
    k = rope(k, periods, interleaved, offset, scale);
  }
  auto keys = append(step.keys, k, step.position, step.unread);
  auto values = append(step.values, in.v, step.position, step.unread);
  AttentionInputs seen{q,
                       {positions(keys, step.remembered), {}, {}, {}},
                       {positions(values, step.remembered), {}, {}, {}}};
  seen.causal = q.shape(2) > 1;
  seen.sinks = step.sinks;
  seen.scale = step.scale;
  seen.softcap = step.softcap;
  auto out = mx::transpose(attention(seen), {0, 2, 1, 3});
  return {mx::reshape(
              out, {out.shape(0), out.shape(1), out.shape(2) * out.shape(3)}),
          keys,
          values};
}

}  // namespace

CachedAttention cached_attention(const CachedAttentionInputs& in) {
  const auto& step = in.step;
  check_step(in.k.shape(), in.v.shape(), step);
  if (!on_cpu()) {
    return one_by_one(in);
  }
  Arrays arrays;
  arrays.reserve(6);
  for (const auto* fresh : {&in.q, &in.k, &in.v}) {
    arrays.push_back(mx::astype(*fresh, mx::float32));
  }
  append_step(arrays, step);
  const KeptStep kept(step);
  auto results = fuse_all(
      "CachedAttention",
      arrays,
      {{in.q.shape(0), in.q.shape(2), in.q.shape(1) * step.values.shape(3)},
       step.keys.shape(),
       step.values.shape()},
      {mx::float32, step.keys.dtype(), step.values.dtype()},
      [kept](const Arrays& all) {
        auto [out, k, v] = kept.with(all, 3, [&](const CacheStep& again) {
          return one_by_one({all[0], all[1], all[2], again});
        });
        return Arrays{out, k, v};
      },
      cached_attention_work(in.q.shape(), step));
  return {results[0], results[1], results[2]};
}

mx::array append(const mx::array& store,
                 const mx::array& fresh,
                 int position,
                 bool unread) {
  check_place("append", store, fresh.shape(), position);
  if (!on_cpu()) {
    return append_by_mlx(store, fresh, position);
  }
  auto fallback = [position](const Arrays& all) {
    return Arrays{append_by_mlx(all[0], all[1], position)};
  };
  return fuse_all("Append",
                  {store, mx::astype(fresh, store.dtype())},
                  {store.shape()},
                  {store.dtype()},
                  fallback,
                  AppendWork{static_cast<size_t>(position), unread})[0];
}

}  // namespace assay::kernels
