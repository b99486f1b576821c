// Steps between stored tensors and parameters: on shapes, on arrays, and back.

#include "assay/nn/steps.h"

#include <doctest/doctest.h>
#include <mlx/mlx.h>

using namespace assay;
using namespace assay::nn;
namespace mx = mlx::core;

namespace {

mx::array numbers(mx::Shape shape) {
  int count = 1;
  for (int size : shape) {
    count *= size;
  }
  return mx::reshape(mx::arange(count), shape);
}

bool same(const mx::array& a, const mx::array& b) {
  return mx::array_equal(a, b).item<bool>();
}

}  // namespace

TEST_CASE("steps say the same of shapes as of arrays") {
  struct Case {
    std::vector<Step> steps;
    mx::Shape stored;
    Shape expected;
  };
  std::vector<Case> cases = {
      {{}, {4, 6}, {4, 6}},
      {{step::swap_last()}, {4, 6}, {6, 4}},
      {{step::slice(0, 1, 3)}, {4, 6}, {2, 6}},
      {{step::slice(1, 1, 6, 2)}, {4, 6}, {4, 3}},
      {{step::reshape({4, 6}, {2, 2, 6})}, {4, 6}, {2, 2, 6}},
      {{step::rope_rows(2)}, {8, 3}, {8, 3}},
      {{step::add(-1)}, {5}, {5}},
      {{step::stack(), step::swap_last()}, {4, 6}, {1, 6, 4}},
  };
  for (const auto& each : cases) {
    Shape stored(each.stored.begin(), each.stored.end());
    auto shape = apply_steps(each.steps, std::vector<Shape>{stored});
    REQUIRE(shape.has_value());
    CHECK(*shape == each.expected);
    auto array =
        apply_steps(each.steps, std::vector<mx::array>{numbers(each.stored)});
    CHECK(Shape(array.shape().begin(), array.shape().end()) == *shape);
  }
}

TEST_CASE("shapes that steps do not apply to are told") {
  auto none = [](std::vector<Step> steps, std::vector<Shape> stored) {
    CHECK_FALSE(apply_steps(steps, stored).has_value());
  };
  none({}, {});
  none({step::slice(0, 0, 5)}, {{4, 6}});
  none({step::slice(2, 0, 1)}, {{4, 6}});
  none({step::reshape({4, 6}, {24})}, {{6, 4}});
  none({step::swap_last()}, {{4}});
  none({step::rope_rows(3)}, {{8, 3}});
  none({step::stack()}, {{4, 6}, {4, 5}});
}

TEST_CASE("rope_rows puts rotation pairs that stand side by side into halves") {
  // Two heads of four rows: pairs (0, 1), (2, 3) of each.
  auto rows = mx::reshape(mx::array({0, 1, 2, 3, 4, 5, 6, 7}), {8, 1});
  auto halves = apply_steps({step::rope_rows(2)}, std::vector<mx::array>{rows});
  CHECK(same(mx::reshape(halves, {8}), mx::array({0, 2, 1, 3, 4, 6, 5, 7})));
}

TEST_CASE("steps can be undone") {
  auto value = numbers({8, 6});
  for (const auto& steps : std::vector<std::vector<Step>>{
           {},
           {step::swap_last()},
           {step::rope_rows(2)},
           {step::add(3)},
           {step::reshape({8, 6}, {2, 4, 6}), step::swap_last()}}) {
    Source source{{"w"}, steps};
    auto stored = std::vector<mx::array>{value};
    auto parameter = apply_steps(steps, stored);
    auto back = undo_steps({{&source, parameter}});
    REQUIRE(back.size() == 1);
    CHECK(back[0].first == "w");
    CHECK(same(back[0].second, value));
  }
}

TEST_CASE("slices of one tensor are put together, and must cover it") {
  auto value = numbers({6, 4});
  Source even{{"w"}, {step::slice(0, 0, 6, 2)}};
  Source odd{{"w"}, {step::slice(0, 1, 6, 2)}};
  auto stored = std::vector<mx::array>{value};
  std::vector<Share> shares = {{&even, apply_steps(even.steps, stored)},
                               {&odd, apply_steps(odd.steps, stored)}};
  auto back = undo_steps(shares);
  REQUIRE(back.size() == 1);
  CHECK(same(back[0].second, value));
  shares.pop_back();
  CHECK_THROWS_AS(undo_steps(shares), std::invalid_argument);
}

TEST_CASE("a stack falls apart into its tensors") {
  Source source{{"a", "b"}, {step::stack()}};
  auto stored = std::vector<mx::array>{numbers({2, 3}), numbers({2, 3}) * 2};
  auto back = undo_steps({{&source, apply_steps(source.steps, stored)}});
  REQUIRE(back.size() == 2);
  CHECK(back[0].first == "a");
  CHECK(same(back[0].second, stored[0]));
  CHECK(back[1].first == "b");
  CHECK(same(back[1].second, stored[1]));
}

TEST_CASE("packed rows survive only steps that leave the last axis alone") {
  CHECK(keeps_rows({}, 2));
  CHECK(keeps_rows({step::rope_rows(2)}, 2));
  CHECK(keeps_rows({step::slice(0, 0, 2)}, 2));
  CHECK(keeps_rows({step::stack()}, 2));
  CHECK_FALSE(keeps_rows({step::slice(1, 0, 2)}, 2));
  CHECK_FALSE(keeps_rows({step::swap_last()}, 2));
  CHECK_FALSE(keeps_rows({step::add(1)}, 2));
  CHECK_FALSE(keeps_rows({step::rope_rows(2)}, 1));
}
