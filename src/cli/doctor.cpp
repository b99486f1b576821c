#include "assay/check/doctor.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/cli/arguments.h"
#include "assay/cli/output.h"
#include "assay/cli/recording.h"
#include "assay/cli/verbs.h"

namespace assay::cli {
namespace {

void print_doctor(const DoctorReport& report, Output& output) {
  output.row("MLX", report.mlx_version);
  for (const auto& backend : report.backends) {
    auto memory = backend.memory > 0 ? ", " + bytes_text(backend.memory) : "";
    output.row(backend.name,
               backend.available
                   ? fmt::format("available {}{}", backend.device, memory)
                   : "not available");
  }
  output.row("default device", report.default_device);
  output.row("processor",
             fmt::format("{}, {} physical cores",
                         report.machine.processor,
                         report.machine.physical_cores));
  output.row("system", report.machine.system);
  output.row("memory",
             fmt::format("{}, {:.0f}% used",
                         bytes_text(report.machine.memory),
                         100 * report.memory_used));
  output.row("BLAS", fmt::format("{} ({})", report.blas, report.blas_file));
  output.row("kernels",
             fmt::format("{}, {} threads", report.simd, report.threads));
  for (const auto& measured : report.measurements) {
    output.row(measured.what,
               fmt::format("{:.1f} {}", measured.value, measured.unit));
  }
  output.print_findings(report.findings);
}

int run_doctor(const Arguments& arguments, Output& output) {
  Recording recording(arguments);
  auto report = doctor();
  if (output.json()) {
    output.print_json(to_json(report));
  } else {
    print_doctor(report, output);
  }
  return recording.keep(
      output,
      has_errors(report.findings) ? kFindings : kSound,
      [&](const RecordTarget& target) { return record(target, report); });
}

}  // namespace

Command doctor_command() {
  return {.name = "doctor",
          .summary = "what this machine gives, and what is slow and why",
          .description =
              "MLX and its back ends, memory, BLAS, threads, and a "
              "fraction of a second of measuring.",
          .operands = {},
          .options = {record_option()},
          .run = run_doctor};
}

}  // namespace assay::cli
