// Models of any size with random weights, and the memory that a run of them
// takes, each in a process of its own (the peak of a resident set is that of
// the process):
//
//     fit_tool make CONFIG.json FOLDER      as config.json says, in bfloat16
//     fit_tool measure MODEL CONTEXT [KV_BITS]
//
// measure prints estimate, measurement (MB) and the error of the estimate in
// percent.

#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/fit/fit.h"
#include "assay/formats/safetensors.h"

using namespace assay;
namespace fs = std::filesystem;

namespace {

// Values of a scale that keeps sums finite; their quality does not matter.
std::vector<uint16_t> random_bfloats(uint64_t count, std::mt19937& generator) {
  std::vector<uint16_t> values(count);
  for (auto& value : values) {
    constexpr uint16_t kAbout = 0x3c00;  // 2^-7
    value = static_cast<uint16_t>(kAbout | (generator() & 0x80ff));
  }
  return values;
}

void make(const fs::path& config_file, const fs::path& folder) {
  auto config = parse_json(read_text(config_file), config_file.string());
  auto tree = arch::build_tree(config, config_file.string());
  fs::create_directories(folder);
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto& spec : tree.parameters) {
    if (!spec.optional()) {
      entries.push_back({spec.name, DType::bf16, spec.shape()});
    }
  }
  auto writer = SafetensorsWriter(
      folder / "model.safetensors", entries, {{"format", "mlx"}});
  std::mt19937 generator(1);
  for (const auto& entry : entries) {
    auto count = element_count(entry.shape).value();
    writer.write(std::as_bytes(
        std::span<const uint16_t>(random_bfloats(count, generator))));
  }
  writer.commit();
  write_text(folder / "config.json", config.dump(2));
}

void measure(const fs::path& model, int context, int kv_bits) {
  auto result = measure_fit(model, {.context = context, .kv_bits = kv_bits});
  for (const auto& finding : result.estimate.findings) {
    fmt::print(stderr, "{}: {}\n", finding.id, finding.actual);
  }
  const auto& need = result.estimate.need;
  fmt::print(
      "{:.1f} {:.1f} {:+.1f} weights {:.1f} cache {:.1f} step {:.1f} "
      "arrays {:.1f}\n",
      result.measurements.at(0).value / 1e6,
      static_cast<double>(result.measured) / 1e6,
      100 * result.error,
      static_cast<double>(need.weights) / 1e6,
      static_cast<double>(need.kv_cache) / 1e6,
      static_cast<double>(need.activations) / 1e6,
      result.measurements.at(2).value / 1e6);
}

}  // namespace

int main(int count, char** words) {
  std::vector<std::string> arguments(words, words + count);
  try {
    if (count == 4 && arguments[1] == "make") {
      make(arguments[2], arguments[3]);
      return 0;
    }
    if (count >= 4 && arguments[1] == "measure") {
      measure(arguments[2],
              std::stoi(arguments[3]),
              count > 4 ? std::stoi(arguments[4]) : 0);
      return 0;
    }
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
  fmt::print(stderr, "fit_tool make CONFIG FOLDER | measure MODEL CONTEXT\n");
  return 2;
}
