#include <set>
#include <string>

#include <doctest/doctest.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>

#include "assay/kernels/simd.h"

#include "reference.h"

namespace mx = mlx::core;
using namespace assay::kernels;
using namespace assay::kernels::test;

namespace {

// Restores the choice of the processor's best set.
struct BestKernels {
  ~BestKernels() { use_kernels(*available_kernels().front()); }
};

}  // namespace

TEST_CASE("every instruction set of this processor gives the same") {
  const BestKernels restore;
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
