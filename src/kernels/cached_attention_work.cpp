#include "assay/kernels/cached_attention_work.h"

#include <cstring>
#include <stdexcept>
#include <string>

#include <mlx/ops.h>

#include "assay/kernels/check.h"
#include "assay/kernels/scratch.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

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

size_t rows_of(const mx::Shape& shape) {
  size_t rows = 1;
  for (int axis : {0, 1, 2}) {
    rows *= static_cast<size_t>(shape[static_cast<size_t>(axis)]);
  }
  return rows;
}

std::optional<Rotation> rotation_of(const CacheStep& step) {
  if (!step.rope) {
    return std::nullopt;
  }
  return Rotation{step.rope->periods.values(),
                  step.rope->interleaved,
                  step.rope->offset,
                  step.rope->scale};
}

}  // namespace

// ------------------------------------------------------------ the step

void check_place(const char* operation,
                 const mx::array& store,
                 const mx::Shape& fresh,
                 int position) {
  bool fits = store.ndim() == 4 && fresh.size() == 4 && position >= 0;
  for (int axis : {0, 1, 3}) {
    fits = fits && store.shape(axis) == fresh[static_cast<size_t>(axis)];
  }
  if (!fits || fresh[2] > store.shape(2) - position) {
    throw std::invalid_argument("[" + std::string(operation) +
                                "] The new positions must fit into the store");
  }
}

void check_step(const mx::Shape& k, const mx::Shape& v, const CacheStep& step) {
  check_place("attention", step.keys, k, step.position);
  check_place("attention", step.values, v, step.position);
  if (step.remembered < step.position + k[2] ||
      step.remembered > step.keys.shape(2)) {
    throw std::invalid_argument(
        "[attention] What is remembered must hold the new positions and lie in "
        "the store");
  }
}

CachedAttentionWork cached_attention_work(const mx::Shape& q,
                                          const CacheStep& step) {
  const Weight key_store{step.keys, {}, {}, {}};
  const Weight value_store{step.values, {}, {}, {}};
  const auto keys = describe("attention", key_store, 4);
  check_attention(q, key_store, keys, value_store);
  if (step.rope) {
    check_rope(q, step.rope->periods.size());
  }
  Settings settings;
  settings.causal = q[2] > 1;
  settings.scale = step.scale;
  settings.softcap = step.softcap;
  settings.places.sinks = step.sinks.has_value();
  return {AttentionWork(settings, keys, describe("attention", value_store, 4)),
          static_cast<size_t>(step.position),
          static_cast<size_t>(step.remembered),
          step.unread,
          rotation_of(step)};
}

void append_step(Arrays& inputs, const CacheStep& step) {
  inputs.push_back(step.keys);
  inputs.push_back(step.values);
  if (step.sinks) {
    inputs.push_back(mx::astype(*step.sinks, mx::float32));
  }
}

KeptStep::KeptStep(const CacheStep& step)
    : rotation_(rotation_of(step)),
      position_(step.position),
      remembered_(step.remembered),
      scale_(step.scale),
      softcap_(step.softcap) {}

// ------------------------------------------------------------ work

std::byte* place_of(mx::array& store, size_t head, size_t position) {
  const auto capacity = static_cast<size_t>(store.shape(2));
  const auto row = static_cast<size_t>(store.shape(3)) * store.itemsize();
  return store.data<std::byte>() + (head * capacity + position) * row;
}

FreshHeads::FreshHeads(const mx::array& a)
    : rows(a),
      view(a),
      shape(a.shape()),
      count(rows_of(shape)),
      length(static_cast<size_t>(shape[2])) {}

FreshHeads::FreshHeads(const float* numbers, const mx::Shape& of)
    : rows(numbers, static_cast<size_t>(of[3])),
      view(numbers, of),
      shape(of),
      count(rows_of(shape)),
      length(static_cast<size_t>(shape[2])) {}

void CachedAttentionWork::operator()(const Arrays& inputs,
                                     Arrays& outputs) const {
  constexpr size_t kSinks = 5;
  compute(FreshHeads(inputs[0]),
          FreshHeads(inputs[1]),
          FreshHeads(inputs[2]),
          outputs[1],
          outputs[2],
          inputs.size() > kSinks ? &inputs[kSinks] : nullptr,
          outputs[0].data<float>());
}

void CachedAttentionWork::compute(const FreshHeads& q,
                                  const FreshHeads& k,
                                  const FreshHeads& v,
                                  mx::array& keys,
                                  mx::array& values,
                                  const mx::array* sinks,
                                  float* out) const {
  const auto angles =
      rotation ? rotation->angles(q.length) : std::vector<float>();
  write(k, angles, keys);
  write(v, {}, values);

  AttentionViews views{q.view};
  if (rotation) {
    thread_local Buffer memory;  // the stream's
    float* turned = memory.floats(q.count * q.rows.width());
    rotate_heads(q.rows, q.count, q.length, *rotation, angles, turned);
    views.q = HeadsView(turned, q.shape);
  }
  views.keys.emplace_back(keys).shape[2] = remembered;
  views.values.emplace_back(values).shape[2] = remembered;
  if (sinks != nullptr) {
    views.sinks = sinks->data<float>();
    views.sinks_stride = sinks->strides()[0];
  }
  attention.compute(views, out);
}

void CachedAttentionWork::write(const FreshHeads& fresh,
                                const std::vector<float>& angles,
                                mx::array& store) const {
  const size_t dim = fresh.rows.width();
  std::vector<float> scratch, turned(dim);
  for (size_t r = 0; r < fresh.count; ++r) {
    const size_t t = r % fresh.length;
    const float* row = fresh.rows.at(r, scratch);
    if (!angles.empty()) {
      const float* own = angles.data() + t * rotation->width();
      rotation->turn(row, own, dim, turned.data());
      row = turned.data();
    }
    write_row(row,
              dim,
              store.dtype(),
              place_of(store, r / fresh.length, position + t));
  }
}

}  // namespace assay::kernels
