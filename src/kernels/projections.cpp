#include "assay/kernels/projections.h"

#include <algorithm>
#include <optional>
#include <stdexcept>
#include <utility>

#include <mlx/ops.h>

#include "assay/kernels/check.h"
#include "assay/kernels/fused.h"
#include "assay/kernels/node.h"
#include "assay/kernels/product.h"
#include "assay/kernels/row_work.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/strided.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// True for what is there and nothing will be computed of: neither lazy nor
// traced, and row by row.
bool is_constant(const mx::array& a) {
  return !a.has_primitive() && a.is_available() && !a.is_tracer() &&
         a.flags().row_contiguous;
}

// A weight of a node: data, or data and scales, or these and biases. Constant
// ones the node keeps for itself: every input is counted, sought and kept alive
// at each step by MLX, which for the arrays of weights costs more than a small
// product. Others stand among its inputs.
struct Projection {
  Matrix matrix;
  Quantization quantization;
  size_t arrays = 1;
  Arrays constant;
  size_t first = 0;  // input, where they are not constant

  const mx::array& part(const Arrays& inputs, size_t i) const {
    return constant.empty() ? inputs[first + i] : constant[i];
  }

  Weight weight(const Arrays& inputs) const {
    Weight result{part(inputs, 0), {}, {}, quantization, matrix.symmetric};
    if (arrays > 1) {
      result.scales = part(inputs, 1);
    }
    if (arrays > 2) {
      result.biases = part(inputs, 2);
    }
    return result;
  }

