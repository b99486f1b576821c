#pragma once

// Nodes of MLX's graph that compute on the CPU what MLX makes of many.

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <mlx/allocator.h>
#include <mlx/array.h>
#include <mlx/device.h>
#include <mlx/ops.h>
#include <mlx/primitives.h>
#include <mlx/scheduler.h>
#include <mlx/stream.h>
#include <mlx/transforms.h>

#include "assay/kernels/strided.h"

namespace assay::kernels {

using Arrays = std::vector<mlx::core::array>;

/** An output that is one of the inputs with other values here and there. */
struct Update {
  size_t input = 0;
  /// Nobody reads, now or later, what is written over: the memory is the
  /// input's, whoever else holds it. Otherwise it is the input's where that is
  /// held by nothing else, as MLX's own operations do it, or a copy.
  bool unread = false;
};

/** A node whose gradients are those of `fallback`. Work is a struct with
 * `void operator()(const Arrays& inputs, Arrays& outputs) const`, which runs on
 * the stream's thread, or takes the only output. It may have
 * `std::optional<Update> update(size_t output) const`. */
template <class Work>
class Fused : public mlx::core::Primitive {
 public:
  Fused(mlx::core::Stream stream,
        std::function<Arrays(Arrays)> fallback,
        const char* name,
        std::vector<mlx::core::Shape> shapes,
        std::shared_ptr<const Work> work)
      : Primitive(stream),
        fallback_(std::move(fallback)),
        name_(name),
        shapes_(std::move(shapes)),
        work_(std::move(work)) {}

  const char* name() const override { return name_; }
  void eval_gpu(const Arrays&, Arrays&) override {
    throw std::runtime_error(std::string(name_) +
                             " has no GPU implementation.");
  }
  void eval_cpu(const Arrays& inputs, Arrays& outputs) override {
    Arrays out;
    out.reserve(outputs.size());
    for (size_t i = 0; i < outputs.size(); ++i) {
      allocate(i, inputs, outputs[i]);
      out.push_back(mlx::core::array::unsafe_weak_copy(outputs[i]));
    }
    // Inputs are kept, not copied weakly: that costs several allocations each,
    // which another thread gives back, and MLX keeps their memory as long.
    mlx::core::scheduler::enqueue(
        stream(), [work = work_, inputs, out = std::move(out)]() mutable {
          if (out[0].size() == 0) {
            return;
          }
          if constexpr (requires { (*work)(inputs, out); }) {
            (*work)(inputs, out);
          } else {
            (*work)(inputs, out[0]);
          }
        });
  }
  std::vector<mlx::core::Shape> output_shapes(const Arrays&) override {
    return shapes_;
  }

  Arrays vjp(const Arrays& primals,
             const Arrays& cotangents,
             const std::vector<int>& argnums,
             const Arrays&) override {
    auto [f, at] = part(primals, argnums);
    return mlx::core::vjp(f, at, cotangents).second;
  }
  Arrays jvp(const Arrays& primals,
             const Arrays& tangents,
             const std::vector<int>& argnums) override {
    auto [f, at] = part(primals, argnums);
    return mlx::core::jvp(f, at, tangents).second;
  }

 private:
  void allocate(size_t i, const Arrays& inputs, mlx::core::array& output) {
    if constexpr (requires { work_->update(i); }) {
      if (const auto update = work_->update(i)) {
        const auto& from = inputs[update->input];
        const bool whole =
            from.flags().row_contiguous && from.data_size() == from.size();
        if (whole && (update->unread || from.is_donatable())) {
          output.copy_shared_buffer(from);
          return;
        }
        output.set_data(mlx::core::allocator::malloc(output.nbytes()));
        mlx::core::scheduler::enqueue(
            stream(),
            [from = mlx::core::array::unsafe_weak_copy(from),
             to = mlx::core::array::unsafe_weak_copy(output)]() mutable {
              copy_row_major(from, to.data<char>());
            });
        return;
      }
    }
    output.set_data(mlx::core::allocator::malloc(output.nbytes()));
  }

  // The fallback as a function of some inputs; others may be no numbers.
  std::pair<std::function<Arrays(Arrays)>, Arrays> part(
      const Arrays& primals, const std::vector<int>& argnums) const {
    Arrays at;
    for (int i : argnums) {
      at.push_back(primals[static_cast<size_t>(i)]);
    }
    auto f = [fallback = fallback_, primals, argnums](const Arrays& some) {
      Arrays all = primals;
      for (size_t i = 0; i < argnums.size(); ++i) {
        all[static_cast<size_t>(argnums[i])] = some[i];
      }
      return fallback(all);
    };
    return {f, at};
  }

  std::function<Arrays(Arrays)> fallback_;
  const char* name_;
  std::vector<mlx::core::Shape> shapes_;
  std::shared_ptr<const Work> work_;
};

/** The work of a node, which several nodes may share. */
template <class Work>
std::shared_ptr<const Work> shared(Work work) {
  return std::make_shared<const Work>(std::move(work));
}
template <class Work>
std::shared_ptr<const Work> shared(std::shared_ptr<const Work> work) {
  return work;
}

template <class Work>
std::shared_ptr<Fused<Work>> make_fused(const char* name,
                                        std::vector<mlx::core::Shape> shapes,
                                        std::function<Arrays(Arrays)> fallback,
                                        std::shared_ptr<const Work> work) {
  return std::make_shared<Fused<Work>>(
      mlx::core::default_stream(mlx::core::default_device()),
      std::move(fallback),
      name,
      std::move(shapes),
      std::move(work));
}

/** The node's outputs, of `shapes` and `types`. `work` may be shared. */
template <class Work>
Arrays fuse_all(const char* name,
                const Arrays& inputs,
                const std::vector<mlx::core::Shape>& shapes,
                const std::vector<mlx::core::Dtype>& types,
                std::function<Arrays(Arrays)> fallback,
                Work work) {
  return mlx::core::array::make_arrays(
      shapes,
      types,
      make_fused(name, shapes, std::move(fallback), shared(std::move(work))),
      inputs);
}

/** The node's only output, of `shape`, float32. `work` may be shared. */
template <class Work>
mlx::core::array fuse(const char* name,
                      Arrays inputs,
                      mlx::core::Shape shape,
                      std::function<Arrays(Arrays)> fallback,
                      Work work) {
  auto primitive =
      make_fused(name, {shape}, std::move(fallback), shared(std::move(work)));
  return mlx::core::array(std::move(shape),
                          mlx::core::float32,
                          std::move(primitive),
                          std::move(inputs));
}

}  // namespace assay::kernels
