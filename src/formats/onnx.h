#pragma once

// ONNX: what a model file holds, by an own bounded walk over protobuf's wire
// format (https://protobuf.dev/programming-guides/encoding), with the field
// numbers of onnx.proto. Nothing is run, no tensor data is read.

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "assay/core/shape.h"

namespace assay {

/** Data of a tensor that lies in a file beside the model. */
struct OnnxExternal {
  std::string location;  ///< as written: not yet trusted
  uint64_t offset = 0;
  std::optional<uint64_t> length;
  bool malformed = false;  ///< offset or length is no number
};

struct OnnxTensor {
  std::string name;
  int64_t type = 0;  ///< TensorProto.DataType
  Shape shape;
  /** Bytes of raw_data; nothing where values lie in typed fields. */
  std::optional<uint64_t> raw_bytes;
  bool typed = false;  ///< values in float_data, int32_data...
  std::optional<OnnxExternal> external;
};

/** An input or output of the graph. */
struct OnnxValue {
  std::string name;
  int64_t type = 0;                ///< of a tensor's elements; 0: no tensor
  std::vector<std::string> shape;  ///< numbers, names, or "?"
};

struct OnnxModel {
  int64_t ir_version = 0;
  std::string producer, producer_version;
  std::vector<std::pair<std::string, int64_t>> opsets;  ///< domain, version
  bool has_graph = false;
  std::string graph;
  uint64_t nodes = 0;  ///< of the main graph and those inside its nodes
  std::map<std::string, uint64_t> operators;  ///< how many of each
  std::vector<OnnxValue> inputs, outputs;
  std::vector<OnnxTensor> tensors;  ///< initializers and constants
  /** Names that a node or output uses and nothing before it gives, the first
   * few. */
  std::vector<std::string> undefined;
  std::vector<std::string> duplicates;  ///< initializers of one name
};

/** "FLOAT16"; empty for numbers that onnx.proto does not have. */
std::string_view onnx_type_name(int64_t type);
/** Bits of one element; 0 for texts and unknown types. */
unsigned onnx_type_bits(int64_t type);

/** Throws Error onnx.malformed with the byte offset, onnx.limit beyond 2^20
 * tensors, nodes' names or values, or graphs nested deeper than 16. */
OnnxModel parse_onnx(std::span<const std::byte> bytes, std::string_view where);
OnnxModel read_onnx(const std::filesystem::path& path);

}  // namespace assay
