#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "assay/core/file.h"
#include "assay/formats/safetensors.h"

namespace assay::testing {

/** A safetensors file taken apart and written again. */
struct Weights {
  explicit Weights(std::filesystem::path file) : path(std::move(file)) {
    auto header = read_safetensors(path);
    auto bytes = read_text(path);
    metadata = header.metadata;
    for (const auto& tensor : header.tensors) {
      tensors[tensor.name] = {tensor.dtype,
                              tensor.shape,
                              bytes.substr(tensor.offset, tensor.bytes)};
    }
  }
  void save() const {
    std::vector<SafetensorsWriter::Entry> entries;
    for (const auto& [name, tensor] : tensors) {
      entries.push_back({name, tensor.dtype, tensor.shape});
    }
    SafetensorsWriter writer(path, entries, metadata);
    for (const auto& [name, tensor] : tensors) {
      writer.write(std::as_bytes(std::span(tensor.data)));
    }
    writer.commit();
  }
  void rename(const std::string& from, const std::string& to) {
    REQUIRE(tensors.contains(from));
    tensors[to] = tensors[from];
    tensors.erase(from);
  }
  void reshape(const std::string& name, const Shape& shape) {
    auto& tensor = tensors.at(name);
    tensor.shape = shape;
    tensor.data.assign(*byte_size(tensor.dtype, *element_count(shape)), 1);
  }

  struct Tensor {
    DType dtype;
    Shape shape;
    std::string data;
  };
  std::filesystem::path path;
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

}  // namespace assay::testing
