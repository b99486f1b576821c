#include "assay/kernels/projections.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <utility>

#include <mlx/ops.h>

#include "assay/kernels/check.h"
#include "assay/kernels/fused.h"
#include "assay/kernels/node.h"
#include "assay/kernels/product.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/strided.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// A weight whose arrays stand among the inputs of a node.
struct Projection {
  Matrix matrix;
  Quantization quantization;
  size_t first = 0;  // input
  size_t arrays = 1;

  Weight weight(const Arrays& inputs) const {
    Weight result{inputs[first], {}, {}, quantization};
    if (arrays > 1) {
      result.scales = inputs[first + 1];
    }
    if (arrays > 2) {
      result.biases = inputs[first + 2];
    }
    return result;
  }

  // The matrix where it lies now; copies that it needs go to `kept`.
  Matrix bound(const Arrays& inputs, std::vector<RowMajor>& kept) const {
    Matrix w = matrix;
    auto place = [&](size_t i, const std::byte*& begin, const std::byte*& end) {
      const auto& array = kept.emplace_back(inputs[first + i]);
      begin = array.begin();
      end = array.end();
    };
    place(0, w.data, w.data_end);
    if (arrays > 1) {
      place(1, w.scales, w.scales_end);
    }
    if (arrays > 2) {
      place(2, w.biases, w.biases_end);
    }
    return w;
  }
};

// Appends the weight's arrays to the inputs.
Projection project(const char* operation,
                   const mx::array& x,
                   const Weight& weight,
                   Arrays& inputs) {
  Projection projection{
      describe(operation, weight, 2), weight.quantization, inputs.size(), 1};
  check_width(operation, x, weight, projection.matrix);
  inputs.push_back(weight.data);
  for (const auto* part : {&weight.scales, &weight.biases}) {
    if (*part) {
      inputs.push_back(**part);
      ++projection.arrays;
    }
  }
  return projection;
}

// One node needs weights that meet activations in the same order.
bool one_node(std::span<const Weight* const> weights) {
  if (!on_cpu()) {
    return false;
  }
  const auto first = describe("linear", *weights[0], 2);
  return first.columns > 0 && std::ranges::all_of(weights, [&](const auto* w) {
           return meet_alike(describe("linear", *w, 2), first);
         });
}

mx::Shape product_shape(const mx::array& x, const Projection& projection) {
  auto shape = x.shape();
  shape.back() = static_cast<int>(projection.matrix.rows);
  return shape;
}

// The rows of x with the weight, where their products go.
Product product_of(const Matrix& w, const float* x, size_t rows, float* out) {
  Product product{w, {}};
  product.rows.reserve(rows);
  for (size_t r = 0; r < rows; ++r) {
    product.rows.push_back({x + r * w.columns, out + r * w.rows});
  }
  return product;
}

void multiply_rows(std::span<const Product> products, const Finish& finish) {
  multiply(products, 1, activations() == Activations::int16, finish);
}

struct EachWork {
  std::vector<Projection> projections;

  void operator()(const Arrays& inputs, Arrays& outputs) const {
    const RowMajor x(inputs[0]);
    std::vector<RowMajor> kept;
    std::vector<Product> products;
    for (size_t i = 0; i < projections.size(); ++i) {
      const auto w = projections[i].bound(inputs, kept);
      products.push_back(product_of(w,
                                    x.floats(),
                                    inputs[0].size() / w.columns,
                                    outputs[i].data<float>()));
    }
    multiply_rows(products, {});
  }
};

struct SiluWork {
  Projection gate, up;

  static void gated(float* gates, const float* ups, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      gates[i] = gates[i] / (1 + std::exp(-gates[i])) * ups[i];
    }
  }

  void operator()(const Arrays& inputs, mx::array& out) const {
    const RowMajor x(inputs[0]);
    std::vector<RowMajor> kept;
    const auto w = gate.bound(inputs, kept);
    const size_t rows = inputs[0].size() / w.columns;
    thread_local Buffer memory;  // the stream's
    float* ups = memory.floats(out.size());
    const std::vector<Product> products{
        product_of(w, x.floats(), rows, out.data<float>()),
        product_of(up.bound(inputs, kept), x.floats(), rows, ups)};
    auto* gates = out.data<float>();
    multiply_rows(products, {true, [&](size_t, size_t begin, size_t end) {
                               for (size_t r = 0; r < rows; ++r) {
                                 const size_t at = r * w.rows + begin;
                                 gated(gates + at, ups + at, end - begin);
                               }
                             }});
  }
};

