#include "assay/nn/weight_slab.h"

#include <cstdint>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

using namespace assay::nn;
namespace mx = mlx::core;

namespace {

uintptr_t address(mx::array& x) {
  return reinterpret_cast<uintptr_t>(x.data<uint8_t>());
}

}  // namespace

TEST_CASE("weights of a slab lie behind each other, on lines of their own") {
  WeightSlab slab(32 << 20);
  auto first = slab.take({3, 5}, mx::uint32);
  auto second = slab.take({7}, mx::float16);
  CHECK(address(second) - address(first) == WeightSlab::room(3 * 5 * 4));
  for (int i = 0; i < 15; ++i) {
    first.data<uint32_t>()[i] = static_cast<uint32_t>(i);
  }
  CHECK(first.flags().row_contiguous);
  CHECK(mx::sum(first * mx::array(2u)).item<uint32_t>() == 210);
  CHECK(mx::sum(mx::transpose(first), 0).shape() == mx::Shape{3});
}

TEST_CASE("what is settled has the values it had, in rows") {
  WeightSlab slab(32 << 20);
  auto turned = mx::transpose(mx::reshape(mx::arange(12), {3, 4}));
  auto settled = slab.settle(turned);
  CHECK(settled.flags().row_contiguous);
  CHECK(mx::array_equal(settled, turned).item<bool>());
}

TEST_CASE(
    "a full slab, and one not worth its memory, gives arrays by themselves") {
  WeightSlab full(16 << 20);
  auto all = full.take({16 << 20}, mx::uint8);
  auto more = full.take({4}, mx::uint8);
  CHECK((address(more) < address(all) ||
         address(more) >= address(all) + (16 << 20)));
  WeightSlab small(1024);
  auto one = small.take({4}, mx::uint32);
  CHECK(one.data_shared_ptr().use_count() == 1);
}

TEST_CASE("a copy from before gives back what was taken since") {
  WeightSlab slab(32 << 20);
  auto before = slab;
  auto first = slab.take({64}, mx::uint8);
  slab = before;
  auto again = slab.take({64}, mx::uint8);
  CHECK(address(first) == address(again));
}
