#pragma once

// model.safetensors.index.json: which shard holds which tensor.

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace assay {

struct SafetensorsIndex {
  std::vector<std::string> shards;  ///< in the order of first mention
  std::unordered_map<std::string, size_t> shard_of;  ///< tensor to shard
};

/** Parses the text of an index. Throws Error index.malformed (not JSON, no
 * weight_map, a tensor twice, a file that is no string) and index.unsafe-path
 * (a shard that is absolute, or leaves the folder by ".."). */
SafetensorsIndex parse_safetensors_index(std::string_view text,
                                         std::string_view where);

}  // namespace assay
