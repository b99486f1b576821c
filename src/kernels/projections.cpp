#include "assay/kernels/projections.h"

#include <optional>
#include <stdexcept>
#include <utility>

#include <mlx/ops.h>

#include "assay/kernels/fused.h"
#include "assay/kernels/node.h"
#include "assay/kernels/projection_work.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

mx::array normed(const mx::array& x, const std::optional<Norm>& norm) {
  return norm ? rms_norm(x, norm->weight, norm->eps) : x;
}

// x as the products of a node's fallback take it.
mx::array before_products(const Arrays& inputs,
                          const std::optional<NormBefore>& norm) {
  return norm ? rms_norm(inputs[0], norm->weight(inputs), norm->eps)
              : inputs[0];
}

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
