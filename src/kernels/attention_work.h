#pragma once

// The computation of attention within a node of the graph: cut into tasks of
// some queries and some positions, which the kernels of each instruction set
// take.

#include <array>
#include <cstddef>
#include <optional>
#include <vector>

#include <mlx/array.h>

#include "assay/kernels/attention.h"
#include "assay/kernels/matrix.h"
#include "assay/kernels/node.h"

namespace assay::kernels {

/** Where the parts of the inputs stand among those of the node. */
struct Places {
  size_t key_parts = 1, value_parts = 1;
  bool mask = false, sinks = false;

  size_t values() const { return 1 + key_parts; }
  size_t mask_at() const { return values() + value_parts; }
  size_t sinks_at() const { return mask_at() + (mask ? 1 : 0); }
};

/** What the node keeps of its inputs beside arrays, which it must not hold: a
 * cache is written to in place once nobody else has it. */
struct Settings {
  Places places;
  Quantization keys, values;
  bool causal = false;
  float scale = 1, softcap = 0;

  /** The inputs again from those of the node. */
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

/** Where an array of four axes lies. */
struct HeadsView {
  const std::byte* data = nullptr;
  ptrdiff_t itemsize = 1;
  std::array<size_t, 4> shape = {};
  std::array<ptrdiff_t, 4> strides = {};  ///< in elements

  HeadsView() = default;
  explicit HeadsView(const mlx::core::array& a)
      : data(a.data<std::byte>()),
        itemsize(static_cast<ptrdiff_t>(a.itemsize())) {
    for (size_t axis = 0; axis < shape.size(); ++axis) {
      shape[axis] = static_cast<size_t>(a.shape(static_cast<int>(axis)));
      strides[axis] = static_cast<ptrdiff_t>(a.strides()[axis]);
    }
  }

  /** Numbers that stand row by row. */
  HeadsView(const float* numbers, const mlx::core::Shape& sizes)
      : data(reinterpret_cast<const std::byte*>(numbers)),
        itemsize(sizeof(float)) {
    ptrdiff_t stride = 1;
    for (size_t axis = shape.size(); axis-- > 0;) {
      shape[axis] = static_cast<size_t>(sizes[axis]);
      strides[axis] = stride;
      stride *= sizes[axis];
    }
  }

  const std::byte* at(size_t batch, size_t head, size_t position) const {
    return data + itemsize * (static_cast<ptrdiff_t>(batch) * strides[0] +
                              static_cast<ptrdiff_t>(head) * strides[1] +
                              static_cast<ptrdiff_t>(position) * strides[2]);
  }
};

/** What attention reads, as AttentionInputs has it. */
struct AttentionViews {
  HeadsView q;
  std::vector<HeadsView> keys = {}, values = {};  ///< data, scales, biases
  std::optional<HeadsView> mask = {};
  const float* sinks = nullptr;
  ptrdiff_t sinks_stride = 1;
};

/** Takes [q, keys..., values..., mask, sinks] as Places says; the result is
 * [batch, length, heads, value_dim]. */
class AttentionWork {
 public:
  AttentionWork(const Settings& settings, Matrix keys, Matrix values)
      : places_(settings.places),
        keys_(keys),
        values_(values),
        causal_(settings.causal),
        scale_(settings.scale),
        softcap_(settings.softcap) {}

  void operator()(const Arrays& arrays, mlx::core::array& out) const;
  /** The same without arrays. */
  void compute(const AttentionViews& views, float* out) const;

 private:
  struct Run;

  Places places_;
  Matrix keys_, values_;
  bool causal_;
  float scale_, softcap_;
};

}  // namespace assay::kernels
