#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/kernels/simd.h"

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

TEST_CASE("every instruction set of this processor gives the same") {
  const BestTarget restore;
  std::set<std::string> seen;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CHECK(seen.insert(kernels().name).second);
    CAPTURE(kernels().name);
    for (const auto& format : all_formats()) {
      CAPTURE(format.name);
      const int step = format.mode.empty() ? 3 : format.group;
      for (int groups : {1, 3, 6}) {
        const int width = step * groups;
        const auto w = make_weight(format, {21, width}, groups);
        for (int rows : {1, 2, 3, 4, 5, 6, 13}) {
          CAPTURE(width);
          CAPTURE(rows);
          const auto x = random({rows, width}, rows);
          for (auto activations :
               {Activations::int16, Activations::int8, Activations::float32}) {
            const ActivationsChoice choice(activations);
            CHECK(product_error(linear(x, w), x, w) < kTolerance);
          }
        }
        CHECK(mx::allclose(dequantize(w),
                           mx::transpose(linear(mx::eye(width), w)),
                           1e-5,
                           1e-5)
                  .item<bool>());
      }
    }
  }
  MESSAGE("instruction sets: ", seen.size());
  CHECK(seen.size() >= 1);
}

TEST_CASE("many rows of activations, in every set") {
  const BestTarget restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (const auto& format : all_formats()) {
      CAPTURE(format.name);
      const int step = format.mode.empty() ? 3 : format.group;
      // Strips of weight rows, single vectors of them and parts of one.
      for (int out : {3, 64, 77, 150}) {
        const auto w = make_weight(format, {out, 3 * step}, out);
        for (int rows : {31, 32, 45}) {
          CAPTURE(out);
          CAPTURE(rows);
          const auto x = random({rows, 3 * step}, rows);
          CHECK(product_error(linear(x, w), x, w) < kTolerance);
        }
      }
    }
    // More columns than are taken at a time, and than a panel has room for.
    const auto wide = make_weight({"", "", 0, 16, mx::bfloat16}, {5, 9001}, 1);
    const auto x = random({40, 9001}, 2);
    CHECK(product_error(linear(x, wide), x, wide) < kTolerance);
    for (int bits : {4, 8}) {
      CAPTURE(bits);
      for (int group : {32, 128}) {
        const auto w = make_weight(
            {"", "affine", group, bits, mx::float16}, {700, 7 * group}, bits);
        const auto some = random({9, 7 * group}, group);
        CHECK(product_error(linear(some, w), some, w) < kTolerance);
      }
    }
  }
}

TEST_CASE("what is no number does not become one, and stays in its row") {
  const BestTarget restore;
  const auto w = make_weight({"", "affine", 32, 4, mx::float32}, {20, 64}, 1);
  auto symmetric = w;
  symmetric.biases = *w.scales * mx::array(-8.0f);
  symmetric.symmetric = true;
  constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (const auto& weight : {w, symmetric}) {
      CAPTURE(weight.symmetric);
      for (int rows : {1, 9, 40}) {
        CAPTURE(rows);
        for (float none : {kNone, kInfinity, -kInfinity}) {
          const auto x = random({rows, 64}, rows);
          const auto spoiled = mx::slice_update(
              x, mx::array({none}, {1, 1}), mx::Shape{0, 40}, mx::Shape{1, 41});
          const auto clean = values(linear(x, weight));
          const auto y = values(linear(spoiled, weight));
          for (size_t i = 0; i < y.size(); ++i) {
            CHECK((i < 20 ? !std::isfinite(y[i]) : y[i] == clean[i]));
          }
        }
      }
    }
  }
}

