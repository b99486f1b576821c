#pragma once

// Writes the tensors of a plan as mlx-lm lays them out: model.safetensors or
// numbered shards, and the index.

#include <filesystem>
#include <functional>

#include "assay/convert/plan.h"
#include "assay/convert/stream.h"

namespace assay::conversion {

/** Called for each parameter when it is written. */
using Written = std::function<void(const PlannedParameter&, const Change&)>;

/** Returns the number of files with tensors. */
int write_mlx_folder(const Plan& plan,
                     const std::filesystem::path& folder,
                     uint64_t max_shard_bytes,
                     const Written& written);

/** One tensor of a folder, for the index. */
struct IndexedTensor {
  std::string name;
  std::string file;
};

/** model.safetensors.index.json, names sorted. */
void write_index(const std::filesystem::path& folder,
                 std::vector<IndexedTensor> tensors,
                 uint64_t bytes,
                 uint64_t parameters);

/** "model.safetensors", or "model-00002-of-00003.safetensors". `number` from
 * 0. */
std::string shard_name(size_t number, size_t count);

}  // namespace assay::conversion
