#include "assay/nn/weight_slab.h"

#include <cstring>
#include <utility>

#include <mlx/allocator.h>
#include <mlx/device.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/core/platform.h"

namespace assay::nn {
namespace mx = mlx::core;
using mx::array;

namespace {

constexpr size_t kAlignment = 64;      // a cache line
constexpr size_t kWorthIt = 16 << 20;  // some large pages (2 MiB on x86)

}  // namespace

array fresh(mx::Shape shape, mx::Dtype dtype) {
  auto result = array(std::move(shape), dtype, nullptr, {});
  result.set_data(mx::allocator::malloc(result.nbytes()));
  result.set_status(array::Status::available);
  return result;
}

// On a GPU MLX's own allocator knows best.
WeightSlab::WeightSlab(size_t bytes) {
  size_t words = (bytes + 7) / 8;  // a dimension has 31 bits
  if (bytes < kWorthIt || mx::default_device() != mx::Device::cpu ||
      !std::in_range<mx::ShapeElem>(words)) {
    return;
  }
  memory_ = fresh({static_cast<mx::ShapeElem>(words)}, mx::uint64);
  platform::prefer_large_pages(memory_->data<uint8_t>(), bytes);
}

size_t WeightSlab::room(size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

bool WeightSlab::has_room(size_t bytes) const {
  return memory_ && room(bytes) <= memory_->nbytes() - used_;
}

array WeightSlab::take(mx::Shape shape, mx::Dtype dtype) {
  auto result = array(shape, dtype, nullptr, {});
  if (!has_room(result.nbytes())) {
    return fresh(std::move(shape), dtype);
  }
  bool vector = result.ndim() <= 1;
  result.copy_shared_buffer(
      *memory_,
      result.strides(),
      {.contiguous = true, .row_contiguous = true, .col_contiguous = vector},
      result.size(),
      static_cast<int64_t>(used_ / result.itemsize()));
  result.set_status(array::Status::available);
  used_ += room(result.nbytes());
  return result;
}

array WeightSlab::settle(const array& x) {
  if (!has_room(x.nbytes())) {
    return x;
  }
  auto from = mx::contiguous(x);
  mx::eval(from);
  auto result = take(x.shape(), x.dtype());
  std::memcpy(result.data<uint8_t>(), from.data<uint8_t>(), result.nbytes());
  return result;
}

}  // namespace assay::nn
