#pragma once

// safetensors: the reader of headers and the streaming writer.
// Format: https://huggingface.co/docs/safetensors (8 bytes little-endian
// length, JSON header, data). Floor of the rules: the safetensors crate's
// `SafeTensors::read_metadata`; beyond it duplicate keys, non-integer numbers.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "assay/core/file.h"
#include "assay/formats/tensor_info.h"

namespace assay {

struct SafetensorsHeader {
  /** Sorted by offset; offsets from the start of the file. */
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;  ///< "__metadata__"
};

/** Reads a header out of the first bytes of a file of `file_size` bytes.
 * `bytes` may be the whole file or anything that covers the header. `where`
 * names the file in findings. Throws Error safetensors.* on the first rule
 * that the header breaks, with tensor, offset and value. */
SafetensorsHeader parse_safetensors(std::span<const std::byte> bytes,
                                    uint64_t file_size,
                                    std::string_view where);

SafetensorsHeader read_safetensors(const std::filesystem::path& path);

/** Writes one safetensors file: declare every tensor, then append the data of
 * each in the order declared, then finish. Bounded memory. */
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    DType dtype;  ///< a plain type
    Shape shape;
  };
  SafetensorsWriter(const std::filesystem::path& path,
                    const std::vector<Entry>& entries,
                    const std::map<std::string, std::string>& metadata);
  ~SafetensorsWriter();

  /** The next bytes of the data; may come in pieces. */
  void write(std::span<const std::byte> bytes);
  /** Leaves room for the next `bytes` of the data; returns where it begins. */
  uint64_t skip(uint64_t bytes);
  /** Fills room that was left, no byte twice. From several threads. */
  void write_at(uint64_t at, std::span<const std::byte> bytes);
  /** Checks that all declared bytes came, and puts the file in place. */
  void commit();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay
