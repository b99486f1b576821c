#include "assay/kernels/cached_attention.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mlx/ops.h>

#include "assay/kernels/attention_work.h"
#include "assay/kernels/check.h"
#include "assay/kernels/linear.h"
#include "assay/kernels/node.h"
#include "assay/kernels/row_work.h"
#include "assay/kernels/scratch.h"

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

void check_place(const char* operation,
                 const mx::array& store,
                 const mx::array& fresh,
                 int position) {
  bool fits = store.ndim() == 4 && fresh.ndim() == 4 && position >= 0;
  for (int axis : {0, 1, 3}) {
    fits = fits && store.shape(axis) == fresh.shape(axis);
  }
  if (!fits || fresh.shape(2) > store.shape(2) - position) {
    throw std::invalid_argument("[" + std::string(operation) +
                                "] The new positions must fit into the store");
  }
}

mx::array append_by_mlx(const mx::array& store,
                        const mx::array& fresh,
                        int position) {
  auto [start, stop] = bounds(store, fresh, position);
  return mx::slice_update(store, fresh, start, stop);
}

// Where a position of head `head` (of all batches) lies in a node's output,
// which stands row by row.
std::byte* place_of(mx::array& store, size_t head, size_t position) {
  const auto capacity = static_cast<size_t>(store.shape(2));
  const auto row = static_cast<size_t>(store.shape(3)) * store.itemsize();
  return store.data<std::byte>() + (head * capacity + position) * row;
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

template <class T>
void cast_row(const float* from, size_t count, std::byte* to) {
  auto* out = reinterpret_cast<T*>(to);
  for (size_t i = 0; i < count; ++i) {
    out[i] = static_cast<T>(from[i]);
  }
}

void write_row(const float* from, size_t count, mx::Dtype type, std::byte* to) {
  if (type == mx::float32) {
    std::memcpy(to, from, count * sizeof(float));
  } else if (type == mx::float16) {
    cast_row<mx::float16_t>(from, count, to);
  } else {
    cast_row<mx::bfloat16_t>(from, count, to);
  }
}

// Takes [q, k, v, keys, values, sinks]; gives [out, keys, values].
struct CachedAttentionWork {
  AttentionWork attention;
  size_t position = 0, remembered = 0;
  bool unread = false;
  std::optional<Rotation> rotation;

  std::optional<Update> update(size_t output) const {
    return output == 0 ? std::nullopt
                       : std::optional(Update{output + 2, unread});
  }

  void operator()(const Arrays& inputs, Arrays& outputs) const {
    const auto length = static_cast<size_t>(inputs[0].shape(2));
    const auto angles =
        rotation ? rotation->angles(length) : std::vector<float>();
    write(inputs[1], angles, outputs[1]);
    write(inputs[2], {}, outputs[2]);

    AttentionViews views{HeadsView(inputs[0])};
    if (rotation) {
      thread_local Buffer memory;  // the stream's
      float* q = memory.floats(inputs[0].size());
      rotate_heads(inputs[0], *rotation, angles, q);
      views.q = HeadsView(q, inputs[0].shape());
    }
    for (auto [to, i] : {std::pair{&views.keys, 1}, {&views.values, 2}}) {
      to->emplace_back(outputs[static_cast<size_t>(i)]).shape[2] = remembered;
    }
    if (inputs.size() > kSinks) {
      views.sinks = inputs[kSinks].data<float>();
      views.sinks_stride = inputs[kSinks].strides()[0];
    }
    attention.compute(views, outputs[0].data<float>());
  }

 private:
  static constexpr size_t kSinks = 5;

  // Rotated where there are angles.
  void write(const mx::array& fresh,
             const std::vector<float>& angles,
             mx::array& store) const {
    const Rows rows(fresh);
    const size_t dim = rows.width();
    const auto length = static_cast<size_t>(fresh.shape(2));
    std::vector<float> scratch, turned(dim);
    for (size_t r = 0; r < fresh.size() / dim; ++r) {
      const size_t t = r % length;
      const float* row = rows.at(r, scratch);
      if (!angles.empty()) {
        const float* own = angles.data() + t * rotation->width();
        rotation->turn(row, own, dim, turned.data());
        row = turned.data();
      }
      write_row(
          row, dim, store.dtype(), place_of(store, r / length, position + t));
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
  if (in.rope) {
    const auto& [periods, interleaved, offset, scale] = *in.rope;
    q = rope(q, periods, interleaved, offset, scale);
    k = rope(k, periods, interleaved, offset, scale);
  }
  auto keys = append(in.keys, k, in.position, in.unread);
  auto values = append(in.values, in.v, in.position, in.unread);
  AttentionInputs seen{q,
                       {positions(keys, in.remembered), {}, {}, {}},
                       {positions(values, in.remembered), {}, {}, {}}};
  seen.causal = q.shape(2) > 1;
  seen.sinks = in.sinks;
  seen.scale = in.scale;
  seen.softcap = in.softcap;
  auto out = mx::transpose(attention(seen), {0, 2, 1, 3});
  return {mx::reshape(
              out, {out.shape(0), out.shape(1), out.shape(2) * out.shape(3)}),
          keys,
          values};
}

// The inputs of the node, from which its fallback makes them again.
struct CachedSettings {
  std::optional<Rotation> rotation;
  int position, remembered;
  float scale, softcap;

  CachedAttention again(const Arrays& all) const {
    CachedAttentionInputs in{all[0], all[1], all[2], all[3], all[4]};
    in.position = position;
    in.remembered = remembered;
    in.scale = scale;
    in.softcap = softcap;
    if (all.size() > 5) {
      in.sinks = all[5];
    }
    if (!rotation) {
      return one_by_one(in);
    }
    const RopePeriods periods(rotation->periods);
    in.rope.emplace(RopeAt{
        periods, rotation->interleaved, rotation->offset, rotation->scale});
    return one_by_one(in);
  }
};

}  // namespace

CachedAttention cached_attention(const CachedAttentionInputs& in) {
  check_place("attention", in.keys, in.k, in.position);
  check_place("attention", in.values, in.v, in.position);
  if (in.remembered < in.position + in.k.shape(2) ||
      in.remembered > in.keys.shape(2)) {
    throw std::invalid_argument(
        "[attention] What is remembered must hold the new positions and lie in "
        "the store");
  }
  if (!on_cpu()) {
    return one_by_one(in);
  }
  const Weight key_store{in.keys, {}, {}, {}};
  const Weight value_store{in.values, {}, {}, {}};
  const auto keys = describe("attention", key_store, 4);
  const auto values = describe("attention", value_store, 4);
  check_attention(in.q, key_store, keys, value_store);
  Arrays arrays;
  for (const auto* fresh : {&in.q, &in.k, &in.v}) {
    arrays.push_back(mx::astype(*fresh, mx::float32));
  }
  arrays.push_back(in.keys);
  arrays.push_back(in.values);
  Settings settings;
  settings.causal = in.q.shape(2) > 1;
  settings.scale = in.scale;
  settings.softcap = in.softcap;
  if (in.sinks) {
    settings.places.sinks = true;
    arrays.push_back(mx::astype(*in.sinks, mx::float32));
  }
  std::optional<Rotation> rotation;
  if (in.rope) {
    check_rope(in.k, in.rope->periods.size());
    rotation = Rotation{in.rope->periods.values(),
                        in.rope->interleaved,
                        in.rope->offset,
                        in.rope->scale};
  }
  const CachedSettings again{
      rotation, in.position, in.remembered, in.scale, in.softcap};
  auto results = fuse_all(
      "CachedAttention",
      arrays,
      {{in.q.shape(0),
        in.q.shape(2),
        in.q.shape(1) * static_cast<int>(values.columns)},
       in.keys.shape(),
       in.values.shape()},
      {mx::float32, in.keys.dtype(), in.values.dtype()},
      [again](const Arrays& all) {
        auto [out, k, v] = again.again(all);
        return Arrays{out, k, v};
      },
      CachedAttentionWork{AttentionWork(settings, keys, values),
                          static_cast<size_t>(in.position),
                          static_cast<size_t>(in.remembered),
                          in.unread,
                          rotation});
  return {results[0], results[1], results[2]};
}

mx::array append(const mx::array& store,
                 const mx::array& fresh,
                 int position,
                 bool unread) {
  check_place("append", store, fresh, position);
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
