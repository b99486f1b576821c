#pragma once

// A parameter of a model: what it is called in each format, what shape and
// role it has, and, once loaded, its value. Everything but the forward pass is
// a walk over these records; no other place names a tensor or a shape.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "assay/core/shape.h"
#include "assay/kernels/linear.h"

namespace assay::nn {

enum class Role {
  embedding,
  attention,
  mlp,
  expert,
  router,
  norm,
  head,
  other,
};

std::string_view name(Role role);

/** One step from stored tensors to a parameter; every step can be undone, so
 * the same record serves reading and exporting. */
struct Step {
  enum class Kind {
    stack,      ///< several tensors become one, along a new first axis
    slice,      ///< [start, stop) by `stride` on `axis`
    reshape,    ///< `from` to `to`
    swap_last,  ///< exchanges the last two axes
    rope_rows,  ///< rows of `count` heads: interleaved to split halves
    add,        ///< adds `value`
  };
  Kind kind;
  int axis = 0;
  int64_t start = 0, stop = 0, stride = 1;
  int count = 0;
  float value = 0;
  Shape from = {}, to = {};
};

namespace step {
Step stack();
Step slice(int axis, int64_t start, int64_t stop, int64_t stride = 1);
Step reshape(Shape from, Shape to);
Step swap_last();
/** llama.cpp stores the rows of q and k so that rotation pairs stand side by
 * side; this puts them back to two halves per head. */
Step rope_rows(int heads);
Step add(float value);
}  // namespace step

/** How the bytes of a source are to be read before the steps. */
enum class Encoding {
  values,        ///< each tensor stands for its values
  mxfp4_blocks,  ///< names = {blocks [..., n, 16] u8, scales [..., n] u8}
};

/** Where a parameter comes from in one format. */
struct Source {
  std::vector<std::string> names;  ///< relative to the owner's prefix
  std::vector<Step> steps = {};
  Encoding encoding = Encoding::values;
};

struct Parameter {
  Shape shape;
  Role role = Role::other;
  /** May be stored quantized: its last axis is summed over by a product. */
  bool quantizable = false;
  /** May be absent in files. */
  bool optional = false;
  /** Ways to get it where the name alone is not enough; empty: by name. */
  std::vector<Source> hf_sources = {};
  std::vector<Source> gguf_sources = {};
  /** Full name, set when the tree is complete (Module::finish). */
  std::string name = {};
  /** The loaded value; shared by nobody. */
  std::optional<kernels::Weight> value = {};

  /** The plain array. Precondition: loaded, not quantized. */
  const mlx::core::array& operator()() const { return value->data; }
};

/** A parameter as the walks see it: names are whole. */
struct ParameterSpec {
  std::string name;  ///< in MLX's layout, as mlx-lm names it
  Parameter* parameter = nullptr;
  std::vector<Source> hf;    ///< alternatives, best first
  std::vector<Source> gguf;  ///< alternatives, best first

  const Shape& shape() const { return parameter->shape; }
  Role role() const { return parameter->role; }
  bool quantizable() const { return parameter->quantizable; }
  bool optional() const { return parameter->optional; }
};

}  // namespace assay::nn
