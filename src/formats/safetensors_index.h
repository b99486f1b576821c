#pragma once

// model.safetensors.index.json: which shard holds which tensor.

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "assay/core/finding.h"

namespace assay {

struct SafetensorsIndex {
  bool has_metadata = false;  ///< an object of that name
  /** What metadata says that all tensors take; as it is written, where it is
   * no number of bytes. */
  std::optional<uint64_t> total_size;
  std::string unread_size;
  std::vector<std::string> shards;  ///< in the order of first mention
  std::unordered_map<std::string, size_t> shard_of;  ///< tensor to shard
};

/** Parses the text of an index. Throws Error index.malformed (not JSON, no
 * weight_map, a tensor twice, a file that is no string) and index.unsafe-path
 * (a shard that is absolute, or leaves the folder by ".."). */
SafetensorsIndex parse_safetensors_index(std::string_view text,
                                         std::string_view where);

/** What metadata says, against the bytes of all tensors and those of all files
 * (which early mlx-lm wrote): index.total-size, index.no-metadata. */
std::vector<Finding> hold_metadata(const SafetensorsIndex& index,
                                   std::string_view where,
                                   uint64_t tensor_bytes,
                                   uint64_t file_bytes);

}  // namespace assay
