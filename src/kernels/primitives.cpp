#include "assay/kernels/primitives.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <sstream>
#include <stdexcept>
#include <typeinfo>

#include <mlx/allocator.h>
#include <mlx/backend/cpu/encoder.h>
#include <mlx/ops.h>
#include <mlx/scheduler.h>
#include <mlx/utils.h>

#include "assay/kernels/product.h"
#include "assay/kernels/strided.h"

namespace assay::kernels {
namespace mx = mlx::core;
namespace {

// Queues work on the stream's thread, in order. Not by the encoder's dispatch,
// which adds a bind around each lambda; MLX's own bookkeeping task follows
// every primitive anyway.
void enqueue(mx::Stream stream, std::function<void()> work) {
  mx::scheduler::enqueue(stream, std::move(work));
}

// Weights are read as they lie; one that is a strided view is copied first.
mx::array row_contiguous(const mx::array& a, mx::Stream stream) {
  if (a.flags().row_contiguous) {
    return a;
  }
  mx::array copy(a.shape(), a.dtype(), nullptr, {});
  copy.set_data(mx::allocator::malloc(copy.nbytes()));
  mx::cpu::get_command_encoder(stream).add_temporary(copy);
  enqueue(stream,
          [from = mx::array::unsafe_weak_copy(a),
           to = mx::array::unsafe_weak_copy(copy)]() mutable {
            copy_row_major(from, to.data<char>());
          });
  return copy;
}

// The stored arrays of a weight, held weakly: MLX keeps inputs alive until the
// stream has passed this primitive.
struct StoredWeight {
  Matrix matrix;
  std::vector<mx::array> arrays;