struct AddWork {
  Projection projection;

  void operator()(const Arrays& inputs, mx::array& out) const {
    const RowMajor x(inputs[0]);
    const RowMajor residual(inputs.back());
    std::vector<RowMajor> kept;
    const auto w = projection.bound(inputs, kept);
    const size_t rows = inputs[0].size() / w.columns;
    auto* sums = out.data<float>();
    const std::vector<Product> products{product_of(w, x.floats(), rows, sums)};
    multiply_rows(products, {false, [&](size_t, size_t begin, size_t end) {
                               for (size_t r = 0; r < rows; ++r) {
                                 const float* from =
                                     residual.floats() + r * w.rows;
                                 float* to = sums + r * w.rows;
                                 for (size_t n = begin; n < end; ++n) {
                                   to[n] += from[n];
                                 }
                               }
                             }});
  }
};

}  // namespace

std::vector<mx::array> linear_each(const mx::array& x,
                                   std::span<const Weight* const> weights,
                                   const std::vector<mx::Shape>& shapes) {
  if (weights.empty() || !one_node(weights)) {
    std::vector<mx::array> results;
    for (size_t i = 0; i < weights.size(); ++i) {
      results.push_back(mx::reshape(linear(x, *weights[i]), shapes[i]));
    }
    return results;
  }
  Arrays inputs{mx::astype(x, mx::float32)};
  std::vector<Projection> projections;
  for (size_t i = 0; i < weights.size(); ++i) {
    const auto& added =
        projections.emplace_back(project("linear", x, *weights[i], inputs));
    size_t size = 1;
    for (int axis : shapes[i]) {
      size *= static_cast<size_t>(axis);
    }
    if (size != x.size() / added.matrix.columns * added.matrix.rows) {
      throw std::invalid_argument(
          "[linear_each] A shape must be as large as its product");
    }
  }
  auto fallback = [projections, shapes](const Arrays& all) {
    Arrays results;
    for (size_t i = 0; i < projections.size(); ++i) {
      results.push_back(
          mx::reshape(linear(all[0], projections[i].weight(all)), shapes[i]));
    }
    return results;
  };
  return fuse_all(
      "LinearEach", inputs, shapes, fallback, EachWork{projections});
}

mx::array linear_silu_gate(const mx::array& x,
                           const Weight& gate,
                           const Weight& up) {
  const Weight* both[] = {&gate, &up};
  if (!one_node(both) || gate.data.shape(-2) != up.data.shape(-2)) {
    return silu_gate(linear(x, gate), linear(x, up));
  }
  Arrays inputs{mx::astype(x, mx::float32)};
  const auto first = project("linear", x, gate, inputs);
  const auto second = project("linear", x, up, inputs);
  auto fallback = [first, second](const Arrays& all) {
    return Arrays{silu_gate(linear(all[0], first.weight(all)),
                            linear(all[0], second.weight(all)))};
  };
  return fuse("LinearSiluGate",
              std::move(inputs),
              product_shape(x, first),
              fallback,
              SiluWork{first, second});
}

mx::array linear_add(const mx::array& residual,
                     const mx::array& x,
                     const Weight& weight) {
  const Weight* only[] = {&weight};
  if (!one_node(only)) {
    return residual + linear(x, weight);
  }
  Arrays inputs{mx::astype(x, mx::float32)};
  const auto projection = project("linear", x, weight, inputs);
  auto shape = product_shape(x, projection);
  if (residual.shape() != shape) {
    throw std::invalid_argument(
        "[linear_add] The residual must have the shape of the product");
  }
  inputs.push_back(mx::astype(residual, mx::float32));
  auto fallback = [projection](const Arrays& all) {
    return Arrays{all.back() + linear(all[0], projection.weight(all))};
  };
  return fuse("LinearAdd",
              std::move(inputs),
              std::move(shape),
              fallback,
              AddWork{projection});
}

}  // namespace assay::kernels
