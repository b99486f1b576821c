#include "assay/kernels/projection_work.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <mlx/ops.h>

#include "assay/kernels/check.h"
#include "assay/kernels/product.h"
#include "assay/kernels/row_work.h"
#include "assay/kernels/scratch.h"
#include "assay/kernels/simd.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

Arrays parts_of(const Weight& weight) {
  Arrays parts;
  parts.reserve(3);
  parts.push_back(weight.data);
  for (const auto* part : {&weight.scales, &weight.biases}) {
    if (*part) {
      parts.push_back(**part);
    }
  }
  return parts;
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

// What a node multiplies: the rows of its first input, or these normed.
class NodeRows {
 public:
  NodeRows(const Arrays& inputs, const std::optional<NormBefore>& norm)
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

}  // namespace

// ------------------------------------------------------------ weights

bool Projection::keeps(const Weight& weight) const {
  auto same = [&](size_t i, const std::optional<mx::array>& part) {
    return part ? constant.size() > i && constant[i].id() == part->id()
                : constant.size() <= i;
  };
  return !constant.empty() && constant[0].id() == weight.data.id() &&
         same(1, weight.scales) && same(2, weight.biases);
}

Weight Projection::weight(const Arrays& inputs) const {
  Weight result{part(inputs, 0), {}, {}, quantization, matrix.symmetric};
  if (arrays > 1) {
    result.scales = part(inputs, 1);
  }
  if (arrays > 2) {
    result.biases = part(inputs, 2);
  }
  return result;
}

Matrix Projection::bound(const Arrays& inputs,
                         std::vector<RowMajor>& kept) const {
  Matrix w = matrix;
  auto place = [&](size_t i, const std::byte*& begin, const std::byte*& end) {
    if (!constant.empty()) {  // row by row
      begin = constant[i].data<std::byte>();
      end = begin + constant[i].nbytes();
      return;
    }
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

// What is there and nothing will be computed of: neither lazy nor traced, and
// row by row.
bool is_constant(const mx::array& a) {
  return !a.has_primitive() && a.is_available() && !a.is_tracer() &&
         a.flags().row_contiguous;
}

bool is_constant(const Weight& weight) {
  return is_constant(weight.data) &&
         (!weight.scales || is_constant(*weight.scales)) &&
         (!weight.biases || is_constant(*weight.biases));
}

Projection project(const char* operation,
                   const Weight& weight,
                   Arrays& inputs) {
  Arrays parts = parts_of(weight);
  Projection projection{describe(operation, weight, 2),
                        weight.quantization,
                        parts.size(),
                        {},
                        inputs.size()};
  if (is_constant(weight)) {
    projection.constant = std::move(parts);
  } else {
    inputs.insert(inputs.end(), parts.begin(), parts.end());
  }
  return projection;
}

Projection project(const char* operation,
                   const mx::array& x,
                   const Weight& weight,
                   Arrays& inputs) {
  auto projection = project(operation, weight, inputs);
  check_width(operation, x, weight, projection.matrix);
  return projection;
}

bool one_node(std::span<const Weight* const> weights) {
  if (!on_cpu()) {
    return false;
  }
  const auto first = describe("linear", *weights[0], 2);
  return first.columns > 0 &&
         std::ranges::all_of(weights.subspan(1), [&](const auto* w) {
           return meet_alike(describe("linear", *w, 2), first);
         });
}

mx::Shape product_shape(const mx::array& x, const Projection& projection) {
  auto shape = x.shape();
  shape.back() = static_cast<int>(projection.matrix.rows);
  return shape;
}

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

// ------------------------------------------------------------ work

void EachWork::operator()(const Arrays& inputs, Arrays& outputs) const {
  std::vector<float*> to;
  to.reserve(outputs.size());
  for (auto& output : outputs) {
    to.push_back(output.data<float>());
  }
  compute(inputs, to);
}

void EachWork::compute(const Arrays& inputs,
                       std::span<float* const> outputs) const {
  const NodeRows x(inputs, norm);
  std::vector<RowMajor> kept;
  std::vector<Product> products;
  products.reserve(projections.size());
  for (size_t i = 0; i < projections.size(); ++i) {
    const auto w = projections[i].bound(inputs, kept);
    products.push_back(
        product_of(w, x.floats(), inputs[0].size() / w.columns, outputs[i]));
  }
  multiply_rows(products, {});
}

void SiluWork::operator()(const Arrays& inputs, mx::array& out) const {
  compute(inputs, out.data<float>());
}

void SiluWork::compute(const Arrays& inputs, float* out) const {
  const NodeRows x(inputs, norm);
  std::vector<RowMajor> kept;
  const auto w = gate.bound(inputs, kept);
  const size_t rows = inputs[0].size() / w.columns;
  thread_local Buffer memory;  // the stream's
  float* ups = memory.floats(rows * w.rows);
  const std::vector<Product> products{
      product_of(w, x.floats(), rows, out),
      product_of(up.bound(inputs, kept), x.floats(), rows, ups)};
  multiply_rows(products, {true, [&](size_t, size_t begin, size_t end) {
                             for (size_t r = 0; r < rows; ++r) {
                               const size_t at = r * w.rows + begin;
                               kernels().silu_gate(
                                   out + at, ups + at, end - begin, out + at);
                             }
                           }});
}

void AddWork::operator()(const Arrays& inputs, mx::array& out) const {
  const RowMajor x(inputs[0]);
  const RowMajor residual(inputs.back());
  compute(inputs,
          x.floats(),
          residual.floats(),
          out.size() / projection.matrix.rows,
          out.data<float>());
}

void AddWork::compute(const Arrays& inputs,
                      const float* x,
                      const float* residual,
                      size_t rows,
                      float* out) const {
  std::vector<RowMajor> kept;
  const auto w = projection.bound(inputs, kept);
  const std::vector<Product> products{product_of(w, x, rows, out)};
  multiply_rows(products, {false, [&](size_t, size_t begin, size_t end) {
                             for (size_t r = 0; r < rows; ++r) {
                               const float* from = residual + r * w.rows;
                               float* to = out + r * w.rows;
                               for (size_t n = begin; n < end; ++n) {
                                 to[n] += from[n];
                               }
                             }
                           }});
}

}  // namespace assay::kernels
