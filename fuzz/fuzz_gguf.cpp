// Headers of GGUF: refused with a finding, or sound.

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>

#include <nlohmann/json.hpp>

#include "assay/core/finding.h"
#include "assay/formats/gguf.h"
#include "assay/formats/gguf_config.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

namespace {

void check(const GgufHeader& header, uint64_t size) {
  std::set<std::string> names;
  uint64_t end = header.data_offset;
  for (const auto& tensor : header.tensors) {
    auto count = element_count(tensor.shape);
    expect(count && byte_size(tensor.dtype, *count) == tensor.bytes,
           "a size that shape and type do not give");
    expect(tensor.offset >= end, "an overlap");
    expect(tensor.offset - end < header.alignment, "a hole");
    expect((tensor.offset - header.data_offset) % header.alignment == 0,
           "a tensor that is not aligned");
    expect(tensor.offset <= size && tensor.bytes <= size - tensor.offset,
           "data beyond the end");
    expect(names.insert(tensor.name).second, "a tensor twice");
    end = tensor.offset + tensor.bytes;
  }
  names.clear();
  for (const auto& [key, value] : header.metadata.entries) {
    expect(names.insert(key).second, "a key twice");
    expect(!describe(value).empty(), "a value without a description");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = std::as_bytes(std::span(data, size));
  try {
    auto header = parse_gguf(bytes, size, "fuzz");
    check(header, size);
    config_from_gguf(header.metadata);
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
  return 0;
}
