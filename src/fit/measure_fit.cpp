#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>
#include <mlx/memory.h>
#include <mlx/ops.h>
#include <mlx/transforms.h>
#include <nlohmann/json.hpp>

#include "assay/arch/loaded_model.h"
#include "assay/core/platform.h"
#include "assay/fit/fit.h"

namespace assay {
namespace mx = mlx::core;

namespace {

constexpr int kMeasuredContext = 256;
constexpr int kDecoded = 4;

void run(const arch::LoadedModel& loaded, const FitOptions& options) {
  auto caches = loaded.model().make_caches(
      {.bits = options.kv_bits, .group_size = options.kv_group_size});
  auto step = [&](int length) {
    auto ids = mx::zeros({options.batch, length}, mx::int32);
    auto hidden = loaded.model().hidden(ids, &caches);
    auto last = mx::slice(
        hidden, {0, length - 1, 0}, {options.batch, length, hidden.shape(2)});
    mx::eval(loaded.model().logits(last));
  };
  int prompt = std::max(1, options.context - kDecoded);
  for (int done = 0; done < prompt;) {
    int length = std::min(options.prefill_chunk, prompt - done);
    step(length);
    done += length;
  }
  for (int i = 0; i < kDecoded; ++i) {
    step(1);
  }
}

Measurement measurement(const char* what,
                        double value,
                        const char* unit,
                        const FitReport& report) {
  return {what,
          value,
          unit,
          0,
          {{"model", report.path.filename().string()},
           {"context", fmt::format("{}", report.context)},
           {"batch", fmt::format("{}", report.batch)},
           {"device", report.limit.device}}};
}

}  // namespace

FitMeasurement measure_fit(const std::filesystem::path& path,
                           FitOptions options) {
  if (options.bits != 0 || options.recipe) {
    throw std::invalid_argument(
        "[measure_fit] Only weights as they are stored can be run.");
  }
  if (options.context == 0) {
    options.context = kMeasuredContext;
  }
  FitMeasurement result;
  result.estimate = fit(path, options);
  bool cpu = kernels::on_cpu();
  mx::reset_peak_memory();
  auto before = resident_bytes();
  auto peak_before = peak_resident_bytes();
  {
    auto loaded = arch::load_model(path);
    run(loaded, options);
  }
  auto peak = peak_resident_bytes();
  if (!cpu) {
    result.measured = mx::get_peak_memory();
  } else {
    result.measured = peak > before ? peak - before : 0;
    if (peak <= peak_before) {
      result.estimate.findings.push_back(make_finding(
          "fit.peak-hidden",
          path.string(),
          "a run that takes more memory than the process did before",
          fmt::format("a peak of {} bytes before it", peak_before)));
    }
  }
  auto total = result.estimate.need.total();
  auto estimated =
      static_cast<double>(cpu ? total - std::min(total, before)
                              : total - result.estimate.need.program);
  auto measured = static_cast<double>(result.measured);
  result.error = measured > 0 ? (estimated - measured) / measured : 0;
  result.measurements = {
      measurement("memory estimated", estimated, "bytes", result.estimate),
      measurement("memory measured", measured, "bytes", result.estimate),
      measurement("memory of arrays, as MLX counts it",
                  static_cast<double>(mx::get_peak_memory()),
                  "bytes",
                  result.estimate),
      measurement(
          "error of the estimate", 100 * result.error, "%", result.estimate)};
  return result;
}

Json to_json(const FitMeasurement& measurement) {
  return {{"estimate", to_json(measurement.estimate)},
          {"measured", measurement.measured},
          {"error", measurement.error}};
}

}  // namespace assay
