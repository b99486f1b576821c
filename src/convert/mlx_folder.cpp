#include "assay/convert/mlx_folder.h"

#include <algorithm>
#include <future>
#include <map>
#include <memory>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay::conversion {
namespace {

// Parameters in order, as many a shard as fit; the parts of one stay together.
std::vector<std::vector<const PlannedParameter*>> shards(
    const Plan& plan, uint64_t max_shard_bytes) {
  std::vector<std::vector<const PlannedParameter*>> result;
  uint64_t bytes = 0;
  for (const auto& parameter : plan.parameters) {
    if (result.empty() || bytes + parameter.bytes > max_shard_bytes) {
      result.emplace_back();
      bytes = 0;
    }
    result.back().push_back(&parameter);
    bytes += parameter.bytes;
  }
  return result;
}

// How many to write together, so that threads have enough to do: small ones.
size_t count_at_once(std::span<const PlannedParameter* const> parameters) {
  constexpr uint64_t kEnough = uint64_t{1} << 22;  // values
  size_t count = 0;
  for (uint64_t values = 0; count < parameters.size(); ++count) {
    values +=
        parameters[count]->rows->rows() * parameters[count]->rows->width();
    if (values > kEnough) {
      break;
    }
  }
  return std::max<size_t>(1, count);
}

std::unique_ptr<SafetensorsWriter> write_shard(
    const std::vector<const PlannedParameter*>& parameters,
    const std::filesystem::path& path,
    const Written& written) {
  std::vector<SafetensorsWriter::Entry> entries;
  for (const auto* parameter : parameters) {
    entries.insert(
        entries.end(), parameter->entries.begin(), parameter->entries.end());
  }
  auto writer = std::make_unique<SafetensorsWriter>(
      path, entries, std::map<std::string, std::string>{{"format", "mlx"}});
  for (auto rest = std::span(parameters); !rest.empty();) {
    const auto some = rest.first(count_at_once(rest));
    rest = rest.subspan(some.size());
    uint64_t bytes = 0;
    for (const auto* parameter : some) {
      parameter->rows->open();
      bytes += parameter->bytes;
    }
    const uint64_t begin = writer->skip(bytes);
    const auto changes =
        stream(some, [&](uint64_t at, std::span<const std::byte> piece) {
          writer->write_at(begin + at, piece);
        });
    for (size_t i = 0; i < some.size(); ++i) {
      some[i]->rows->close();
      written(*some[i], changes[i]);
    }
  }
  return writer;
}

}  // namespace

std::string shard_name(size_t number, size_t count) {
  return count == 1
             ? "model.safetensors"
             : fmt::format(
                   "model-{:05}-of-{:05}.safetensors", number + 1, count);
}

void write_index(const std::filesystem::path& folder,
                 std::vector<IndexedTensor> tensors,
                 uint64_t bytes,
                 uint64_t parameters) {
  std::ranges::sort(tensors, {}, &IndexedTensor::name);
  // Line by line: an ordered JSON object would search all its keys for each.
  std::string map;
  for (const auto& tensor : tensors) {
    map += fmt::format("{}    {}: {}",
                       map.empty() ? "" : ",\n",
                       Json(tensor.name).dump(),
                       Json(tensor.file).dump());
  }
  write_text(folder / "model.safetensors.index.json",
             fmt::format("{{\n  \"metadata\": {{\n    \"total_size\": {},\n"
                         "    \"total_parameters\": {}\n  }},\n"
                         "  \"weight_map\": {{\n{}\n  }}\n}}\n",
                         bytes,
                         parameters,
                         map));
}

int write_mlx_folder(const Plan& plan,
                     const std::filesystem::path& folder,
                     uint64_t max_shard_bytes,
                     const Written& written) {
  auto parts = shards(plan, max_shard_bytes);
  std::vector<IndexedTensor> index;
  uint64_t parameters = 0;
  // A shard is flushed while the next one, or the index, is written.
  std::future<void> flushed;
  auto wait = [&flushed] {
    if (flushed.valid()) {
      flushed.get();
    }
  };
  for (size_t i = 0; i < parts.size(); ++i) {
    auto name = shard_name(i, parts.size());
    auto shard = write_shard(parts[i], folder / name, written);
    wait();
    flushed = std::async(std::launch::async,
                         [shard = std::move(shard)] { shard->commit(); });
    for (const auto* parameter : parts[i]) {
      parameters += parameter->rows->rows() * parameter->rows->width();
      for (const auto& entry : parameter->entries) {
        index.push_back({entry.name, name});
      }
    }
  }
  write_index(folder, std::move(index), plan.bytes, parameters);
  wait();
  return static_cast<int>(parts.size());
}

}  // namespace assay::conversion
