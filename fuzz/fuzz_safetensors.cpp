// Headers of safetensors: refused with a finding, or sound.

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>

#include "assay/core/finding.h"
#include "assay/formats/safetensors.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = std::as_bytes(std::span(data, size));
  SafetensorsHeader header;
  try {
    header = parse_safetensors(bytes, size, "fuzz");
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
    return 0;
  }
  uint64_t end = header.tensors.empty() ? size : header.tensors[0].offset;
  expect(end >= 8, "data within the length field");
  std::set<std::string> names;
  for (const auto& tensor : header.tensors) {
    auto count = element_count(tensor.shape);
    expect(count && byte_size(tensor.dtype, *count) == tensor.bytes,
           "a size that shape and dtype do not give");
    expect(tensor.offset == end, "a hole or an overlap");
    expect(tensor.bytes <= size - tensor.offset, "data beyond the end");
    expect(names.insert(tensor.name).second, "a name twice");
    end += tensor.bytes;
  }
  expect(end == size, "trailing data");
  return 0;
}