  // Matrix number `index` of a stack.
  Matrix at(size_t index) const {
    Matrix w = matrix;
    const size_t scales = w.rows * w.groups();
    auto place = [&](size_t i, size_t bytes, auto& begin, auto& end) {
      begin = arrays[i].data<std::byte>() + index * bytes;
      end = arrays[i].data<std::byte>() + arrays[i].nbytes();
    };
    place(0, w.rows * w.row_bytes(), w.data, w.data_end);
    if (arrays.size() > 1) {
      place(1, scales * arrays[1].itemsize(), w.scales, w.scales_end);
    }
    if (arrays.size() > 2) {
      place(2, scales * arrays[2].itemsize(), w.biases, w.biases_end);
    }
    return w;
  }
};

StoredWeight store(const Matrix& matrix,
                   const std::vector<mx::array>& inputs,
                   size_t first,
                   mx::Stream stream) {
  StoredWeight stored{matrix, {}};
  for (size_t i = first; i < inputs.size(); ++i) {
    stored.arrays.push_back(
        mx::array::unsafe_weak_copy(row_contiguous(inputs[i], stream)));
  }
  return stored;
}

int64_t integer_at(const mx::array& a, int64_t offset) {
  switch (a.dtype()) {
    case mx::uint8:
      return a.data<uint8_t>()[offset];
    case mx::uint16:
      return a.data<uint16_t>()[offset];
    case mx::uint32:
      return a.data<uint32_t>()[offset];
    case mx::int8:
      return a.data<int8_t>()[offset];
    case mx::int16:
      return a.data<int16_t>()[offset];
    case mx::int32:
      return a.data<int32_t>()[offset];
    default:
      // int64; a uint64 beyond it is negative here and refused as such.
      return a.data<int64_t>()[offset];
  }
}

// Ids in row-major order. Thrown on the stream's thread; MLX hands the message
// to whoever waits for the result.
std::vector<size_t> checked_ids(const char* operation,
                                const mx::array& ids,
                                const mx::Shape& shape,
                                const mx::Strides& strides,
                                size_t limit) {
  std::vector<size_t> result;
  for_each_offset(shape, strides, shape.size(), [&](int64_t offset) {
    const int64_t id = integer_at(ids, offset);
    if (id < 0 || static_cast<size_t>(id) >= limit) {
      std::ostringstream message;
      message << '[' << operation << "] Index " << id
              << " is out of bounds for " << limit << " entries";
      throw std::out_of_range(message.str());
    }
    result.push_back(static_cast<size_t>(id));
  });
  return result;
}

void allocate(mx::array& out) {
  out.set_data(mx::allocator::malloc(out.nbytes()));
}

mx::Shape replace_last(mx::Shape shape, size_t last) {
  shape.back() = static_cast<int>(last);
  return shape;
}

// Strides of `a` over its batch axes (all but the last two), stretched to the
// broadcast shape `batch`.
mx::Strides broadcast_strides(const mx::array& a,
                              size_t own,
                              const mx::Shape& batch) {
  mx::Strides strides(batch.size(), 0);
  for (size_t i = 0; i < own; ++i) {
    const size_t to = batch.size() - own + i;
    strides[to] = a.shape(static_cast<int>(i)) == 1 ? 0 : a.strides()[i];
  }
  return strides;
}

mx::Shape batch_shape(const mx::array& x, const mx::array& experts) {
  return mx::broadcast_shapes(mx::Shape(x.shape().begin(), x.shape().end() - 2),
                              experts.shape());
}

void linear_now(const mx::array& x, const Matrix& w, mx::array& out) {
  float* to = out.data<float>();
  if (w.columns == 0) {
    std::fill(to, to + out.size(), 0.0f);
    return;
  }
  std::vector<Product> products{{w, {}}};
  products[0].rows.reserve(x.size() / w.columns);
  for_each_offset(x.shape(), x.strides(), x.ndim() - 1, [&](int64_t offset) {
    products[0].rows.push_back({x.data<float>() + offset, to});
    to += w.rows;
  });
  if (out.size() != 0) {
    multiply(products, x.strides().back(), activations());
  }
}

void gather_linear_now(const mx::array& x,
                       const mx::array& experts,
                       const StoredWeight& weight,
                       size_t expert_count,
                       mx::array& out) {
  float* to = out.data<float>();
  if (weight.matrix.columns == 0) {
    std::fill(to, to + out.size(), 0.0f);
    return;
  }
  const auto batch = batch_shape(x, experts);
  const auto ids =
      checked_ids("gather_linear",
                  experts,
                  batch,
                  broadcast_strides(experts, experts.ndim(), batch),
                  expert_count);
  std::vector<Product> by_expert(expert_count);
  const auto rows = static_cast<size_t>(x.shape(-2));
  const auto row_stride = x.strides()[x.ndim() - 2];
  size_t next = 0;
  for_each_offset(
      batch,
      broadcast_strides(x, x.ndim() - 2, batch),
      batch.size(),
      [&](int64_t offset) {
        auto& product = by_expert[ids[next++]];
        for (size_t r = 0; r < rows; ++r) {
          product.rows.push_back(
              {x.data<float>() + offset + static_cast<int64_t>(r) * row_stride,
               to});
          to += weight.matrix.rows;
        }
      });
  std::vector<Product> products;
  for (size_t e = 0; e < expert_count; ++e) {
    if (!by_expert[e].rows.empty()) {
      products.push_back({weight.at(e), std::move(by_expert[e].rows)});
    }
  }
  if (out.size() != 0) {
    multiply(products, x.strides().back(), activations());
  }
}

}  // namespace

// ------------------------------------------------------------ shared

void WeightPrimitive::eval_gpu(const std::vector<mx::array>&,
                               std::vector<mx::array>&) {
  throw std::runtime_error(std::string(name()) + " has no GPU implementation.");
}

bool WeightPrimitive::is_equivalent(const mx::Primitive& other) const {
  return typeid(*this) == typeid(other) &&
         quantization_ ==
             static_cast<const WeightPrimitive&>(other).quantization_;
}

Weight WeightPrimitive::weight(const std::vector<mx::array>& inputs,
                               size_t first) const {
  Weight weight{inputs[first], {}, {}, quantization_};
  if (inputs.size() > first + 1) {
    weight.scales = inputs[first + 1];
  }
  if (inputs.size() > first + 2) {
    weight.biases = inputs[first + 2];
  }
  return weight;
}

void WeightPrimitive::only_x(const std::vector<int>& argnums) const {
  if (argnums.size() != 1 || argnums[0] != 0) {
    throw std::invalid_argument(
        std::string("[") + name() +
        "] Gradients exist with respect to x only; stored weights are "
        "constants");
  }
}

// ------------------------------------------------------------ Linear

void Linear::eval_cpu(const std::vector<mx::array>& inputs,
                      std::vector<mx::array>& outputs) {
  allocate(outputs[0]);
  enqueue(stream(),
          [x = mx::array::unsafe_weak_copy(inputs[0]),
           weight = store(matrix_, inputs, 1, stream()),
           out = mx::array::unsafe_weak_copy(outputs[0])]() mutable {
            linear_now(x, weight.at(0), out);
          });
}

std::vector<mx::Shape> Linear::output_shapes(
    const std::vector<mx::array>& inputs) {
  return {replace_last(inputs[0].shape(), matrix_.rows)};
}

std::vector<mx::array> Linear::vjp(const std::vector<mx::array>& primals,
                                   const std::vector<mx::array>& cotangents,
                                   const std::vector<int>& argnums,
                                   const std::vector<mx::array>&) {
  only_x(argnums);
  return {mx::matmul(cotangents[0], dequantize(weight(primals, 1)), stream())};
}

std::vector<mx::array> Linear::jvp(const std::vector<mx::array>& primals,
                                   const std::vector<mx::array>& tangents,
                                   const std::vector<int>& argnums) {
  only_x(argnums);
  return {linear(tangents[0], weight(primals, 1))};
}

// ------------------------------------------------------------ GatherLinear

void GatherLinear::eval_cpu(const std::vector<mx::array>& inputs,
                            std::vector<mx::array>& outputs) {
  allocate(outputs[0]);
  enqueue(stream(),
          [x = mx::array::unsafe_weak_copy(inputs[0]),
           experts = mx::array::unsafe_weak_copy(inputs[1]),
           count = static_cast<size_t>(inputs[2].shape(0)),
           weight = store(matrix_, inputs, 2, stream()),
           out = mx::array::unsafe_weak_copy(outputs[0])]() mutable {
            gather_linear_now(x, experts, weight, count, out);
          });
}

std::vector<mx::Shape> GatherLinear::output_shapes(
    const std::vector<mx::array>& inputs) {
  auto shape = batch_shape(inputs[0], inputs[1]);
  shape.push_back(inputs[0].shape(-2));
  shape.push_back(static_cast<int>(matrix_.rows));
  return {shape};
}

std::vector<mx::array> GatherLinear::vjp(
    const std::vector<mx::array>& primals,
    const std::vector<mx::array>& cotangents,
    const std::vector<int>& argnums,
    const std::vector<mx::array>&) {
  only_x(argnums);
  const auto& x = primals[0];
  const auto batch = batch_shape(x, primals[1]);
  auto dx = mx::gather_mm(cotangents[0],
                          dequantize(weight(primals, 2)),
                          std::nullopt,
                          mx::broadcast_to(primals[1], batch, stream()),
                          false,
                          stream());
  // Back over the axes along which x was stretched.
  const auto extra = dx.ndim() - x.ndim();
  std::vector<int> axes;
  for (size_t i = 0; i + 2 < dx.ndim(); ++i) {
    const auto axis = static_cast<int>(i);
    if (i < extra || x.shape(static_cast<int>(i - extra)) != dx.shape(axis)) {
      axes.push_back(axis);
    }
  }
  if (!axes.empty()) {
    dx = mx::sum(dx, axes, true, stream());
  }
  return {mx::reshape(dx, x.shape(), stream())};
}

std::vector<mx::array> GatherLinear::jvp(const std::vector<mx::array>& primals,
                                         const std::vector<mx::array>& tangents,
                                         const std::vector<int>& argnums) {
  only_x(argnums);
  return {gather_linear(tangents[0], weight(primals, 2), primals[1])};
}

// ------------------------------------------------------------ Embed

void Embed::eval_cpu(const std::vector<mx::array>& inputs,
                     std::vector<mx::array>& outputs) {
  allocate(outputs[0]);
  enqueue(stream(),
          [ids = mx::array::unsafe_weak_copy(inputs[0]),
           weight = store(matrix_, inputs, 1, stream()),
           out = mx::array::unsafe_weak_copy(outputs[0])]() mutable {
            const auto rows = checked_ids(
                "embed", ids, ids.shape(), ids.strides(), weight.matrix.rows);
            decode_rows(weight.at(0), rows, out.data<float>());
          });
}

std::vector<mx::Shape> Embed::output_shapes(
    const std::vector<mx::array>& inputs) {
  auto shape = inputs[0].shape();
  shape.push_back(static_cast<int>(matrix_.columns));
  return {shape};
}

// ------------------------------------------------------------ Dequantize

void Dequantize::eval_cpu(const std::vector<mx::array>& inputs,
                          std::vector<mx::array>& outputs) {
  allocate(outputs[0]);
  enqueue(stream(),
          [weight = store(matrix_, inputs, 0, stream()),
           out = mx::array::unsafe_weak_copy(outputs[0])]() mutable {
            Matrix w = weight.at(0);
            if (out.size() == 0) {
              return;
            }
            w.rows = out.size() / w.columns;  // a stack lies like one matrix
            std::vector<size_t> rows(w.rows);
            std::iota(rows.begin(), rows.end(), size_t{0});
            decode_rows(w, rows, out.data<float>());
          });
}

std::vector<mx::Shape> Dequantize::output_shapes(
    const std::vector<mx::array>& inputs) {
  return {replace_last(inputs[0].shape(), matrix_.columns)};
}

}  // namespace assay::kernels