  // The matrix where it lies now; copies that it needs go to `kept`.
  Matrix bound(const Arrays& inputs, std::vector<RowMajor>& kept) const {
    Matrix w = matrix;
    auto place = [&](size_t i, const std::byte*& begin, const std::byte*& end) {
      const auto& array = kept.emplace_back(part(inputs, i));
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

// Appends the weight's arrays to the inputs, unless they are constant.
Projection project(const char* operation,
                   const mx::array& x,
                   const Weight& weight,
                   Arrays& inputs) {
  Arrays parts{weight.data};
  for (const auto* part : {&weight.scales, &weight.biases}) {
    if (*part) {
      parts.push_back(**part);
    }
  }
  Projection projection{describe(operation, weight, 2),
                        weight.quantization,
                        parts.size(),
                        {},
                        inputs.size()};
  check_width(operation, x, weight, projection.matrix);
  if (std::ranges::all_of(parts, is_constant)) {
    projection.constant = std::move(parts);
  } else {
    inputs.insert(inputs.end(), parts.begin(), parts.end());
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
  multiply(products, 1, activations(), finish);
}

mx::array normed(const mx::array& x, const std::optional<Norm>& norm) {
  return norm ? rms_norm(x, norm->weight, norm->eps) : x;
}

// A norm of a node, whose weight stands last among its inputs if it is not
// constant.
struct NormBefore {
  float eps = 0;
  std::optional<mx::array> constant;

  const mx::array& weight(const Arrays& inputs) const {
    return constant ? *constant : inputs.back();
  }
};

// What a node multiplies: the rows of its first input, or these normed.
class Activations {
 public:
  Activations(const Arrays& inputs, const std::optional<NormBefore>& norm)
      : x_(inputs[0]), rows_(x_.floats()) {
    if (!norm) {
      return;
    }
    const RowMajor weight(norm->weight(inputs));
    const auto width = static_cast<size_t>(inputs[0].shape(-1));
    thread_local Buffer memory;  // the stream's
    float* to = memory.floats(inputs[0].size());
    over_rows(inputs[0].size() / width, width, [&](size_t first, size_t last) {
      for (size_t at = first * width; at < last * width; at += width) {
        norm_row(rows_ + at, weight.floats(), width, norm->eps, to + at);
      }
    });
    rows_ = to;
  }

  const float* floats() const { return rows_; }

 private:
  RowMajor x_;
  const float* rows_;
};

// Appends the norm's weight to the inputs.
std::optional<NormBefore> norm_before(const mx::array& x,
                                      const std::optional<Norm>& norm,
                                      Arrays& inputs) {
  if (!norm) {
    return std::nullopt;
  }
  if (norm->weight.ndim() != 1 || norm->weight.shape(0) != x.shape(-1)) {
    throw std::invalid_argument(
        "[linear] The norm's weight must be as wide as x");
  }
  const auto weight = mx::astype(norm->weight, mx::float32);
  if (is_constant(weight)) {
    return NormBefore{norm->eps, weight};
  }
  inputs.push_back(weight);
  return NormBefore{norm->eps, std::nullopt};
}

// x as the products of a node's fallback take it.
mx::array before_products(const Arrays& inputs,
                          const std::optional<NormBefore>& norm) {
  return norm ? rms_norm(inputs[0], norm->weight(inputs), norm->eps)
              : inputs[0];
}

struct EachWork {
  std::vector<Projection> projections;
  std::optional<NormBefore> norm;

  void operator()(const Arrays& inputs, Arrays& outputs) const {
    const Activations x(inputs, norm);
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
  std::optional<NormBefore> norm;

  void operator()(const Arrays& inputs, mx::array& out) const {
    const Activations x(inputs, norm);
    std::vector<RowMajor> kept;
    const auto w = gate.bound(inputs, kept);
    const size_t rows = inputs[0].size() / w.columns;
    thread_local Buffer memory;  // the stream's
    float* ups = memory.floats(out.size());
    const std::vector<Product> products{
        product_of(w, x.floats(), rows, out.data<float>()),
        product_of(up.bound(inputs, kept), x.floats(), rows, ups)};
    auto* gates = out.data<float>();
    multiply_rows(products,
                  {true, [&](size_t, size_t begin, size_t end) {
                     for (size_t r = 0; r < rows; ++r) {
                       const size_t at = r * w.rows + begin;
                       silu_gate_row(
                           gates + at, ups + at, end - begin, gates + at);
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
                                   const std::vector<mx::Shape>& shapes,
                                   const std::optional<Norm>& norm) {
  if (weights.empty() || !one_node(weights)) {
    const auto before = normed(x, norm);
    std::vector<mx::array> results;
    for (size_t i = 0; i < weights.size(); ++i) {
      results.push_back(mx::reshape(linear(before, *weights[i]), shapes[i]));
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
  const auto before = norm_before(x, norm, inputs);
  auto fallback = [projections, shapes, before](const Arrays& all) {
    const auto rows = before_products(all, before);
    Arrays results;
    for (size_t i = 0; i < projections.size(); ++i) {
      results.push_back(
          mx::reshape(linear(rows, projections[i].weight(all)), shapes[i]));
    }
    return results;
  };
  return fuse_all("LinearEach",
                  inputs,
                  shapes,
                  std::vector<mx::Dtype>(shapes.size(), mx::float32),
                  fallback,
                  EachWork{projections, before});
}

mx::array linear_silu_gate(const mx::array& x,
                           const Weight& gate,
                           const Weight& up,
                           const std::optional<Norm>& norm) {
  const Weight* both[] = {&gate, &up};
  if (!one_node(both) || gate.data.shape(-2) != up.data.shape(-2)) {
    const auto before = normed(x, norm);
    return silu_gate(linear(before, gate), linear(before, up));
  }
  Arrays inputs{mx::astype(x, mx::float32)};
  const auto first = project("linear", x, gate, inputs);
  const auto second = project("linear", x, up, inputs);
  const auto before = norm_before(x, norm, inputs);
  auto fallback = [first, second, before](const Arrays& all) {
    const auto rows = before_products(all, before);
    return Arrays{silu_gate(linear(rows, first.weight(all)),
                            linear(rows, second.weight(all)))};
  };
  return fuse("LinearSiluGate",
              std::move(inputs),
              product_shape(x, first),
              fallback,
              SiluWork{first, second, before});
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
