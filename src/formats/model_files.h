#pragma once

// ModelFiles: a model folder or a single file, seen through its headers. What
// every verb starts from. Knows no architecture and no MLX.

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include <nlohmann/json.hpp>

#include "assay/core/file.h"
#include "assay/core/finding.h"
#include "assay/core/json.h"
#include "assay/formats/gguf.h"
#include "assay/formats/tensor_info.h"

namespace assay {

enum class Container { safetensors, gguf, torch };

/** "safetensors", "GGUF", "PyTorch". */
std::string_view name(Container container);

struct ModelFiles {
  ModelFiles() = default;
  ModelFiles(ModelFiles&&) = default;  // moving keeps what by_name points to,
  ModelFiles& operator=(ModelFiles&&) = default;
  ModelFiles(const ModelFiles&) = delete;  // copying would not
  ModelFiles& operator=(const ModelFiles&) = delete;

  std::filesystem::path path;  ///< as given: a folder or a file
  Container container = Container::safetensors;
  std::vector<std::filesystem::path> files;  ///< that hold tensors
  std::vector<TensorInfo> tensors;           ///< by file, then offset
  std::map<std::string, std::string> safetensors_metadata;
  std::optional<GgufMetadata> gguf;  ///< of the first part
  bool big_endian = false;           ///< of a GGUF's data

  /** The JSON documents beside the tensors; null where there is none. A
   * single .safetensors file has none: its folder is not searched. */
  Json config;
  Json generation_config;
  Json tokenizer_config;
  /** The first of: text of chat_template.jinja, "chat_template" of
   * tokenizer_config.json (of several, the one named "default"), of
   * chat_template.json, of the GGUF; empty where there is none. */
  std::string chat_template;
  /** tokenizer.json, or empty. */
  std::filesystem::path tokenizer_json;

  /** What is wrong with headers and index but did not keep us from listing
   * the rest (index against shards, stray files...). */
  std::vector<Finding> findings;

  const TensorInfo* find(std::string_view tensor) const;
  std::unordered_map<std::string_view, size_t> by_name;  ///< into tensors
};

/** Opens a folder with *.safetensors (single, or sharded with
 * model.safetensors.index.json) and config.json, a folder with one GGUF (split
 * or not), a folder with PyTorch's files (pytorch_model.bin, single or
 * sharded), a .gguf (any part of a split one), a .safetensors file, or a
 * checkpoint of PyTorch's. Reads headers, pickles and small JSON only. Throws
 * Error for what cannot be opened at all (model.*, file.*, json.*) or breaks a
 * format's rules (safetensors.*, gguf.*, index.malformed, index.unsafe-path);
 * what is wrong between the files but leaves tensors to look at goes to
 * `findings` (index.*, model.*, torch.*).
 *
 * Of several formats in a folder safetensors are read, then GGUF, then
 * PyTorch's, with a note. Files of
 * other kinds beside the weights (consolidated.*, adapters, mmproj) are not
 * read, and named in a finding. */
ModelFiles open_model(const std::filesystem::path& path);

/** The data of a model's tensors: maps files when first asked. The model must
 * outlive it. Not for several threads at once. */
class TensorData {
 public:
  explicit TensorData(const ModelFiles& model);

  /** The values, row after row, little-endian (but for a big-endian GGUF).
   * Those of a plain tensor lie in the map and are valid as long as this
   * object; others are put in order in memory, until they are released.
   * Throws Error file.changed when the file is shorter now than its header
   * says. */
  std::span<const std::byte> bytes(const TensorInfo& tensor);
  /** Lets go of the pages or the memory of a tensor that was used. */
  void release(const TensorInfo& tensor);

 private:
  const MappedFile& file(uint32_t index);
  std::span<const std::byte> stored(const TensorInfo& tensor, uint64_t length);
  std::span<const std::byte> unpacked(const TensorInfo& tensor);

  const ModelFiles& model_;
  std::vector<std::optional<MappedFile>> maps_;
  std::map<std::pair<uint32_t, std::string>, std::vector<std::byte>> ordered_;
  /** The storage that was unpacked last: several tensors may share it. */
  std::pair<uint32_t, uint64_t> storage_at_;
  std::vector<std::byte> storage_;
};

}  // namespace assay
