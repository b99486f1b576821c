// Checkpoints of PyTorch's in all their containers, and the verdict on them:
// refused with a finding, or every tensor within the file.

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>

#include "assay/core/finding.h"
#include "assay/formats/file_safety.h"
#include "assay/formats/torch_tensors.h"

#include "expect.h"

using namespace assay;
using assay_fuzz::expect;

namespace {

uint64_t last_of(const TensorInfo& tensor) {
  uint64_t last = 0;
  for (size_t i = 0; i < tensor.strides.size(); ++i) {
    last += static_cast<uint64_t>(tensor.shape[i] - 1) *
            static_cast<uint64_t>(tensor.strides[i]);
  }
  return (last + 1) * info(tensor.dtype).bytes;
}

void check(const TensorInfo& tensor, uint64_t size) {
  auto count = element_count(tensor.shape);
  expect(count && byte_size(tensor.dtype, *count) == tensor.bytes,
         "a size that shape and dtype do not give");
  expect(tensor.strides.empty() || tensor.strides.size() == tensor.shape.size(),
         "strides of another rank");
  auto whole = tensor.packed ? tensor.packed->size : size;
  auto length = tensor.strides.empty() ? tensor.bytes : last_of(tensor);
  expect(tensor.offset <= whole && length <= whole - tensor.offset,
         "data beyond the end");
  if (tensor.packed) {
    expect(tensor.packed->offset <= size &&
               tensor.packed->bytes <= size - tensor.packed->offset,
           "packed data beyond the end");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = std::as_bytes(std::span(data, size));
  try {
    auto file = parse_torch(bytes, "fuzz");
    std::set<std::string> names;
    for (const auto& tensor : file.tensors) {
      check(tensor, size);
      expect(names.insert(tensor.name).second, "a name twice");
    }
  } catch (const Error& error) {
    expect(!error.finding().cause.empty(), "a finding without a cause");
  }
  auto verdict = judge_bytes(bytes, "model.bin");
  expect((verdict.safety == Safety::safe) == verdict.reasons.empty(),
         "a verdict without its reason");
  findings_of(verdict);
  return 0;
}
