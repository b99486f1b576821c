#include <set>

#include <doctest/doctest.h>
#include <hwy/highway.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/kernels/simd.h"

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

namespace {

// Restores the choice of the processor's best set.
struct Targets {
  ~Targets() { force(0); }
  static void force(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};

}  // namespace

TEST_CASE("every instruction set of this processor gives the same") {
  const Targets restore;
  Targets::force(0);
  const int64_t all = hwy::SupportedTargets();
  std::set<std::string> seen;
  for (int64_t rest = all; rest != 0; rest &= rest - 1) {
    Targets::force(rest & -rest);
    if (!seen.insert(kernels().name).second) {
      continue;  // a set that was not compiled falls back to another
    }
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
          CHECK(product_error(linear(x, w), x, w) < kTolerance);
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
