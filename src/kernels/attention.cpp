#include "assay/kernels/attention.h"

#include <limits>
#include <stdexcept>
#include <utility>
#include <vector>

#include <mlx/fast.h>

#include "assay/kernels/attention_work.h"
#include "assay/kernels/check.h"
#include "assay/kernels/node.h"

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

size_t append_parts(Arrays& arrays, const Weight& weight) {
  arrays.push_back(weight.data);
  if (!weight.scales) {
    return 1;
  }
  arrays.push_back(*weight.scales);
  arrays.push_back(*weight.biases);
  return 3;
}

}  // namespace

mx::array attention(const AttentionInputs& inputs) {
  if (!on_cpu()) {
    return by_mlx(inputs);
  }
  const auto keys = describe("attention", inputs.keys, 4);
  const auto values = describe("attention", inputs.values, 4);
  check_attention(inputs.q.shape(), inputs.keys, keys, inputs.values);
  Arrays arrays{mx::astype(inputs.q, mx::float32)};
  Places places;
  places.key_parts = append_parts(arrays, inputs.keys);
  places.value_parts = append_parts(arrays, inputs.values);
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
