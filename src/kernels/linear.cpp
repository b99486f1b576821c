#include "assay/kernels/linear.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <utility>
#include <vector>

#include <mlx/device.h>
#include <mlx/ops.h>
#include <mlx/stream.h>

#include "assay/kernels/check.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/primitives.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// A lazy float32 array made by one of our primitives. `inputs` lacks the
// weight, which is added.
template <class Primitive>
mx::array make(std::vector<mx::array> inputs,
               const Weight& weight,
               const Matrix& matrix) {
  inputs.push_back(weight.data);
  if (weight.scales) {
    inputs.push_back(*weight.scales);
  }
  if (weight.biases) {
    inputs.push_back(*weight.biases);
  }
  auto primitive = std::make_shared<Primitive>(
      mx::default_stream(mx::default_device()), matrix, weight.quantization);
  auto shape = primitive->output_shapes(inputs)[0];
  return mx::array(
      std::move(shape), mx::float32, std::move(primitive), std::move(inputs));
}

mx::array transposed(const mx::array& w) {
  return mx::swapaxes(w, -1, -2);
}

mx::array dequantize_by_mlx(const Weight& weight,
                            std::optional<mx::Dtype> dtype) {
  const auto& [group, bits, mode] = weight.quantization;
  return mx::dequantize(weight.data,
                        *weight.scales,
                        weight.biases,
                        group,
                        bits,
                        mode,
                        std::nullopt,
                        dtype);
}

}  // namespace

mx::array linear(const mx::array& x, const Weight& weight) {
  const auto matrix = describe("linear", weight, 2);
  check_width("linear", x, weight, matrix);
  if (on_cpu()) {
    return make<Linear>({mx::astype(x, mx::float32)}, weight, matrix);
  }
  if (!weight.scales) {
    return mx::matmul(x, transposed(weight.data));
  }
  const auto& [group, bits, mode] = weight.quantization;
  return mx::quantized_matmul(
      x, weight.data, *weight.scales, weight.biases, true, group, bits, mode);
}

mx::array gather_linear(const mx::array& x,
                        const Weight& weight,
                        const mx::array& experts) {
  const auto matrix = describe("gather_linear", weight, 3);
  check_gathered(x, weight, matrix, experts);
  if (on_cpu()) {
    return make<GatherLinear>(
        {mx::astype(x, mx::float32), experts}, weight, matrix);
  }
  if (!weight.scales) {
    return mx::gather_mm(x, transposed(weight.data), std::nullopt, experts);
  }
  const auto& [group, bits, mode] = weight.quantization;
  return mx::gather_qmm(x,
                        weight.data,
                        *weight.scales,
                        weight.biases,
                        std::nullopt,
                        experts,
                        true,
                        group,
                        bits,
                        mode);
}

mx::array embed(const mx::array& ids, const Weight& weight) {
  const auto matrix = describe("embed", weight, 2);
  check_integers("embed", "Ids", ids);
  if (on_cpu()) {
    return make<Embed>({ids}, weight, matrix);
  }
  auto rows = mx::take(weight.data, ids, 0);
  if (!weight.scales) {
    return rows;
  }
  Weight taken{std::move(rows),
               mx::take(*weight.scales, ids, 0),
               std::nullopt,
               weight.quantization};
  if (weight.biases) {
    taken.biases = mx::take(*weight.biases, ids, 0);
  }
  return dequantize_by_mlx(taken, std::nullopt);
}

mx::array dequantize(const Weight& weight, mx::Dtype dtype) {
  const auto matrix =
      describe("dequantize", weight, std::max<size_t>(2, weight.data.ndim()));
  if (on_cpu()) {
    return mx::astype(make<Dequantize>({}, weight, matrix), dtype);
  }
  if (!weight.scales) {
    return mx::astype(weight.data, dtype);
  }
  if (weight.quantization.mode != "affine") {
    return dequantize_by_mlx(weight, dtype);
  }
  // MLX dequantizes in the type of the scales.
  Weight wide = weight;
  wide.scales = mx::astype(*weight.scales, mx::float32);
  wide.biases = mx::astype(*weight.biases, mx::float32);
  return mx::astype(dequantize_by_mlx(wide, std::nullopt), dtype);
}

bool on_cpu() {
  return mx::default_device() == mx::Device::cpu;
}

mx::Dtype activation_dtype(mx::Dtype weights) {
  return on_cpu() ? mx::float32 : weights;
}

namespace {

std::atomic<Activations>& chosen_activations() {
  static std::atomic<Activations> chosen = Activations::int16;
  return chosen;
}

}  // namespace

void set_activations(Activations activations) {
  chosen_activations().store(activations);
}

Activations activations() {
  return chosen_activations().load(std::memory_order_relaxed);
}

void set_threads(int threads) {
  set_pool_threads(threads);
}

int threads() {
  return pool_threads();
}

}  // namespace assay::kernels
