#include "assay/core/dtype.h"

#include <limits>

#include <doctest/doctest.h>

#include "assay/core/shape.h"

using namespace assay;

TEST_CASE("names go both ways") {
  CHECK(dtype_from_name("Q4_K") == DType::q4_k);
  CHECK(name(DType::f8_e4m3) == "F8_E4M3");
  CHECK(!dtype_from_name("Q9_9"));
}

TEST_CASE("sizes count whole blocks only and never wrap") {
  CHECK(byte_size(DType::q4_0, 64) == 36);
  CHECK(!byte_size(DType::q4_0, 33));
  CHECK(!byte_size(DType::f64, std::numeric_limits<uint64_t>::max()));
}

TEST_CASE("element counts refuse what does not fit") {
  CHECK(element_count({}) == 1);
  CHECK(element_count({3, 0, 5}) == 0);
  CHECK(element_count({2, 3}) == 6);
  CHECK(!element_count({-1}));
  CHECK(!element_count({int64_t{1} << 40, int64_t{1} << 40}));
  CHECK(to_string(Shape{28672, 8192}) == "(28672, 8192)");
}
