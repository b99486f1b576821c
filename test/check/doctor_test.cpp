#include "assay/check/doctor.h"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "assay/core/catalogue.h"

using namespace assay;

TEST_CASE("doctor says what MLX runs on here") {
  auto report = doctor();
  CHECK(report.mlx_version.starts_with("0."));
  REQUIRE(report.backends.size() == 3);
  CHECK(report.backends[0].name == "CPU");
  CHECK(report.backends[0].available);
  CHECK(report.threads >= 1);
  CHECK(report.memory_used >= 0);
  CHECK(report.memory_used <= 1);
  CHECK(report.uses_gpu == (report.default_device != "CPU"));
  CHECK(!report.simd.empty());
}

TEST_CASE("the build links a fast BLAS ahead of the reference one") {
  auto report = doctor();
  CAPTURE(report.blas_file);
#if defined(__APPLE__)
  CHECK(report.blas == "Accelerate");
#else
  CHECK(report.blas == "OpenBLAS");
#endif
  for (const auto& finding : report.findings) {
    CHECK(finding.id != "doctor.reference-blas");
  }
}

TEST_CASE("speeds are measured, with their spread") {
  auto report = doctor();
  REQUIRE(report.measurements.size() == 2);
  for (const auto& one : report.measurements) {
    MESSAGE(one.what << ": " << one.value << " " << one.unit);
    CHECK(one.value > 0.1);
    CHECK(one.spread >= 0);
  }
  CHECK(to_json(report)["measurements"].size() == 2);
}
