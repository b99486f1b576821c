#include "assay/nn/steps.h"

#include <algorithm>
#include <stdexcept>

#include <mlx/ops.h>

namespace assay::nn {
namespace mx = mlx::core;
using mx::array;

namespace {

using Kind = Step::Kind;

// The last axis of packed rows is shorter than the step says; it keeps what it
// has.
mx::Shape with_last(const Shape& shape, int last) {
  auto result = mx::Shape(shape.begin(), shape.end());
  result.back() = last;
  return result;
}

array rows_by_head(const array& x, int heads, bool to_halves) {
  int pairs = x.shape(0) / heads / 2;
  auto split = x.shape();
  split.erase(split.begin());
  auto middle =
      to_halves ? mx::Shape{heads, pairs, 2} : mx::Shape{heads, 2, pairs};
  split.insert(split.begin(), middle.begin(), middle.end());
  return mx::reshape(mx::swapaxes(mx::reshape(x, split), 1, 2), x.shape());
}

array slice_axis(const array& x, const Step& step) {
  auto start = mx::Shape(x.ndim(), 0);
  auto stop = x.shape();
  auto strides = mx::Shape(x.ndim(), 1);
  auto axis = static_cast<size_t>(step.axis);
  start[axis] = static_cast<int>(step.start);
  stop[axis] = static_cast<int>(step.stop);
  strides[axis] = static_cast<int>(step.stride);
  return mx::slice(x, start, stop, strides);
}

array apply_one(const Step& step, const array& x) {
  switch (step.kind) {
    case Kind::slice:
      return slice_axis(x, step);
    case Kind::reshape:
      return mx::reshape(
          x,
          step.from.back() == step.to.back()
              ? with_last(step.to, x.shape(-1))
              : with_last(step.to, static_cast<int>(step.to.back())));
    case Kind::swap_last:
      return mx::swapaxes(x, -1, -2);
    case Kind::rope_rows:
      return rows_by_head(x, step.count, true);
    case Kind::add:
      return x + array(step.value, x.dtype());
    case Kind::stack:
      break;
  }
  throw std::logic_error("a stack stands first");
}

array undo_one(const Step& step, const array& x) {
  switch (step.kind) {
    case Kind::reshape:
      return mx::reshape(x, mx::Shape(step.from.begin(), step.from.end()));
    case Kind::swap_last:
      return mx::swapaxes(x, -1, -2);
    case Kind::rope_rows:
      return rows_by_head(x, step.count, false);
    case Kind::add:
      return x - array(step.value, x.dtype());
    case Kind::slice:
    case Kind::stack:
      break;
  }
  throw std::logic_error("slices and stacks are undone together");
}

std::optional<Shape> shape_after(const Step& step, Shape shape) {
  auto axis = static_cast<size_t>(step.axis);
  switch (step.kind) {
    case Kind::slice:
      if (axis >= shape.size() || step.stop > shape[axis]) {
        return std::nullopt;
      }
      shape[axis] = (step.stop - step.start + step.stride - 1) / step.stride;
      return shape;
    case Kind::reshape:
      return shape == step.from ? std::optional(step.to) : std::nullopt;
    case Kind::swap_last:
      if (shape.size() < 2) {
        return std::nullopt;
      }
      std::swap(shape[shape.size() - 1], shape[shape.size() - 2]);
      return shape;
    case Kind::rope_rows:
      if (shape.empty() || shape[0] % (2 * step.count) != 0) {
        return std::nullopt;
      }
      return shape;
    case Kind::add:
      return shape;
    case Kind::stack:
      break;
  }
  return std::nullopt;
}

size_t position_of_slice(const std::vector<Step>& steps) {
  auto slice = std::ranges::find(steps, Kind::slice, &Step::kind);
  return static_cast<size_t>(slice - steps.begin());
}

// Puts the slices of one array together again.
array assemble(const std::vector<Share>& shares, size_t position) {
  std::vector<array> pieces;
  int64_t length = 0;
  int64_t covered = 0;
  for (const auto& share : shares) {
    const auto& steps = share.source->steps;
    auto piece = share.value;
    for (size_t i = steps.size(); i-- > position + 1;) {
      piece = undo_one(steps[i], piece);
    }
    pieces.push_back(piece);
    length = std::max(length, steps[position].stop);
    covered += piece.shape(steps[position].axis);
  }
  if (covered != length) {
    throw std::invalid_argument("the parameters do not cover the tensor '" +
                                shares.front().source->names.front() + "'");
  }
  auto whole_shape = pieces.front().shape();
  const auto& first = shares.front().source->steps[position];
  whole_shape[static_cast<size_t>(first.axis)] = static_cast<int>(length);
  auto whole = mx::zeros(whole_shape, pieces.front().dtype());
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto& step = shares[i].source->steps[position];
    auto start = mx::Shape(whole.ndim(), 0);
    auto stop = whole_shape;
    auto strides = mx::Shape(whole.ndim(), 1);
    auto axis = static_cast<size_t>(step.axis);
    start[axis] = static_cast<int>(step.start);
    stop[axis] = static_cast<int>(step.stop);
    strides[axis] = static_cast<int>(step.stride);
    whole = mx::slice_update(whole, pieces[i], start, stop, strides);
  }
  return whole;
}

}  // namespace

std::optional<Shape> apply_steps(const std::vector<Step>& steps,
                                 const std::vector<Shape>& stored) {
  if (stored.empty()) {
    return std::nullopt;
  }
  auto shape = stored.front();
  for (const auto& step : steps) {
    if (step.kind == Kind::stack) {
      bool alike = std::ranges::all_of(
          stored, [&](const Shape& other) { return other == shape; });
      if (!alike) {
        return std::nullopt;
      }
      shape.insert(shape.begin(), static_cast<int64_t>(stored.size()));
      continue;
    }
    auto after = shape_after(step, std::move(shape));
    if (!after) {
      return std::nullopt;
    }
    shape = std::move(*after);
  }
  return shape;
}

mx::array apply_steps(const std::vector<Step>& steps,
                      const std::vector<mx::array>& stored) {
  auto x = stored.front();
  for (const auto& step : steps) {
    x = step.kind == Kind::stack ? mx::stack(stored, 0) : apply_one(step, x);
  }
  return x;
}

bool keeps_rows(const std::vector<Step>& steps, size_t dims) {
  for (const auto& step : steps) {
    bool kept = true;
    switch (step.kind) {
      case Kind::stack:
        ++dims;
        break;
      case Kind::slice:
        kept = static_cast<size_t>(step.axis) + 1 < dims;
        break;
      case Kind::reshape:
        kept = step.from.back() == step.to.back();
        dims = step.to.size();
        break;
      case Kind::rope_rows:
        kept = dims > 1;
        break;
      case Kind::swap_last:
      case Kind::add:
        kept = false;
        break;
    }
    if (!kept) {
      return false;
    }
  }
  return true;
}

std::vector<std::pair<std::string, mx::array>> undo_steps(
    const std::vector<Share>& shares) {
  const auto& source = *shares.front().source;
  auto position = position_of_slice(source.steps);
  bool sliced = position < source.steps.size();
  auto x = sliced ? assemble(shares, position) : shares.front().value;
  auto rest = sliced ? position : source.steps.size();
  bool stacked = false;
  for (size_t i = rest; i-- > 0;) {
    if (source.steps[i].kind == Kind::stack) {
      stacked = true;
    } else {
      x = undo_one(source.steps[i], x);
    }
  }
  std::vector<std::pair<std::string, mx::array>> tensors;
  if (!stacked) {
    tensors.emplace_back(source.names.front(), x);
    return tensors;
  }
  auto parts = mx::split(x, static_cast<int>(source.names.size()), 0);
  for (size_t i = 0; i < parts.size(); ++i) {
    tensors.emplace_back(source.names[i], mx::squeeze(parts[i], 0));
  }
  return tensors;
}

}  // namespace assay::nn
