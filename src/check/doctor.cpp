#include "assay/check/doctor.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>

#include <fmt/format.h>
#include <mlx/backend/cuda/cuda.h>
#include <mlx/backend/metal/metal.h>
#include <mlx/device.h>
#include <mlx/ops.h>
#include <mlx/random.h>
#include <mlx/transforms.h>
#include <mlx/version.h>
#include <nlohmann/json.hpp>

#include "assay/core/finding_json.h"
#include "assay/kernels/blas.h"
#include "assay/kernels/linear.h"
#include "assay/kernels/pool.h"
#include "assay/kernels/simd.h"

namespace assay {
namespace mx = mlx::core;

namespace {

constexpr int kRuns = 5;
constexpr int kSide = 512;                  // of the matrices of sgemm
constexpr size_t kProbeFloats = 16u << 20;  // of the memory that is read
constexpr double kLittleMemory = 0.15;      // share of RAM that is free

uint64_t property(
    const std::unordered_map<std::string, std::variant<std::string, size_t>>&
        properties,
    const char* key) {
  auto entry = properties.find(key);
  const auto* value =
      entry == properties.end() ? nullptr : std::get_if<size_t>(&entry->second);
  return value == nullptr ? 0 : *value;
}

Backend gpu_backend(const char* name, bool available) {
  Backend backend{name, available, "", 0, 0};
  if (!available) {
    return backend;
  }
  const auto& properties = mx::device_info(mx::Device::gpu);
  auto device = properties.find("device_name");
  if (device != properties.end() &&
      std::holds_alternative<std::string>(device->second)) {
    backend.device = std::get<std::string>(device->second);
  }
  backend.memory = std::max(property(properties, "total_memory"),
                            property(properties, "memory_size"));
  backend.working_set =
      property(properties, "max_recommended_working_set_size");
  return backend;
}

void find_backends(DoctorReport& report) {
  report.mlx_version = mx::version();
  report.backends = {
      {"CPU", true, report.machine.processor, report.machine.memory, 0},
      gpu_backend("Metal", mx::metal::is_available()),
      gpu_backend("CUDA", mx::cu::is_available())};
  report.uses_gpu = mx::default_device() == mx::Device::gpu;
  report.default_device = "CPU";
  for (const auto& backend : report.backends) {
    if (report.uses_gpu && backend.available && backend.name != "CPU") {
      report.default_device = backend.name;
    }
  }
}

void find_blas(DoctorReport& report) {
  report.blas_file = kernels::blas_library().string();
  auto name = report.blas_file;
  std::ranges::transform(name, name.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  auto has = [&](const char* part) {
    return name.find(part) != std::string::npos;
  };
  if (name.empty()) {
    report.blas = "unknown";
  } else if (has("openblas")) {
    report.blas = "OpenBLAS";
  } else if (has("accelerate") || has("veclib")) {
    report.blas = "Accelerate";
  } else if (has("mkl")) {
    report.blas = "MKL";
  } else if (has("blis")) {
    report.blas = "BLIS";
  } else {
    report.blas = "reference";
  }
}

/** Units a second of the runs of `work`: median, and half the range of the
 * middle half. */
Measurement rate(const char* what,
                 const char* unit,
                 double units,
                 const std::function<void()>& work) {
  work();  // loads code, fills caches
  std::array<double, kRuns> rates{};
  for (auto& one : rates) {
    auto start = std::chrono::steady_clock::now();
    work();
    std::chrono::duration<double> spent =
        std::chrono::steady_clock::now() - start;
    one = units / std::max(spent.count(), 1e-9);
  }
  std::ranges::sort(rates);
  return {what,
          rates[kRuns / 2],
          unit,
          (rates[kRuns - 2] - rates[1]) / 2,
          {{"runs", fmt::format("{}", kRuns)}}};
}

Measurement measure_sgemm() {
  auto a = mx::random::uniform({kSide, kSide});
  mx::eval(a);
  double flops = 2.0 * kSide * kSide * kSide / 1e9;
  return rate("sgemm", "GFLOP/s", flops, [&] {
    mx::eval(mx::matmul(a, a, mx::Device::cpu));
  });
}

Measurement measure_bandwidth() {
  std::vector<float> data(kProbeFloats, 1.0f);
  constexpr size_t kPieces = 256;
  constexpr size_t kLength = kProbeFloats / kPieces;
  std::vector<float> sums(kPieces);
  double bytes = static_cast<double>(kProbeFloats) * sizeof(float) / 1e9;
  return rate("memory bandwidth", "GB/s", bytes, [&] {
    kernels::parallel_for(kPieces, [&](size_t piece) {
      // Many sums at a time, so that additions do not wait for each other.
      std::array<float, 32> lanes{};
      const float* from = data.data() + piece * kLength;
      for (size_t i = 0; i < kLength; i += lanes.size()) {
        for (size_t lane = 0; lane < lanes.size(); ++lane) {
          lanes[lane] += from[i + lane];
        }
      }
      for (float lane : lanes) {
        sums[piece] += lane;
      }
    });
  });
}

void judge(DoctorReport& report) {
  auto add = [&](const char* id,
                 std::string where,
                 std::string expected,
                 std::string actual) {
    report.findings.push_back(make_finding(
        id, std::move(where), std::move(expected), std::move(actual)));
  };
  bool gpu = std::ranges::any_of(report.backends, [](const auto& backend) {
    return backend.available && backend.name != "CPU";
  });
  if (!gpu) {
    add("doctor.cpu-only",
        "MLX " + report.mlx_version,
        "Metal or CUDA",
        "the CPU alone");
  } else if (!report.uses_gpu) {
    add("doctor.gpu-unused", "default device", "the GPU", "the CPU");
  }
  if (report.blas == "reference") {
    add("doctor.reference-blas",
        "cblas_sgemm",
        "OpenBLAS, or another fast BLAS",
        report.blas_file);
  }
  if (report.memory_used > 1 - kLittleMemory) {
    add("doctor.memory-pressure",
        "memory",
        fmt::format("at least {:.0f}% free", 100 * kLittleMemory),
        fmt::format("{:.0f}%", 100 * (1 - report.memory_used)));
  }
  if (report.threads < report.machine.physical_cores) {
    add("doctor.few-threads",
        "threads of the kernels",
        fmt::format("{}, one a core", report.machine.physical_cores),
        fmt::format("{}", report.threads));
  }
}

}  // namespace

DoctorReport doctor() {
  DoctorReport report;
  report.machine = machine_info();
  if (report.machine.memory > 0) {
    report.memory_used =
        1 - static_cast<double>(
                std::min(report.machine.memory_free, report.machine.memory)) /
                static_cast<double>(report.machine.memory);
  }
  find_backends(report);
  find_blas(report);
  report.simd = kernels::kernels().name;
  report.threads = kernels::pool_threads();
  report.measurements = {measure_sgemm(), measure_bandwidth()};
  judge(report);
  return report;
}

Json to_json(const DoctorReport& report) {
  auto backends = Json::array();
  for (const auto& backend : report.backends) {
    backends.push_back({{"name", backend.name},
                        {"available", backend.available},
                        {"device", backend.device},
                        {"memory", backend.memory},
                        {"working_set", backend.working_set}});
  }
  auto measurements = Json::array();
  for (const auto& one : report.measurements) {
    measurements.push_back({{"what", one.what},
                            {"value", one.value},
                            {"unit", one.unit},
                            {"spread", one.spread}});
  }
  return {{"mlx_version", report.mlx_version},
          {"backends", std::move(backends)},
          {"default_device", report.default_device},
          {"uses_gpu", report.uses_gpu},
          {"machine",
           {{"system", report.machine.system},
            {"processor", report.machine.processor},
            {"physical_cores", report.machine.physical_cores},
            {"logical_cores", report.machine.logical_cores},
            {"memory", report.machine.memory},
            {"memory_free", report.machine.memory_free}}},
          {"memory_used", report.memory_used},
          {"blas", report.blas},
          {"blas_file", report.blas_file},
          {"simd", report.simd},
          {"threads", report.threads},
          {"measurements", std::move(measurements)},
          {"findings", to_json(report.findings)}};
}

}  // namespace assay
