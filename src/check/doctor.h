#pragma once

// doctor: what this machine gives to MLX: back ends, memory, BLAS, threads,
// and how fast they really are, in a fraction of a second.

#include <cstdint>
#include <string>
#include <vector>

#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/core/measurement.h"
#include "assay/core/platform.h"

namespace assay {

struct Backend {
  std::string name;  ///< "CPU", "Metal", "CUDA"
  bool available = false;
  std::string device;   ///< "Apple M2 Max"; empty where unknown
  uint64_t memory = 0;  ///< bytes of the device; 0 where unknown
  /** Metal: what the system advises to use at most. 0 elsewhere. */
  uint64_t working_set = 0;
};

struct DoctorReport {
  std::string mlx_version;
  std::vector<Backend> backends;
  std::string default_device;  ///< "CPU", "Metal", "CUDA"
  bool uses_gpu = false;
  MachineInfo machine;
  double memory_used = 0;  ///< share of RAM that is not free, 0 to 1
  std::string blas;        ///< "OpenBLAS", "Accelerate", "reference", "unknown"
  std::string blas_file;   ///< the library that cblas_sgemm comes from
  std::string simd;        ///< instruction set of the CPU kernels
  int threads = 0;         ///< of the CPU kernels
  /** "sgemm" (GFLOP/s, BLAS on all its threads), "memory bandwidth" (GB/s,
   * reads). */
  std::vector<Measurement> measurements;
  std::vector<Finding> findings;  ///< what is slow or missing, and why
};

DoctorReport doctor();

Json to_json(const DoctorReport& report);

}  // namespace assay