TEST_CASE("the SiLU gate of every set is the formula's to the last bits") {
  const BestTarget restore;
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> gate = {0.0f,
                             -0.0f,
                             1e-30f,
                             -1e-30f,
                             88.8f,
                             -88.8f,
                             104.0f,
                             -104.0f,
                             kInfinity,
                             -2e38f,
                             2e38f,
                             std::nanf("")};
  for (int i = -20000; i <= 20000; ++i) {
    gate.push_back(static_cast<float>(i) * 0.005f);
  }
  const std::vector<float> up(gate.size(), 1.5f);
  for (const auto* set : available_kernels()) {
    CAPTURE(set->name);
    for (size_t count : {gate.size(), size_t{1}, size_t{7}}) {
      auto out = gate;  // in its place
      set->silu_gate(out.data(), up.data(), count, out.data());
      size_t wrong = 0;
      for (size_t i = 0; i < count; ++i) {
        const double g = gate[i];
        const double expected = g / (1 + std::exp(-g)) * 1.5;
        constexpr double kLeast = 1e-35;  // where exp(-g) is no float any more
        const bool near = std::abs(out[i] - expected) <=
                          std::max(3e-7 * std::abs(expected), kLeast);
        wrong += near || (std::isnan(expected) && std::isnan(out[i])) ||
                         out[i] == expected
                     ? 0
                     : 1;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("integer activations give what float32 sums give, in every set") {
  const BestTarget restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (int bits : {2, 4, 8}) {
      CAPTURE(bits);
      const auto w =
          make_weight({"", "affine", 32, bits, mx::float16}, {64, 1536}, bits);
      for (int rows : {1, 7}) {
        const auto x = random({rows, 1536}, bits);
        auto y = linear(x, w);
        y.eval();
        // Held to the bound of float32, not to that of integers.
        const ActivationsChoice exact(Activations::float32);
        CHECK(product_error(y, x, w) < 1e-5);
        const bool integers =
            rows == 1 ? kernels().lanes > 1
                      : kernels().integer_tile != nullptr && bits > 2;
        CHECK((values(y) != values(linear(x, w))) == integers);
      }
    }
  }
}

TEST_CASE("groups of integer activations are scaled by themselves") {
  const BestTarget restore;
  const auto w = make_weight({"", "affine", 32, 4, mx::float32}, {5, 128}, 1);
  auto scaled = [&](float first, float last, int rows) {
    return mx::concatenate({random({rows, 32}, 2) * mx::array(first),
                            mx::zeros({rows, 32}),
                            random({rows, 64}, 3) * mx::array(last)},
                           1);
  };
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    for (auto [first, last] : {std::pair(1e6f, 1e-6f),
                               std::pair(1e-30f, 1e30f),
                               std::pair(1e-33f, 1e-33f),
                               std::pair(0.0f, 0.0f)}) {
      CAPTURE(first);
      for (int rows : {1, 7}) {
        const auto x = scaled(first, last, rows);
        for (auto activations : {Activations::int16, Activations::int8}) {
          const ActivationsChoice choice(activations);
          CHECK(product_error(linear(x, w), x, w) < kTolerance);
        }
      }
    }
  }
}

TEST_CASE("scales of every type and group meet the rows of a weight") {
  const BestTarget restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (auto type : {mx::float32, mx::float16, mx::bfloat16}) {
      for (int group : {32, 64, 128}) {
        CAPTURE(group);
        for (int groups : {1, 2, 3, 5, 8, 9, 18}) {
          CAPTURE(groups);
          const int width = group * groups;
          const auto w = make_weight(
              {"", "affine", group, 4, type}, {23, width}, group + groups);
          const auto x = random({1, width}, groups);
          for (auto activations : {Activations::int16, Activations::int8}) {
            const ActivationsChoice choice(activations);
            CHECK(product_error(linear(x, w), x, w) < kTolerance);
          }
        }
      }
    }
  }
}

TEST_CASE("symmetric weights meet rows as their biases say") {
  const BestTarget restore;
  for (const auto* set : available_kernels()) {
    use_kernels(*set);
    CAPTURE(kernels().name);
    for (int bits : {2, 4, 5, 8}) {
      CAPTURE(bits);
      for (auto type : {mx::float32, mx::float16}) {
        for (int groups : {1, 2, 7, 8, 19}) {
          CAPTURE(groups);
          auto w = make_weight(
              {"", "affine", 32, bits, type}, {23, 32 * groups}, groups);
          const int middle = 1 << (bits - 1);
          w.biases = *w.scales * mx::array(-middle, type);
          w.symmetric = true;
          for (int rows : {1, 8}) {
            const auto x = random({rows, 32 * groups}, bits);
            for (auto activations : {Activations::int16,
                                     Activations::int8,
                                     Activations::float32}) {
              const ActivationsChoice choice(activations);
              CHECK(product_error(linear(x, w), x, w) < kTolerance);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("activations of 8 bits err by what their steps explain") {
  const auto w = make_weight({"", "affine", 32, 4, mx::float16}, {64, 1536}, 1);
  const auto x = random({1, 1536}, 2);
  auto as = [&](Activations activations) {
    const ActivationsChoice choice(activations);
    auto y = linear(x, w);
    y.eval();
    return y;
  };
  const auto exact = as(Activations::float32);
  auto error = [&](Activations activations) {
    return (mx::sqrt(mx::mean(mx::square(as(activations) - exact))) /
            mx::sqrt(mx::mean(mx::square(exact))))
        .item<float>();
  };
  CHECK(error(Activations::int16) < 1e-4f);
  CHECK(error(Activations::int8) < 1e-2f);
}
