#pragma once

// Nodes of MLX's graph that compute on the CPU what MLX makes of many.

#include <functional>
#include <memory>
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

namespace assay::kernels {

using Arrays = std::vector<mlx::core::array>;

/** A node with one float32 output, whose gradients are those of `fallback`.
 * Work is a struct with `void operator()(const Arrays& inputs,
 * mlx::core::array& out) const`, which runs on the stream's thread. */
template <class Work>
class Fused : public mlx::core::Primitive {
 public:
  Fused(mlx::core::Stream stream,
        std::function<Arrays(Arrays)> fallback,
        const char* name,
        mlx::core::Shape shape,
        Work work)
      : Primitive(stream),
        fallback_(std::move(fallback)),
        name_(name),
        shape_(std::move(shape)),
        work_(std::move(work)) {}

  const char* name() const override { return name_; }
  void eval_gpu(const Arrays&, Arrays&) override {
    throw std::runtime_error(std::string(name_) +
                             " has no GPU implementation.");
  }
  void eval_cpu(const Arrays& inputs, Arrays& outputs) override {
    outputs[0].set_data(mlx::core::allocator::malloc(outputs[0].nbytes()));
    Arrays weak;
    for (const auto& input : inputs) {
      weak.push_back(mlx::core::array::unsafe_weak_copy(input));
    }
    mlx::core::scheduler::enqueue(
        stream(),
        [work = work_,
         weak = std::move(weak),
         out = mlx::core::array::unsafe_weak_copy(outputs[0])]() mutable {
          if (out.size() > 0) {
            work(weak, out);
          }
        });
  }
  std::vector<mlx::core::Shape> output_shapes(const Arrays&) override {
    return {shape_};
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
  mlx::core::Shape shape_;
  Work work_;
};

/** The node's output, of `shape`. */
template <class Work>
mlx::core::array fuse(const char* name,
                      Arrays inputs,
                      mlx::core::Shape shape,
                      std::function<Arrays(Arrays)> fallback,
                      Work work) {
  auto primitive = std::make_shared<Fused<Work>>(
      mlx::core::default_stream(mlx::core::default_device()),
      std::move(fallback),
      name,
      shape,
      std::move(work));
  return mlx::core::array(std::move(shape),
                          mlx::core::float32,
                          std::move(primitive),
                          std::move(inputs));
}

}  // namespace assay::kernels
